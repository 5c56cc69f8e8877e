package admission

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Conn is a connection that a Gate counts until it is closed. Its remote address is the one that the PROXY header
// names, where there is one.
type Conn struct {
	net.Conn
	gate   *Gate
	remote net.Addr
	key    netip.Prefix // of remote; under gate.mu
	state  state        // under gate.mu
}

// state is which counts a connection is in.
type state uint8

const (
	outside  state = iota // none
	entered               // all connections
	pending               // and those of its address that have not logged in
	loggedIn              // or have
)

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// NetConn is the connection below. What is read or written there is the same.
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

// LogIn counts a connection among those that have logged in. It reports false if its address has too many of them;
// the connection must end then. One that no Gate has admitted may always log in.
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
