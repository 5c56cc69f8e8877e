package xmppserver

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/flowcontrol"
)

// Options are the options of a Server. The zero value of a field means its default; TLS is
// required.
type Options struct {
	TLS    *tls.Config
	Logger *zap.Logger // default: none

	Domain       string   // domain of app servers' addresses; default gcm.googleapis.com
	Domains      []string // further domains that their logins may name (CCS 1.6)
	DeviceDomain string   // domain of devices' addresses; default device.gcm.googleapis.com

	// HandshakeTimeout is from accept to the end of the TLS handshake; default 10s (CCS 1.6).
	HandshakeTimeout time.Duration
	AuthTimeout      time.Duration // from accept to bind; default 30s (CCS 1.6)
	// StanzaTimeout is from the first byte of a stanza to its last, after bind; default 60s.
	StanzaTimeout time.Duration
	// WriteTimeout is how long a peer may take to read what is written; default 30s (CCS 4.1).
	WriteTimeout time.Duration
	// KeepAlive is how long nothing is written until a space is sent; default 60s (CCS 1.9).
	KeepAlive time.Duration
	// ResendAfter is how long a message stays unacknowledged until it is sent again. It doubles
	// each time; default 60s (CCS 4.3).
	ResendAfter time.Duration
	// DrainMin is the shortest time from the control message to the close; default 1s (CCS 3.7).
	DrainMin time.Duration
	// DrainMax is the longest such time; default 30s.
	DrainMax time.Duration
	// RefuseOverrun answers a message beyond the window with SERVICE_UNAVAILABLE instead of
	// waiting. It is for tests of app servers (CCS 4.1).
	RefuseOverrun bool
	// NoControlID leaves message_id out of the control message, as Google did (CCS 3.7).
	NoControlID bool
	// LoginBudget bounds the bytes of all connections that are not bound; default 32 MiB.
	LoginBudget *flowcontrol.Budget
	// Memory bounds the bytes of messages that all sessions hold; default 256 MiB.
	Memory *flowcontrol.Budget
	// MaxConns limits connections at a time, negotiating ones included; default 10000.
	MaxConns int
	// MaxPerSender limits the logged-in connections of one sender; default 1000 (CCS 4.5).
	MaxPerSender int
	// FailedLogins limits failures of one address; default one a second, 100 at once (CCS 1.6).
	FailedLogins flowcontrol.Rate
}

func (o Options) withDefaults() Options {
	setDefault(&o.Domain, domains.GCM)
	setDefault(&o.DeviceDomain, domains.Devices)
	setDefault(&o.HandshakeTimeout, 10*time.Second)
	setDefault(&o.AuthTimeout, 30*time.Second)
	setDefault(&o.StanzaTimeout, 60*time.Second)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.KeepAlive, 60*time.Second)
	setDefault(&o.ResendAfter, 60*time.Second)
	setDefault(&o.DrainMin, time.Second)
	setDefault(&o.DrainMax, 30*time.Second)
	setDefault(&o.MaxConns, 10_000)
	setDefault(&o.MaxPerSender, 1000)
	if o.Memory == nil {
		o.Memory = flowcontrol.NewBudget(256 << 20)
	}
	if o.LoginBudget == nil {
		o.LoginBudget = flowcontrol.NewBudget(eagerconn.LoginMemory)
	}
	setDefault(&o.FailedLogins, flowcontrol.Rate{Every: time.Second, Burst: 100})
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Server serves app servers, and devices that use XMPP, on any number of listeners.
type Server struct {
	router  *ccs.Router
	opts    Options
	log     *zap.Logger
	domains map[string]bool

	// ctx, when done, ends all connections, with its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc
	conns  *listener.Set[*conn]

	throttle *throttle
	logins   atomic.Int64

	mu      sync.Mutex
	senders map[ccs.SenderID]int // logged-in connections
}

// New returns a server for a router.
func New(router *ccs.Router, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		router:  router,
		opts:    o,
		log:     o.Logger.Named("xmpp"),
		domains: map[string]bool{o.Domain: true},
		senders: make(map[ccs.SenderID]int),

		throttle: newThrottle(o.FailedLogins),
	}
	s.conns = listener.New[*conn](o.MaxConns, s.log)
	for _, d := range domains.Logins() {
		s.domains[d] = true
	}
	for _, d := range o.Domains {
		s.domains[d] = true
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Logins returns how many sessions were opened since the start.
func (s *Server) Logins() int64 { return s.logins.Load() }

// Serve accepts plain connections from l and speaks TLS on them, until the server ends. name is
// only for the log: the two environments of GCM share one message plane (CCS 1.1).
func (s *Server) Serve(l net.Listener, name string) error {
	log := s.log.With(zap.String("listener", name))
	return s.conns.Serve(l, func(tcp net.Conn) *conn { return newConn(s, tcp, log) }, func(c *conn) listener.Next { c.serve(s.ctx); return nil })
}

// enter counts a login, or returns false if the sender has its limit of connections. Then its
// client must back off; no older connection ends for it (CCS 4.5).
func (s *Server) enter(sender ccs.SenderID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.senders[sender] >= s.opts.MaxPerSender {
		return false
	}
	s.senders[sender]++
	return true
}

// leave undoes enter. sender is "" for a connection that never logged in.
func (s *Server) leave(sender ccs.SenderID) {
	if sender == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.senders[sender]--; s.senders[sender] == 0 {
		delete(s.senders, sender)
	}
}

// Senders lists the senders with logged-in connections.
func (s *Server) Senders() []ccs.SenderID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.senders))
}

// DrainSome starts to drain logged-in connections of a sender ("" for any) with a bound address (""
// for any), and returns their number (CCS 3.7). A bare resource also names a connection.
func (s *Server) DrainSome(sender ccs.SenderID, jid string) int {
	n := 0
	s.conns.Each(func(c *conn) {
		who := c.principal()
		_, resource, _ := strings.Cut(who.jid, "/")
		if who.sender == "" || sender != "" && who.sender != sender || jid != "" && jid != who.jid && jid != resource {
			return
		}
		if c.drain() {
			n++
		}
	})
	return n
}

// KeysChanged drains the connections of a sender whose key the sender no longer has.
func (s *Server) KeysChanged(ctx context.Context, sender ccs.SenderID) error {
	keys, err := s.router.Keys(ctx, sender)
	if err != nil {
		return err
	}
	s.conns.Each(func(c *conn) {
		if who := c.principal(); who.sender == sender && !slices.Contains(keys, who.keyID) {
			s.log.Info("key revoked", zap.String("sender", string(sender)), zap.String("key_id", who.keyID), zap.String("conn", who.jid))
			c.drain()
		}
	})
	return nil
}

// Drain stops accepting, sends every session CONNECTION_DRAINING, and returns when all have ended
// or ctx has (CCS 3.7). It closes connections that are not bound yet.
func (s *Server) Drain(ctx context.Context) error {
	s.conns.Close(func(c *conn) { c.drain() })
	done := make(chan struct{})
	go func() {
		s.conns.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends every connection with a stream error and waits for them.
func (s *Server) Close() error {
	s.conns.Close(func(*conn) {})
	s.cancel(ccs.ErrShuttingDown)
	s.conns.Wait()
	return nil
}
