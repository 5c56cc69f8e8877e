package mcsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/ccs/mcs"
)

// conn is one connection, from accept to close.
type conn struct {
	transport
	srv      *Server
	eager    *eagerconn.Conn // on top of the wire
	nc       *tls.Conn       // on top of eager
	accepted time.Time
}

func newConn(s *Server, tcp net.Conn) *conn {
	now := time.Now()
	return &conn{srv: s, accepted: now, transport: transport{Conn: tcp, turns: s.turns, deadline: now.Add(s.opts.HandshakeTimeout)}}
}

// keepAlive returns the settings that find dead connections, because some devices never answer a
// ping (DEV 8). A probe wakes a phone's radio, so the first comes late. Further probes follow only
// if there is no answer.
func keepAlive(idle time.Duration) net.KeepAliveConfig {
	if idle < 0 {
		return net.KeepAliveConfig{}
	}
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: min(idle, time.Minute), Count: 4}
}

// serve runs the connection until it has logged in.
func (c *conn) serve() listener.Next {
	if t := listener.TCP(c.transport.Conn); t != nil {
		t.SetKeepAliveConfig(keepAlive(c.srv.opts.KeepAlive))
	}
	c.transport.SetWriteDeadline(c.deadline)
	c.eager = eagerconn.New(&c.transport)
	c.eager.Charge(c.srv.opts.LoginBudget, maxBeforeLogin)
	c.nc = tls.Server(c.eager, c.srv.opts.TLS)
	err := c.nc.Handshake()
	c.yieldTurn()
	c.turns = nil
	if err != nil {
		c.srv.log.Debug("TLS handshake failed", zap.Stringer("remote_addr", c.RemoteAddr()), zap.Error(err))
		c.transport.Conn.Close()
		c.eager.Discharge()
		return nil
	}
	c.eager.Discharge()
	c.deadline = c.deadline.Add(c.srv.opts.LoginTimeout - c.srv.opts.HandshakeTimeout)
	s, err := c.login(mcs.NewReader(c.nc, mcs.MaxLogin))
	if err != nil {
		c.srv.log.Info("login failed", zap.Stringer("remote_addr", c.RemoteAddr()), zap.Error(err))
		c.hangUp()
		c.eager.Discharge()
		return nil
	}
	return s.open()
}

// maxBeforeLogin is how many bytes a device may send in its handshake, and after that until it has
// logged in.
const maxBeforeLogin = 2 * mcs.MaxLogin

// closeTimeout is how long a peer may take to read the last bytes.
const closeTimeout = 2 * time.Second

// hangUp writes the last frames, if any, and ends TLS and the connection. Nothing else may write
// any more.
func (c *conn) hangUp(last ...byte) {
	late := time.AfterFunc(closeTimeout, func() { c.transport.Conn.Close() })
	defer late.Stop()
	if len(last) > 0 {
		c.write(last) // it does not matter whether it arrives
	}
	c.nc.Close()
	c.transport.Conn.Close()
}

func (c *conn) write(b []byte) error {
	c.setWriteDeadline(c.srv.opts.WriteTimeout)
	if _, err := c.nc.Write(b); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w for %s: %w", errSlowReader, c.srv.opts.WriteTimeout, err)
		}
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
