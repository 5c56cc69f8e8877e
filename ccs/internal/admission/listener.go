package admission

import (
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// What a listener waits for after a failure, such as for want of open files, doubling.
const (
	acceptPauseFirst = 5 * time.Millisecond
	acceptPauseMost  = time.Second
)

// Listener makes a listener whose connections the gate has admitted. It owns l. The caller must close it.
func (g *Gate) Listener(l net.Listener) net.Listener {
	a := &listener{inner: l, gate: g, ready: make(chan *Conn), done: make(chan struct{}), reading: make(map[*Conn]struct{})}
	a.running.Add(1)
	go a.run()
	return a
}

// listener accepts in a goroutine of its own, so that nobody waits for a PROXY header.
type listener struct {
	inner net.Listener
	gate  *Gate
	ready chan *Conn
	done  chan struct{} // closed by Close

	once    sync.Once
	closing error
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	reading map[*Conn]struct{} // connections whose header is being read
}

// Accept implements net.Listener. It fails only after Close.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.inner.Addr() }

// Close implements net.Listener. Connections that Accept has not returned are closed.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.closing = l.inner.Close()
		for _, c := range l.stopReading() {
			c.Close()
		}
		l.running.Wait()
	})
	return l.closing
}

// run accepts until Close.
func (l *listener) run() {
	defer l.running.Done()
	var failing time.Time // since when
	pause := acceptPauseFirst
	for {
		nc, err := l.inner.Accept()
		switch {
		case err == nil && !failing.IsZero():
			l.gate.log.Info("accepting again", zap.Stringer("listener", l.Addr()), zap.Duration("took", time.Since(failing)))
			failing, pause = time.Time{}, acceptPauseFirst
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if failing.IsZero() {
				failing = time.Now()
				l.gate.log.Warn("accept failed; trying again", zap.Stringer("listener", l.Addr()), zap.Error(err))
			}
			select {
			case <-time.After(pause):
			case <-l.done:
				return
			}
			pause = min(2*pause, acceptPauseMost)
			continue
		}
		l.identify(nc)
	}
}

// identify finds out whose a connection is and hands it over.
func (l *listener) identify(nc net.Conn) {
	c := &Conn{Conn: nc, gate: l.gate, remote: nc.RemoteAddr()}
	if !l.gate.enterPending(c) {
		c.Close()
		return
	}
	if !contains(l.gate.opts.Proxies, Addr(c.remote)) {
		l.handOver(c)
		return
	}
	if !l.track(c) {
		c.Close()
		return
	}
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		err := c.readHeader()
		l.untrack(c)
		if err != nil {
			c.Close()
			l.gate.badHeader(nc.RemoteAddr(), err)
			return
		}
		l.handOver(c)
	}()
}

// handOver admits a connection and waits until it is accepted.
func (l *listener) handOver(c *Conn) {
	if !l.gate.admit(c) {
		c.Close()
		return
	}
	select {
	case l.ready <- c:
	case <-l.done:
		c.Close()
	}
}

// track has Close end the connection. It reports false after Close.
func (l *listener) track(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.reading[c] = struct{}{}
	}
	return !l.closed
}

// stopReading has track refuse, and returns the connections that it has not refused.
func (l *listener) stopReading() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return slices.Collect(maps.Keys(l.reading))
}

func (l *listener) untrack(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.reading, c)
}
