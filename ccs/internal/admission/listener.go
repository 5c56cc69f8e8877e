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

// Waits of a listener after a failure, such as too many open files. They double.
const (
	acceptPauseFirst = 5 * time.Millisecond
	acceptPauseMost  = time.Second
)

// Listener returns a listener whose connections the gate has admitted. It owns l. The caller must
// close it.
func (g *Gate) Listener(l net.Listener) net.Listener {
	direct := &listener{Listener: l, gate: g, done: make(chan struct{})}
	if len(g.opts.Proxies) == 0 {
		return direct
	}
	p := &proxied{listener: direct, ready: make(chan *Conn), reading: make(map[*Conn]struct{})}
	p.running.Add(1)
	go p.run()
	return p
}

// listener accepts connections without PROXY headers.
type listener struct {
	net.Listener
	gate *Gate

	once    sync.Once
	done    chan struct{} // closed by Close
	closing error
}

// Accept implements net.Listener. It fails only after Close.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.next()
		if err != nil {
			return nil, err
		}
		if l.gate.admit(c) {
			return c, nil
		}
		c.Close()
	}
}

// next waits for a connection that the gate has room for. Its address is not counted yet. next
// fails only after Close.
func (l *listener) next() (*Conn, error) {
	var failing time.Time // when accepting began to fail
	pause := acceptPauseFirst
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			if !failing.IsZero() {
				l.gate.log.Info("accepting again", zap.Stringer("listener", l.Addr()), zap.Duration("took", time.Since(failing)))
				failing, pause = time.Time{}, acceptPauseFirst
			}
			c := &Conn{Conn: nc, gate: l.gate, remote: nc.RemoteAddr()}
			if l.gate.enterPending(c) {
				return c, nil
			}
			c.Close()
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if failing.IsZero() {
			failing = time.Now()
			l.gate.log.Warn("accept failed; trying again", zap.Stringer("listener", l.Addr()), zap.Error(err))
		}
		select {
		case <-time.After(pause):
		case <-l.done:
			return nil, l.closed()
		}
		pause = min(2*pause, acceptPauseMost)
	}
}

// closed returns the error of Accept after Close.
func (l *listener) closed() error {
	return &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.closing = l.Listener.Close()
	})
	return l.closing
}

// proxied accepts in its own goroutine, so that no caller waits for a PROXY header. That costs each
// connection a switch of goroutines, so a listener without proxies does not do it.
type proxied struct {
	*listener
	ready   chan *Conn
	running sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	reading map[*Conn]struct{} // connections whose header is being read
}

// Accept implements net.Listener. It fails only after Close.
func (l *proxied) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, l.closed()
	}
}

// Close implements net.Listener. Connections that Accept has not returned are closed.
func (l *proxied) Close() error {
	err := l.listener.Close()
	for _, c := range l.stopReading() {
		c.Close()
	}
	l.running.Wait()
	return err
}

// run accepts until Close.
func (l *proxied) run() {
	defer l.running.Done()
	for {
		c, err := l.next()
		if err != nil {
			return
		}
		l.identify(c)
	}
}

// identify finds out the address of a connection and hands it over.
func (l *proxied) identify(c *Conn) {
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
		proxy := c.remote
		err := c.readHeader()
		l.untrack(c)
		if err != nil {
			c.Close()
			l.gate.badHeader(proxy, err)
			return
		}
		l.handOver(c)
	}()
}

// handOver admits a connection and waits until it is accepted.
func (l *proxied) handOver(c *Conn) {
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

// track makes Close end the connection. It returns false after Close.
func (l *proxied) track(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.reading[c] = struct{}{}
	}
	return !l.stopped
}

// stopReading makes track refuse, and returns the tracked connections.
func (l *proxied) stopReading() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	return slices.Collect(maps.Keys(l.reading))
}

func (l *proxied) untrack(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.reading, c)
}
