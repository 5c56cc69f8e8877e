package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/cluster"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
)

// Start starts a server and returns when all listeners accept. A busy port, an unusable directory
// and a second server on the same directory are errors. Each error names it and says what to do.
func Start(ctx context.Context, conf Config) (*Server, error) {
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	if conf.Logger == nil {
		conf.Logger = zap.NewNop()
	}
	if conf.Network == nil {
		conf.Network = tcp{}
	}
	s := &starter{Server: &Server{conf: conf, log: conf.Logger.Named("server")}}
	for _, step := range []func(context.Context) error{
		s.openDataDir,
		s.openStore,
		s.loadCertificates,
		s.makeRouter,
		s.joinCluster,
		s.openListeners,
		s.makeEndpoints,
		s.startAdmin,
		s.publishCard, // from here on no other server runs on the directory
	} {
		if err := step(ctx); err != nil {
			s.undo.run()
			return nil, err
		}
	}
	s.serve(s.listeners, s.tls)
	s.log.Info("ready", zap.String("xmpp", s.card.XMPP), zap.String("xmpp_test", s.card.XMPPTest),
		zap.String("mcs", s.card.MCS), zap.String("http", s.card.HTTP), zap.String("store", redisstore.Redacted(conf.Store)))
	return s.Server, nil
}

// cleanups undo the steps of a failed start, the last one first.
type cleanups []func()

func (c *cleanups) push(f func()) { *c = append(*c, f) }

func (c cleanups) run() {
	for i := len(c) - 1; i >= 0; i-- {
		c[i]()
	}
}

// starter is a Server during its start. Each step uses the results of earlier steps and pushes a
// function that undoes the step.
type starter struct {
	*Server
	undo cleanups

	tls       *tls.Config
	listeners *listeners
	projects  *admin.Projects
}

func (s *starter) openDataDir(context.Context) error { return makeDataDir(s.conf.DataDir) }

func (s *starter) openStore(ctx context.Context) (err error) {
	if s.store, err = OpenStore(ctx, s.conf); err != nil {
		return err
	}
	s.undo.push(func() { s.store.Close() })
	return nil
}

func (s *starter) loadCertificates(context.Context) (err error) {
	s.tls, s.card.CAFile, err = s.certificates()
	return err
}

func (s *starter) makeRouter(ctx context.Context) error {
	var err error
	if s.tokens, err = oauth.New(ctx, s.store); err != nil {
		return err
	}
	if s.turns, err = newTurns(s.conf.Network); err != nil {
		return fmt.Errorf("make turns: %w", err)
	}
	s.undo.push(func() { s.turns.close() })
	var others ccs.Cluster
	if shared, ok := s.store.(store.Coordinator); ok {
		s.cluster = cluster.New(shared, cluster.Options{
			Logger: s.conf.Logger, Heartbeat: s.conf.NodeHeartbeat, ComeBack: ccs.DefaultReturnGrace,
		})
		others = s.cluster
	}
	s.router, err = ccs.New(ctx, s.store, ccs.Options{
		Cluster:    others,
		Turns:      s.turns.Turns,
		Tokens:     s.tokens,
		Clock:      s.conf.Clock,
		Observer:   s.conf.Observer,
		Logger:     s.conf.Logger,
		NewDevices: s.conf.NewDevices,
		Profile:    s.conf.profile(),
	})
	return err
}

// joinCluster makes the server one of the nodes that share its store.
func (s *starter) joinCluster(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	s.undo.push(s.cluster.Close)
	return s.cluster.Join(ctx, s.router.Node())
}

func (s *starter) openListeners(context.Context) (err error) {
	s.gate = s.makeGate()
	if s.listeners, err = s.listen(); err != nil {
		return err
	}
	s.undo.push(s.listeners.close)
	return nil
}

func (s *starter) makeEndpoints(context.Context) error {
	s.Server.makeEndpoints(s.tls)
	return nil
}

func (s *starter) startAdmin(ctx context.Context) (err error) {
	s.projects = admin.NewProjects(s.store, admin.Options{OnKeyRevoked: s.keysChanged, Issuer: s.tokens})
	if s.conf.NoAdmin {
		return nil
	}
	mux := http.NewServeMux()
	admin.ProjectRoutes(mux, s.projects)
	membershipRoutes(mux, &memberships{s.router, s.store})
	admin.DrainRoute(mux, s.DrainConnections)
	admin.ProfileRoutes(mux)
	if s.admin, err = admin.Start(s.conf.DataDir, mux, s.conf.Logger); err != nil {
		return err
	}
	s.undo.push(func() { s.admin.Shutdown(ctx) })
	return nil
}

func (s *starter) publishCard(ctx context.Context) error {
	l := s.listeners
	s.card.XMPP = card.DialAddr(addr(l.xmpp))
	s.card.XMPPTest = card.DialAddr(addr(l.xmppTest))
	s.card.MCS = card.DialAddr(addr(l.mcs))
	s.card.HTTP = "https://" + card.DialAddr(addr(l.http))
	s.card.PID = os.Getpid()
	s.card.Started = time.Now()
	return s.writeCard(ctx, s.projects)
}

func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &ConfigError{Flag: "data", Value: dir, Problem: err.Error(), Mend: "name a directory that ccs may create and write to"}
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return &ConfigError{Flag: "data", Value: dir, Problem: err.Error(), Mend: "make it writable for this user, or name another"}
	}
	probe.Close()
	return os.Remove(probe.Name())
}
