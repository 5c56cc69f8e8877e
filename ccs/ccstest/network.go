package ccstest

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"

	"github.com/openccs/openccs/ccs/server"
)

// InMemory makes the server listen on its own Network instead of the machine's loopback. No packet
// leaves the process. A testing/synctest bubble can contain server and clients, so that hours of
// heartbeats, resends and TTLs pass at once. The methods of Server dial there. The store must be
// in memory too, and the control socket is off.
func InMemory(c *server.Config) {
	c.Network = &Network{}
	c.NoAdmin = true
}

// maxWaiting is the maximum number of connections that wait to be accepted at a listener.
const maxWaiting = 128

// firstPort is the first port that a Network chooses for a listener without a port.
const firstPort = 10_000

// Network is a network in memory. Every address on it belongs to the same machine. The zero value
// is empty.
type Network struct {
	mu        sync.Mutex
	listeners map[int]*listener // by port
	lastPort  int               // the last port chosen for a listener or a dialing end
}

// listener accepts the connections of one port.
type listener struct {
	network *Network
	addr    *net.TCPAddr
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Listen implements server.Network. Port 0 means any free port.
func (n *Network) Listen(network, addr string) (net.Listener, error) {
	at, err := n.resolve(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[int]*listener)
	}
	if at.Port == 0 {
		at.Port = n.freePort()
	}
	if n.listeners[at.Port] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: syscall.EADDRINUSE}
	}
	l := &listener{network: n, addr: at, waiting: make(chan net.Conn, maxWaiting), closed: make(chan struct{})}
	n.listeners[at.Port] = l
	return l, nil
}

// freePort returns a free port. The caller must hold n.mu.
func (n *Network) freePort() int {
	for {
		n.lastPort = n.lastPort%(65_535-firstPort) + 1
		if port := firstPort + n.lastPort; n.listeners[port] == nil {
			return port
		}
	}
}

func (n *Network) resolve(addr string) (*net.TCPAddr, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	return loopback(p), nil
}

func loopback(port int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// DialContext connects to the listener on the port of addr.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	at, err := n.resolve(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	n.mu.Lock()
	l, from := n.listeners[at.Port], loopback(n.freePort())
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Addr: at, Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	select {
	case l.waiting <- &conn{Conn: far, local: at, remote: from}:
		return &conn{Conn: near, local: from, remote: at}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Addr: at, Err: context.Cause(ctx)}
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, l.addr.Port)
		l.network.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.waiting:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// conn is one end of a connection in memory.
type conn struct {
	net.Conn
	local, remote *net.TCPAddr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }
