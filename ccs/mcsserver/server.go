package mcsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"openccs/ccs"
)

// Options are what a Server may be told. The zero value of a field means its default; TLS is needed.
type Options struct {
	TLS    *tls.Config // with a default certificate: the npm clients send no SNI (DEV 4)
	Logger *zap.Logger // default: none

	HandshakeTimeout time.Duration // from accept to the end of the TLS handshake; default 10s
	LoginTimeout     time.Duration // from accept to the login's answer; default 30s (DEV 4)
	WriteTimeout     time.Duration // for a device to take what is written; default 30s
	Heartbeat        time.Duration // interval to tell devices in heartbeat_config; default: none, they choose (DEV 8)
	MaxConns         int           // connections at a time, ones before login included; default 100000
}

func (o Options) withDefaults() Options {
	setDefault(&o.HandshakeTimeout, 10*time.Second)
	setDefault(&o.LoginTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 30*time.Second)
	setDefault(&o.MaxConns, 100_000)
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

// ErrServerClosed is what Serve returns after Close.
var ErrServerClosed = errors.New("mcsserver: closed")

// Server serves devices on any number of listeners.
type Server struct {
	router *ccs.Router
	opts   Options
	log    *zap.Logger

	// ctx ends all store calls of connections, with its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc
	conns  sync.WaitGroup

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	live      map[*conn]struct{}
	closed    bool
}

// New makes a server for a router.
func New(router *ccs.Router, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		router:    router,
		opts:      o,
		log:       o.Logger.Named("mcs"),
		listeners: make(map[net.Listener]struct{}),
		live:      make(map[*conn]struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// acceptPause keeps a listener that fails (too many open files) from spinning.
const acceptPause = 50 * time.Millisecond

// Serve accepts plain connections from l, which TLS is spoken on, until the server ends.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	for {
		tcp, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return ErrServerClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.log.Warn("accept", zap.Error(err))
			time.Sleep(acceptPause)
			continue
		}
		c := &conn{srv: s, tcp: tcp}
		if !s.add(c) {
			s.log.Warn("connection refused: too many", zap.Int("limit", s.opts.MaxConns), zap.Stringer("peer", tcp.RemoteAddr()))
			tcp.Close()
			continue
		}
		go func() {
			defer s.remove(c)
			c.serve()
		}()
	}
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.live) >= s.opts.MaxConns {
		return false
	}
	s.live[c] = struct{}{}
	s.conns.Add(1)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.live, c)
	s.mu.Unlock()
	s.conns.Done()
}

// Close says Close to every device, ends its connection and waits for all. Devices come back by
// themselves (DEV 11).
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel(ccs.ErrShuttingDown)
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.live {
		c.close(ccs.ErrShuttingDown)
	}
	s.mu.Unlock()
	s.conns.Wait()
	return nil
}
