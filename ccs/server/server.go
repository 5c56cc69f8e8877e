package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/cluster"
	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Server is a running ccs.
type Server struct {
	// These fields do not change after Start.
	conf    Config
	log     *zap.Logger
	store   store.Store
	cluster *cluster.Cluster // nil if no other process shares the store
	turns   *turns
	router  *ccs.Router
	gate    *admission.Gate
	xmpp    *xmppserver.Server
	mcs     *mcsserver.Server
	http    *httpserver.Server
	admin   *admin.Server
	tokens  *oauth.Issuer
	memory  *flowcontrol.Budget
	card    card.Card

	stop    context.CancelFunc // ends the background work of the router
	running *errgroup.Group    // all goroutines that Start started
	failed  context.Context    // ends when the first of these ends
	once    sync.Once

	draining atomic.Bool // true after Drain or Shutdown was called
	ended    error
}

// certificates loads the given certificate or makes a development one. It also returns the path of
// the CA that clients must trust, or "" for the given certificate.
func (s *Server) certificates() (*tls.Config, string, error) {
	cert, key, ca := s.conf.TLSCert, s.conf.TLSKey, ""
	if cert == "" {
		files, err := devcert.Ensure(s.conf.DataDir, append(devcert.Names(), s.conf.Domain, s.conf.DeviceDomain), time.Now())
		if err != nil {
			return nil, "", err
		}
		cert, key, ca = files.Cert, files.Key, files.CA
		if ca, err = filepath.Abs(ca); err != nil {
			return nil, "", err
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, "", &ConfigError{Flag: "tls-cert", Value: cert, Problem: err.Error(), Mend: "give a PEM chain and the key that belongs to it"}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, ca, nil
}

func (s *Server) makeEndpoints(tlsConf *tls.Config) {
	maxConns, _, _ := s.gate.Limits()
	login := flowcontrol.NewBudget(eagerconn.LoginMemory)
	memory := flowcontrol.NewBudget(memoryBudget(s.conf))
	s.memory = memory
	s.log.Info("memory for messages in flight is limited", zap.Int64("limit", memory.Limit()))
	s.xmpp = xmppserver.New(s.router, xmppserver.Options{
		TLS: tlsConf, Logger: s.conf.Logger, LoginBudget: login, Memory: memory, DrainMax: s.conf.DrainTimeout,
		Domain: s.conf.Domain, DeviceDomain: s.conf.DeviceDomain,
		RefuseOverrun: s.conf.WindowOverrun == overrunNack, NoControlID: s.conf.NoControlID,
		MaxConns: maxConns,
	})
	s.mcs = mcsserver.New(s.router, mcsserver.Options{
		TLS: tlsConf, Logger: s.conf.Logger, LoginBudget: login, Memory: memory, Heartbeat: s.conf.Heartbeat, KeepAlive: s.conf.MCSKeepAlive,
		MaxConns: maxConns,
	})
	settings, _ := parseSettings(s.conf.CheckinSettings) // Validate has seen them
	s.http = httpserver.New(s.router, httpserver.Options{
		Logger: s.conf.Logger, Bodies: login, Memory: memory, Routes: s.doors(), Settings: settings, PerAddress: perMinute(s.conf.HTTPRate), Exempt: s.gate.Exempt,
		Failed: s.router.StoreFailed, Health: s.Health,
	})
}

// keysChanged closes the connections of revoked keys on this node and on other nodes.
func (s *Server) keysChanged(sender string) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	s.endRevoked(ctx, ccs.SenderID(sender))
	if err := s.router.PublishProjectChange(ctx, ccs.SenderID(sender)); err != nil {
		s.log.Warn("a revoked key may serve its connections on other nodes for longer", zap.Duration("limit", recheckKeys), zap.Error(err))
	}
}

func (s *Server) endRevoked(ctx context.Context, sender ccs.SenderID) {
	if err := s.xmpp.KeysChanged(ctx, sender); err != nil && ctx.Err() == nil {
		s.log.Error("look up connections of a revoked key failed", zap.String("sender", string(sender)), zap.Error(err))
	}
}

// recheckKeys is the interval at which the server checks the keys of all connections. A check
// finds changes without a hint: the hint of another node got lost, or a command changed the store.
const recheckKeys = 10 * time.Second

// watchKeys closes connections whose keys were revoked on other nodes, until ctx ends.
func (s *Server) watchKeys(ctx context.Context) error {
	tick := time.NewTicker(recheckKeys)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sender := <-s.router.Changed():
			s.endRevoked(ctx, sender)
		case <-tick.C:
			for _, sender := range s.xmpp.Senders() {
				s.endRevoked(ctx, sender)
			}
		}
	}
}

// DrainConnections starts to drain connections of app servers and returns their number (CCS 3.7).
// sender and conn, a bound address or resource, select them; "" selects all. DrainConnections does
// not wait for them.
func (s *Server) DrainConnections(sender, conn string) int {
	return s.xmpp.DrainSome(ccs.SenderID(sender), conn)
}

func (s *Server) serve(l *listeners, tlsConf *tls.Config) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running, s.failed = errgroup.WithContext(context.Background())
	run := func(what string, f func() error, ends ...error) {
		s.running.Go(func() error {
			err := f()
			for _, end := range ends {
				if errors.Is(err, end) {
					return nil
				}
			}
			s.log.Error("part of the server failed", zap.String("kind", what), zap.Error(err))
			return fmt.Errorf("%s: %w", what, err)
		})
	}
	run("xmpp", func() error { return s.xmpp.Serve(l.xmpp, "production") }, listener.ErrClosed)
	if l.xmppTest != nil {
		run("xmpp test", func() error { return s.xmpp.Serve(l.xmppTest, "testing") }, listener.ErrClosed)
	}
	run("mcs", func() error { return s.mcs.Serve(l.mcs) }, listener.ErrClosed)
	run("http", func() error { return s.http.ServeTLS(l.http, tlsConf) }, http.ErrServerClosed)
	if l.plain != nil {
		run("http plain", func() error { return s.http.Serve(l.plain) }, http.ErrServerClosed)
	}
	run("keys", func() error { return s.watchKeys(ctx) }, context.Canceled)
	run("memory", func() error { return s.giveBack(ctx) }, context.Canceled)
	run("memory log", func() error { return watchMemory(ctx, s.log, s.memory) }, context.Canceled)
	run("router", func() error { return s.router.Run(ctx) }, context.Canceled)
	run("store log", func() error { return s.router.WatchStore(ctx) }, context.Canceled)
	if b, ok := s.store.(store.Breakable); ok {
		run("store", func() error {
			select {
			case <-b.Broken():
				return b.Health()
			case <-ctx.Done():
				return ctx.Err()
			}
		}, context.Canceled)
	}
}

// XMPPAddr returns the address for app servers.
func (s *Server) XMPPAddr() string { return s.card.XMPP }

// XMPPTestAddr returns the address for app servers under test, or "" for none.
func (s *Server) XMPPTestAddr() string { return s.card.XMPPTest }

// MCSAddr returns the address to which devices connect.
func (s *Server) MCSAddr() string { return s.card.MCS }

// HTTPURL returns the URL at which devices check in and register.
func (s *Server) HTTPURL() string { return s.card.HTTP }

// CAFile returns the path of the CA that clients must trust, or "" for the CAs of the system.
func (s *Server) CAFile() string { return s.card.CAFile }

// Card returns the connection card: all these addresses, and a project for logins.
func (s *Server) Card() *card.Card {
	c := s.card
	return &c
}

// Drain drains the connections of all app servers: each gets the control message and its last
// answers, and is closed when nothing is in flight (CCS 3.7). Drain returns when the last one is
// closed or ctx ends. The caller must still call Shutdown.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.http.Drain()
	s.router.Stop()
	return s.xmpp.Drain(ctx)
}

// Errors of Health, in the words that a health check shows. The log has the details.
var (
	errDraining         = errors.New("draining")
	errStoreUnavailable = errors.New("store unavailable")
)

// Health returns the reason why clients must not use the server now, or nil. It makes no call to
// the store and returns at once.
func (s *Server) Health() error {
	switch {
	case s.draining.Load():
		return errDraining
	case s.router.StoreHealth() != nil:
		return errStoreUnavailable
	}
	return nil
}

// shutdownTimeout limits the wait of Shutdown if the context of the caller does not.
const shutdownTimeout = 10 * time.Second

// Shutdown stops the server. All acknowledged messages are stored.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
		defer cancel()
		s.router.Stop()
		s.draining.Store(true)
		s.log.Info("shutdown started")
		errs := []error{
			s.stopAdmin(ctx),
			s.xmpp.Close(),
			s.http.Shutdown(ctx),
			s.mcs.Close(),
		}
		s.stop()
		errs = append(errs, s.running.Wait())
		if s.cluster != nil {
			s.cluster.Close()
		}
		if s.conf.Audit != nil {
			errs = append(errs, s.conf.Audit(s.router.Tally(), s.store))
		}
		errs = append(errs, s.store.Close(), s.turns.close())
		s.ended = errors.Join(errs...)
	})
	return s.ended
}

func (s *Server) stopAdmin(ctx context.Context) error {
	if s.admin == nil {
		return nil
	}
	return s.admin.Shutdown(ctx)
}

// Wait waits until a part of the server fails and returns its error. After Shutdown it returns nil.
func (s *Server) Wait() error {
	<-s.failed.Done()
	if err := context.Cause(s.failed); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
