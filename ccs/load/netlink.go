package load

import (
	"context"
	"net"
	"sync"
)

// cuttableConn is the connection below a TLS connection, so that a storm can cut it.
type cuttableConn struct {
	mu   sync.Mutex
	conn net.Conn
}

// dial opens a connection that cut closes.
func (w *cuttableConn) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	w.mu.Lock()
	w.conn = conn
	w.mu.Unlock()
	return conn, err
}

// closeAbruptly closes the connection without notice, like a cable that is pulled.
func (w *cuttableConn) closeAbruptly() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		w.conn.Close()
	}
}

// connectGate is open, or closed for clients that want to connect.
type connectGate struct {
	mu   sync.Mutex
	open chan struct{} // closed when the gate is open
}

func newConnectGate() *connectGate {
	g := &connectGate{open: make(chan struct{})}
	close(g.open)
	return g
}

// wait waits until the gate is open.
func (g *connectGate) wait(ctx context.Context) error {
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

// block closes the gate until the returned function is called.
func (g *connectGate) block() (reopen func()) {
	open := make(chan struct{})
	g.mu.Lock()
	g.open = open
	g.mu.Unlock()
	return func() { close(open) }
}
