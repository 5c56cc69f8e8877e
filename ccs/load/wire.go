package load

import (
	"context"
	"net"
	"sync"
)

// wire is the connection under somebody's TLS, so that a storm can cut it.
type wire struct {
	mu   sync.Mutex
	conn net.Conn
}

// dial opens a connection that cut closes.
func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	w.mu.Lock()
	w.conn = conn
	w.mu.Unlock()
	return conn, err
}

// cut closes the connection without a word, as a cable does that somebody trips over.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		w.conn.Close()
	}
}

// gate is open, or closed for those who want to connect.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed when the gate is open
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

// pass waits until the gate is open.
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shut closes the gate until the function that it returns is called.
func (g *gate) shut() (reopen func()) {
	open := make(chan struct{})
	g.mu.Lock()
	g.open = open
	g.mu.Unlock()
	return func() { close(open) }
}
