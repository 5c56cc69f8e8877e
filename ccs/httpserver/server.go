package httpserver

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Limits for a connection. A device posts a small body and goes.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 32 << 10 // microG repeats form fields as headers (DEV 3.1)

	maxStreams  = 100       // concurrent requests of an HTTP/2 connection; resets do not make room for more at once
	http2Buffer = 128 << 10 // bytes of bodies that an HTTP/2 connection may send before they are read
)

// Devices decides what devices ask for. Methods are called from many goroutines.
type Devices interface {
	// CheckIn enrols a device that has no identity (0, 0) and confirms one that has. It returns
	// ccs.ErrUnknownDevice for a pair that is not right.
	CheckIn(ctx context.Context, id, token uint64) (newID, newToken uint64, err error)
	// Authenticate returns ccs.ErrUnknownDevice for a pair that is not right.
	Authenticate(ctx context.Context, id, token uint64) error
	// RegisterFrom completes a registration, which comes without Token and Created, for a device whose new devices
	// are counted by its network, unless that is zero; ccs.ErrInvalidSender if one of its Senders is none.
	RegisterFrom(ctx context.Context, r store.Registration, network netip.Prefix) (*store.Registration, error)
	// Unregister removes a classic registration by device, app and subtype, and Instance ID tokens
	// also by sender and scope, of which "*" stands for all (DEV 3.3).
	Unregister(ctx context.Context, r store.Registration) error
}

// Options is how a Server behaves. The zero value works.
type Options struct {
	Logger *zap.Logger // default none

	// Settings is what check-ins hand out (DEV 2.5), and takes the place of what a device had before; default
	// none, which leaves devices what they have.
	Settings map[string]string
	// PerAddress is how often an address may call; default DefaultPerAddress.
	PerAddress flowcontrol.Rate
	// Exempt reports whether an address may call as often as it likes, and have as many new devices; default those of
	// loopback, where a proxy on this machine comes from, and so everybody.
	Exempt func(netip.Addr) bool
	// Failed logs a call that failed for reasons of our own, ccs.Router.StoreFailed for one; default an error line.
	Failed func(log *zap.Logger, what string, err error, fields ...zap.Field)
	// Health returns why the server shall not be used now, or nil. It must return at once; default nil always.
	Health func() error
	// Bodies bounds the bytes that are held of requests and of TLS handshakes; default eagerconn.LoginMemory. A request
	// that finds it used up is answered 503.
	Bodies *flowcontrol.Budget
	// Memory bounds the bytes that are held of requests of senders; default Bodies.
	Memory *flowcontrol.Budget

	Routes []Route // the calls of other doors; default none
}

// Server answers devices.
type Server struct {
	devices  Devices
	log      *zap.Logger
	http     *http.Server
	settings settings
	calls    *limiter
	bodies   *flowcontrol.Budget
	memory   *flowcontrol.Budget
	draining atomic.Bool
	failed   func(log *zap.Logger, what string, err error, fields ...zap.Field)
	health   func() error
}

// New makes a server that asks d.
func New(d Devices, o Options) *Server {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.PerAddress.Every == 0 {
		o.PerAddress = DefaultPerAddress
	}
	if o.Exempt == nil {
		o.Exempt = netip.Addr.IsLoopback
	}
	if o.Failed == nil {
		o.Failed = func(log *zap.Logger, what string, err error, fields ...zap.Field) {
			log.Error(what, append(fields, zap.Error(err))...)
		}
	}
	if o.Health == nil {
		o.Health = func() error { return nil }
	}
	if o.Bodies == nil {
		o.Bodies = flowcontrol.NewBudget(eagerconn.LoginMemory)
	}
	if o.Memory == nil {
		o.Memory = o.Bodies
	}
	s := &Server{
		bodies:  o.Bodies,
		memory:  o.Memory,
		failed:  o.Failed,
		health:  o.Health,
		devices: d, log: o.Logger.Named("httpserver"),
		settings: newSettings(o.Settings), calls: newLimiter(o.PerAddress, o.Exempt),
	}
	// What net/http logs is about broken peers.
	errorLog, err := zap.NewStdLogAt(s.log, zapcore.DebugLevel)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	s.http = &http.Server{
		Handler:           s.routes(o.Routes),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
		ConnState:         stateChanged,
		ConnContext:       withConn,
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerConnection: http2Buffer,
			MaxReceiveBufferPerStream:     http2Buffer,
		},
	}
	s.http.Protocols.SetHTTP1(true)
	// net/http sees no *tls.Conn, so it takes HTTP/2 for unencrypted and goes by the first bytes of a connection.
	s.http.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// Handler is the endpoint without connections, for embedding and for tests.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on the listener's connections until Shutdown, and then returns http.ErrServerClosed. It
// may be called for several listeners.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(wrapping{l, s.bodies}) }

// maxHandshake is how many bytes a client may send in its TLS handshake.
const maxHandshake = 128 << 10

// ServeTLS is Serve with TLS on the listener's connections. What handshakes hold is charged to Options.Bodies.
// It offers HTTP/2 and HTTP/1.1.
func (s *Server) ServeTLS(l net.Listener, conf *tls.Config) error {
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	return s.Serve(tls.NewListener(eagerconn.LimitListener(l, s.bodies, maxHandshake), conf))
}

// Drain makes each answer from now on end its connection. Requests are still answered.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown closes the listeners, waits for calls under way and closes what is still open when the
// context ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// healthz says whether the server is to be used now, with a short reason if not.
func (s *Server) healthz(*http.Request) Answer {
	if err := s.health(); err != nil {
		return Text(http.StatusServiceUnavailable, err.Error())
	}
	return Text(http.StatusOK, "ok")
}
