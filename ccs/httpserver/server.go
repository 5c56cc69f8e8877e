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

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Limits of a connection. A device posts a small body and leaves.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 32 << 10 // microG repeats form fields as headers (DEV 3.1)

	// maxStreams limits concurrent requests of an HTTP/2 connection. A reset does not make room for
	// another one at once.
	maxStreams = 100
	// http2Buffer is how many bytes of bodies an HTTP/2 connection may send before they are read.
	http2Buffer = 128 << 10
)

// Devices decides on the requests of devices. Its methods are called from many goroutines.
type Devices interface {
	// CheckIn enrols a device that has no identity (0, 0), and confirms one that has. It returns
	// ccs.ErrUnknownDevice for a wrong pair.
	CheckIn(ctx context.Context, id, token uint64) (newID, newToken uint64, err error)
	// Authenticate returns ccs.ErrUnknownDevice for a wrong pair.
	Authenticate(ctx context.Context, id, token uint64) error
	// RegisterFrom completes a registration, which comes without Token and Created. New devices are
	// counted by network, unless that is zero. RegisterFrom returns ccs.ErrInvalidSender if one of
	// Senders is none.
	RegisterFrom(ctx context.Context, r store.Registration, network netip.Prefix) (*store.Registration, error)
	// Unregister removes a classic registration by device, app and subtype. It removes Instance ID
	// tokens also by sender and scope, where "*" stands for all (DEV 3.3).
	Unregister(ctx context.Context, r store.Registration) error
	// SubscribeDevice subscribes an app to a topic, or ends that if leave is set (TOPICS 2.2).
	// subscriber is a registration token of the app, or a sender ID. It returns the token. Its
	// errors are ccs.ErrInvalidTopic, ccs.ErrNotMember and ccs.ErrTooManyTopics.
	SubscribeDevice(ctx context.Context, device ccs.DeviceID, app, subscriber, topic string, leave bool) (token string, err error)
}

// Options are the options of a Server. The zero value works.
type Options struct {
	Logger *zap.Logger // default none

	// Settings are the settings that check-ins send (DEV 2.5). They replace those that a device had
	// before. By default none are sent, and devices keep theirs.
	Settings map[string]string
	// PerAddress is how often an address may call; default DefaultPerAddress.
	PerAddress flowcontrol.Rate
	// Exempt reports whether an address may make any number of calls, and have any number of new
	// devices. The default exempts loopback, because all calls through a proxy on this machine come
	// from there.
	Exempt func(netip.Addr) bool
	// Failed logs a call that failed because of the server, for example ccs.Router.StoreFailed;
	// default an error line.
	Failed func(log *zap.Logger, what string, err error, fields ...zap.Field)
	// Health returns why the server should not be used now, or nil. It must return at once; default
	// nil always.
	Health func() error
	// Bodies bounds the bytes that requests and TLS handshakes hold; default eagerconn.LoginMemory.
	// A request that exceeds it is answered 503.
	Bodies *flowcontrol.Budget
	// Memory bounds the bytes that requests of senders hold; default Bodies.
	Memory *flowcontrol.Budget

	Routes []Route // the calls of other doors; default none
}

// Server answers devices and, by Options.Routes, the clients of other doors.
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

// New returns a server that uses d.
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
	// The log of net/http is about broken peers.
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
	// net/http sees no *tls.Conn. It takes HTTP/2 for unencrypted and decides by the first bytes of
	// a connection.
	s.http.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// Handler returns the handler of all calls, for embedding and for tests.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on the listener's connections until Shutdown, and then returns
// http.ErrServerClosed. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(wrapping{l, s.bodies}) }

// maxHandshake is how many bytes a client may send in its TLS handshake.
const maxHandshake = 128 << 10

// ServeTLS is Serve with TLS on the listener's connections. It offers HTTP/2 and HTTP/1.1. The
// bytes that handshakes hold are charged to Options.Bodies.
func (s *Server) ServeTLS(l net.Listener, conf *tls.Config) error {
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	return s.Serve(tls.NewListener(eagerconn.LimitListener(l, s.bodies, maxHandshake), conf))
}

// Drain makes each answer from now on end its connection. Requests are still answered.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown closes the listeners and waits for running calls. When the context ends, it closes what
// is still open.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// healthz says whether the server should be used now, with a short reason if not.
func (s *Server) healthz(*http.Request) Answer {
	if err := s.health(); err != nil {
		return Text(http.StatusServiceUnavailable, err.Error())
	}
	return Text(http.StatusOK, "ok")
}
