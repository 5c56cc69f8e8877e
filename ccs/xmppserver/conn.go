package xmppserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
	"mellium.im/xmpp/stream"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

// conn is one connection, from accept to close.
type conn struct {
	// These fields do not change after newConn.
	srv *Server
	tcp net.Conn

	// Owned by the goroutine in serve, later by the session's readLoop.
	log    *zap.Logger
	eager  *eagerconn.Conn // below nc
	nc     *tls.Conn
	in     *stanza.Reader
	from   string       // from attribute of our stream header
	opened bool         // our stream header is written
	sender ccs.SenderID // set after the login of an app server
	device ccs.DeviceID // set after the login of a device
	user   string       // local part of the bound address
	domain string       // and its domain
	jid    string       // bound address, or ""
	limits store.Limits
	broken bool // a write has failed, so nothing more can be written

	mu       sync.Mutex
	lastWord time.Time // deadline of every write; zero for none
	who      principal // set after login
	draining bool
	session  *session // nil before bind
	cancel   context.CancelCauseFunc
}

// principal is the sender of a connection's login, and the grant of that.
type principal struct {
	sender ccs.SenderID
	keyID  string
	jid    string // "" before bind
}

func (c *conn) identify(who principal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.who = who
}

func (c *conn) principal() principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who
}

func newConn(s *Server, tcp net.Conn, log *zap.Logger) *conn {
	return &conn{
		srv:  s,
		tcp:  tcp,
		log:  log.With(zap.Stringer("remote_addr", tcp.RemoteAddr())),
		from: s.opts.Domain,
	}
}

// drain drains the connection. A connection that is not bound yet is closed, because it can lose
// nothing. drain returns false if the connection was draining already.
func (c *conn) drain() bool {
	c.mu.Lock()
	already, bound, cancel := c.draining, c.session, c.cancel
	c.draining = true
	c.mu.Unlock()
	switch {
	case already:
	case bound != nil:
		bound.drain()
	case cancel != nil:
		cancel(ccs.ErrShuttingDown)
	}
	return !already
}

// begin makes drain able to end the connection.
func (c *conn) begin(cancel context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	if c.draining {
		cancel(ccs.ErrShuttingDown)
	}
}

// bound makes drain able to drain the session.
func (c *conn) bound(s *session) {
	c.mu.Lock()
	c.session = s
	draining := c.draining
	c.mu.Unlock()
	if draining {
		s.drain()
	}
}

// serve runs the connection until it ends.
func (c *conn) serve(ctx context.Context) {
	defer c.tcp.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.begin(cancel)
	accepted := time.Now()
	c.tcp.SetDeadline(accepted.Add(c.srv.opts.HandshakeTimeout))
	stop := context.AfterFunc(ctx, func() { c.tcp.SetReadDeadline(longAgo) })
	defer stop()
	if t := listener.TCP(c.tcp); t != nil {
		// The kernel finds dead peers, because clients of that time never answer pings (CCS 1.9).
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	}
	c.eager = eagerconn.New(c.tcp)
	c.eager.Charge(c.srv.opts.LoginBudget, maxBeforeBind)
	defer c.eager.Discharge()
	c.nc = tls.Server(c.eager, c.srv.opts.TLS)
	if err := c.nc.HandshakeContext(ctx); err != nil {
		// A peer that speaks plain XMPP on a TLS port ends here too: STARTTLS is not offered
		// (CCS 1.2).
		c.log.Info("TLS handshake failed", zap.Error(err))
		return
	}
	c.eager.Discharge()
	c.nc.SetDeadline(accepted.Add(c.srv.opts.AuthTimeout))
	if ctx.Err() != nil {
		c.nc.SetReadDeadline(longAgo) // the deadline above was set after the end
	}
	c.in = stanza.NewReader(c.nc, stanza.BeforeBind)
	err := c.negotiate(ctx)
	defer c.srv.leave(c.sender)
	if err == nil {
		c.nc.SetDeadline(time.Time{})
		if ctx.Err() != nil {
			c.nc.SetReadDeadline(longAgo)
		}
		c.runSession(ctx)
	} else {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.log.Info("negotiation failed", zap.Error(err))
		c.farewell(err)
	}
	c.hangUp()
}

// maxBeforeBind is how many bytes a peer may send in its handshake, and after that until it has
// bound an address. Clients need about two thousand.
const maxBeforeBind = 128 << 10

// longAgo is a deadline that unblocks a read at once.
var longAgo = time.Unix(1, 0)

// farewellTimeout bounds the last write to a peer.
const farewellTimeout = 2 * time.Second

// farewell tells the peer why its stream ends: with a stream error if the peer broke a rule, with a
// plain end if the peer closed it (CCS 1.10).
func (c *conn) farewell(err error) {
	var b []byte
	if !c.opened {
		b = appendHeader(b, c.from)
	}
	cond, ok := condition(err)
	switch {
	case ok:
		b = appendStreamError(b, cond)
	default:
		b = append(b, streamEnd...)
	}
	if c.broken {
		return
	}
	c.setWriteDeadline(time.Now().Add(farewellTimeout))
	if _, err := c.nc.Write(b); err != nil {
		c.broken = true
	}
}

// setWriteDeadline sets the deadline of the next write, at most the connection's own.
func (c *conn) setWriteDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lastWord.IsZero() && c.lastWord.Before(t) {
		t = c.lastWord
	}
	c.nc.SetWriteDeadline(t)
}

// endWrites makes every write end within the given time, including a running one. A peer that does
// not read must not delay the end of the server.
func (c *conn) endWrites(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := time.Now().Add(within)
	if c.lastWord.IsZero() || last.Before(c.lastWord) {
		c.lastWord = last
		c.nc.SetWriteDeadline(last)
	}
}

// condition returns the stream error for the end of a connection, or false for a plain end.
func condition(err error) (stream.Error, bool) {
	var cond stream.Error
	var broken *stanza.StreamError
	var broke net.Error
	switch {
	case errors.As(err, &cond):
		return cond, true
	case errors.As(err, &broken):
		return stream.Error{Err: broken.Condition}, true
	case errors.Is(err, ccs.ErrShuttingDown):
		return stream.SystemShutdown, true
	case errors.Is(err, ccs.ErrTakenOver):
		return stream.Conflict, true
	case errors.Is(err, ccs.ErrWrongKey):
		return stream.NotAuthorized, true
	case errors.Is(err, store.ErrUnavailable):
		// The client should try again, so this is not internal-server-error.
		return stream.ResourceConstraint, true
	case errors.Is(err, errSlowReader), errors.Is(err, eagerconn.ErrTooMuch):
		return stream.PolicyViolation, true
	case errors.Is(err, eagerconn.ErrNoRoom):
		return stream.ResourceConstraint, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errDrained), errors.Is(err, errGivenUp), errors.Is(err, net.ErrClosed):
		return stream.Error{}, false
	case errors.As(err, &broke):
		return stream.ConnectionTimeout, broke.Timeout()
	}
	return stream.InternalServerError, true
}

// lingerTimeout and lingerBytes bound how much is read from a peer after our side has ended.
const (
	lingerTimeout = time.Second
	lingerBytes   = 1 << 20
)

// hangUp closes our side and reads for a moment what the peer still sends. Closing with unread
// bytes would reset the connection, and the peer would lose our last bytes.
func (c *conn) hangUp() {
	if c.broken || c.nc.CloseWrite() != nil {
		return
	}
	if t := listener.TCP(c.tcp); t != nil {
		t.CloseWrite()
	}
	c.tcp.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.CopyN(io.Discard, c.tcp, lingerBytes)
}
