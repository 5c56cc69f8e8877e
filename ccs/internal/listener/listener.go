// Package listener accepts connections for a door, at most a limit at a time. It runs each
// connection in a goroutine and waits for all of them at the end.
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

// acceptPause is the wait after Accept returned an error, such as for too many open files.
const acceptPause = 50 * time.Millisecond

// Set holds the connections of a door, from any number of listeners. Use New. Its methods may be
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

// Next continues a connection in a new goroutine. A nil Next ends the connection. A goroutine never
// shrinks its stack while it waits, so a connection that will idle for hours moves to a new one.
type Next func() Next

// New makes an empty set of at most limit connections.
func New[C comparable](limit int, log *zap.Logger) *Set[C] {
	return &Set[C]{limit: limit, log: log, listeners: make(map[net.Listener]struct{}), live: make(map[C]struct{})}
}

// Serve accepts connections from l until Close. open makes a connection and serve runs it in its
// own goroutine. Serve closes a connection beyond the limit at once.
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
			s.log.Warn("connection refused: too many", zap.Int("limit", s.limit), zap.Stringer("remote_addr", nc.RemoteAddr()))
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

// Close closes the listeners and calls f for each remaining connection. f must not block. The set
// accepts no connection after that.
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

// Each calls f for each connection. f must not block.
func (s *Set[C]) Each(f func(C)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.live {
		f(c)
	}
}

// Wait waits until all connections have ended. Call it after Close.
func (s *Set[C]) Wait() { s.running.Wait() }
