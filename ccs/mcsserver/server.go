package mcsserver

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/flowcontrol"
)

// Options are the options of a Server. The zero value of a field means its default; TLS is
// required.
type Options struct {
	TLS    *tls.Config // with a default certificate, because the npm clients send no SNI (DEV 4)
	Logger *zap.Logger // default: none

	HandshakeTimeout time.Duration // from accept to the end of the TLS handshake; default 10s
	LoginTimeout     time.Duration // from accept to the answer of the login; default 30s (DEV 4)
	WriteTimeout     time.Duration // how long a device may take to read what is written; default 30s
	// Heartbeat is the interval for devices in heartbeat_config. By default none is sent and
	// devices choose (DEV 8).
	Heartbeat time.Duration
	// KeepAlive is the time without traffic until a TCP keep-alive probe; default 15m. A negative
	// value turns probes off.
	KeepAlive time.Duration
	// LoginBudget bounds the bytes of all connections that have not logged in; default 32 MiB.
	LoginBudget *flowcontrol.Budget
	// Memory bounds the bytes of messages that all sessions hold; default 256 MiB.
	Memory *flowcontrol.Budget
	// MaxConns limits connections at a time, including those before login; default 100000.
	MaxConns int
}

// DefaultKeepAlive is shorter than NAT gateways remember a silent connection, and wakes a phone
// seldom.
const DefaultKeepAlive = 15 * time.Minute

func (o Options) withDefaults() Options {
	setDefault(&o.HandshakeTimeout, 10*time.Second)
	setDefault(&o.LoginTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.KeepAlive, DefaultKeepAlive)
	setDefault(&o.MaxConns, 100_000)
	if o.Memory == nil {
		o.Memory = flowcontrol.NewBudget(256 << 20)
	}
	if o.LoginBudget == nil {
		o.LoginBudget = flowcontrol.NewBudget(eagerconn.LoginMemory)
	}
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

// Server serves devices on any number of listeners.
type Server struct {
	router *ccs.Router
	opts   Options
	log    *zap.Logger

	// ctx, when done, ends all store calls of connections, with its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc
	conns  *listener.Set[*conn]
	turns  chan struct{} // each handshake that computes takes one
	logins atomic.Int64
}

// New returns a server for a router.
func New(router *ccs.Router, o Options) *Server {
	o = o.withDefaults()
	s := &Server{router: router, opts: o, log: o.Logger.Named("mcs")}
	s.conns = listener.New[*conn](o.MaxConns, s.log)
	// The other half of the processors is for everything else.
	s.turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Logins returns how many devices have logged in since the start.
func (s *Server) Logins() int64 { return s.logins.Load() }

// Serve accepts plain connections from l and speaks TLS on them, until the server ends.
func (s *Server) Serve(l net.Listener) error {
	return s.conns.Serve(l, func(tcp net.Conn) *conn { return newConn(s, tcp) }, (*conn).serve)
}

// Close spreads its work on many connections over two seconds at most.
const (
	closeAtOnce = 100 // connections, or a hundredth of all if that is more
	closeEvery  = 20 * time.Millisecond
)

// Close sends Close to every device, ends its connection and waits for all. Devices come back at
// once, perhaps to another node, so Close does not end all of them at the same moment (DEV 11).
func (s *Server) Close() error {
	var all []*conn
	s.conns.Close(func(c *conn) { all = append(all, c) })
	for some := range slices.Chunk(all, max(closeAtOnce, len(all)/closeAtOnce+1)) {
		for _, c := range some {
			c.close(ccs.ErrShuttingDown)
		}
		if len(all) > closeAtOnce {
			time.Sleep(closeEvery)
		}
	}
	s.cancel(ccs.ErrShuttingDown)
	s.conns.Wait()
	return nil
}
