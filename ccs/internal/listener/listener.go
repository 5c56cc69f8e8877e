// Package conns accepts connections for an endpoint and keeps count of them: no more than a limit at a
// time, each in a goroutine that is waited for at the end.
package listener

import (
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("no more connections are accepted")

// acceptPause keeps a listener that fails, as for want of open files, from spinning.
const acceptPause = 50 * time.Millisecond

// Set is the connections of an endpoint, on any number of listeners. Make one with New; its methods may be
// called from any goroutine.
type Set[C comparable] struct {
	limit int
	log   *zap.Logger

	running sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	live      map[C]struct{}
}

// Next goes on with a connection, in a fresh goroutine; nil when the connection has ended. A goroutine keeps the
// stack that it has once needed, so that one that is to wait for hours had better be new.
type Next func() Next

// New makes an empty set of at most limit connections.
func New[C comparable](limit int, log *zap.Logger) *Set[C] {
	return &Set[C]{limit: limit, log: log, listeners: make(map[net.Listener]struct{}), live: make(map[C]struct{})}
}

// Serve accepts from l until Close. Each connection is made by open and run by serve, in a goroutine of
// its own; one beyond the limit is closed at once.
func (s *Set[C]) Serve(l net.Listener, open func(net.Conn) C, serve func(C) Next) error {
	if !s.listen(l) {
		l.Close()
		return ErrClosed
	}
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
		case s.isClosed():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			s.log.Warn("accept", zap.Error(err))
			time.Sleep(acceptPause)
			continue
		}
		c := open(nc)
		if !s.add(c) {
			s.log.Warn("connection refused: too many", zap.Int("limit", s.limit), zap.Stringer("peer", nc.RemoteAddr()))
			nc.Close()
			continue
		}
		go s.run(c, func() Next { return serve(c) })
	}
}

func (s *Set[C]) run(c C, f Next) {
	if next := f(); next != nil {
		go s.run(c, next)
		return
	}
	s.remove(c)
}

func (s *Set[C]) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.listeners[l] = struct{}{}
	}
	return !s.closed
}

func (s *Set[C]) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Set[C]) add(c C) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.live) >= s.limit {
		return false
	}
	s.live[c] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Set[C]) remove(c C) {
	s.mu.Lock()
	delete(s.live, c)
	s.mu.Unlock()
	s.running.Done()
}

// Close closes the listeners and calls f, which must not block, for each connection that is left. None
// is added any more.
func (s *Set[C]) Close(f func(C)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.live {
		f(c)
	}
}

// Each calls f, which must not block, for each connection.
func (s *Set[C]) Each(f func(C)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.live {
		f(c)
	}
}

// Wait returns when no connection is left. It is for after Close.
func (s *Set[C]) Wait() { s.running.Wait() }
