package admission

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Conn is a connection that a Gate counts until it is closed. If there is a PROXY header, its
// remote address is the one in the header.
type Conn struct {
	net.Conn
	gate   *Gate
	remote net.Addr
	key    netip.Prefix // network of remote; guarded by gate.mu
	state  state        // guarded by gate.mu
}

// state says in which counts a connection is.
type state uint8

const (
	outside  state = iota // none
	entered               // in all connections
	pending               // and in those of its address that have not logged in
	loggedIn              // or in those of its address that have
)

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// NetConn returns the underlying connection. Reading and writing there has the same effect.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.gate.leave(c)
	return err
}

// LogIn counts a connection as logged in. It returns false if its address has too many of those;
// then the connection must end. A connection that no Gate has admitted may always log in.
func LogIn(c net.Conn) bool {
	for {
		switch t := c.(type) {
		case *Conn:
			return t.gate.logIn(t)
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return true
		}
	}
}
