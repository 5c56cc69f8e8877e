package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
)

// conn is the connection that net/http reads requests from, above TLS. It charges for their heads
// and detects requests with two lengths.
//
// net/http reads from one goroutine at a time.
type conn struct {
	net.Conn
	budget *flowcontrol.Budget
	shaken bool // the TLS handshake is done, if any; owned by the reading goroutine

	mu      sync.Mutex // never held over I/O
	framing *framing
	held    int64 // charged for heads since the connection was last idle
}

// headCopies is how often a byte of a head may be in memory: in its line, and in the map of
// headers.
const headCopies = 2

// wrapping is a listener of conns.
type wrapping struct {
	net.Listener
	budget *flowcontrol.Budget
}

// Accept implements net.Listener.
func (l wrapping) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, budget: l.budget, framing: newFraming()}, nil
}

// Read implements net.Conn.
//
// While a request is answered, net/http reads one byte ahead, to notice a client that goes away. No
// call here ends early for that: a message on its way to the store is stored. So that read gets
// nothing, which spares two system calls a request, and the stack for a read of TLS.
func (c *conn) Read(p []byte) (int, error) {
	if cap(p) == 1 {
		return 0, nil
	}
	if !c.shaken {
		if err := c.handshake(); err != nil {
			return 0, err
		}
		c.shaken = true
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.pass(p[:n]) {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(refuseTimeout))
		_, _ = io.WriteString(c.Conn, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "+strconv.Itoa(int(retryAfter/time.Second))+
			"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return 0, io.EOF // net/http answers other errors
	}
	return n, err
}

// refuseTimeout is how long a peer may take to read the answer to a head that is not read.
const refuseTimeout = time.Second

// handshake does what net/http would do with a *tls.Conn. The handshake and the first head have a
// time limit each.
func (c *conn) handshake() error {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := t.SetDeadline(time.Now().Add(headerTimeout)); err != nil {
		return err
	}
	if err := t.Handshake(); err != nil {
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) && plain.Conn != nil && plain.RecordHeader[0] >= 'A' && plain.RecordHeader[0] <= 'Z' {
			_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		}
		return io.EOF // net/http answers other errors, over this connection
	}
	if err := t.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	return t.SetReadDeadline(time.Now().Add(headerTimeout))
}

// pass charges for the bytes that were read. It returns false if there is no room for them.
func (c *conn) pass(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	bytes := int64(c.framing.pass(p)) * headCopies
	if bytes > 0 && !eagerconn.ChargeLogin(c.budget, c.held, bytes) {
		return false
	}
	c.held += bytes
	return true
}

// activate charges for the buffers of an HTTP/2 connection that has begun a request.
func (c *conn) activate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.framing.http2 && c.held == 0 {
		c.held = http2Buffer
		c.budget.Add(c.held)
	}
}

// release gives back the charges.
func (c *conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.Add(-c.held)
	c.held = 0
}

// lost reports whether a chunked request may have two lengths.
func (c *conn) lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framing.lost
}

// NetConn returns the underlying connection.
func (c *conn) NetConn() net.Conn { return c.Conn }

type connKey struct{}

// withConn returns a context in which handlers find the connection of a request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// stateChanged ends charges of a connection: for its handshake at the first request, for heads when
// the last request is answered, and all of them at its end.
func stateChanged(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		return
	}
	h, ok := c.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		h.activate()
	case http.StateIdle, http.StateClosed:
		h.release()
	}
	if t, ok := h.Conn.(*tls.Conn); ok {
		if b, ok := t.NetConn().(*eagerconn.Conn); ok {
			b.Free()
		}
	}
}
