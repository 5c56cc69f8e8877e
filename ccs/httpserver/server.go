package httpserver

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
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
}

// Server answers devices.
type Server struct {
	devices  Devices
	log      *zap.Logger
	http     *http.Server
	settings settings
	calls    *limiter
	bodies   *flowcontrol.Budget
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
	s := &Server{
		bodies:  o.Bodies,
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
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
		ConnState:         stateChanged,
		ConnContext:       withConn,
	}
	return s
}

// routes is every call there is. The mux answers 404, and 405 with Allow, by itself.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	checkIn := s.answering(s.limited(textAnswer(0, "too many calls"), s.checkIn))
	// The word is the one that every client takes for a reason to try again, removals too (DEV 3.4).
	register := s.answering(s.limited(textAnswer(0, "Error="+string(wordInternal)), s.register))
	mux.HandleFunc("POST /checkin", checkIn)
	mux.HandleFunc("POST /c2dm/register3", register)
	mux.HandleFunc("POST /c2dm/register", register)
	mux.HandleFunc("POST /v1/projects/{project}/installations", s.answering(s.limited(textAnswer(0, "too many calls"), s.install)))
	mux.HandleFunc("GET /healthz", s.answering(s.healthz))
	return closeChunked(mux)
}

// closeChunked ends the connection after a chunked request that has Content-Length too, or may have: it may hide
// another request (RFC 9112 §6.3).
func closeChunked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			if c, ok := r.Context().Value(connKey{}).(*conn); !ok || c.lost() {
				w.Header().Set("Connection", "close")
			}
		}
		h.ServeHTTP(w, r)
	})
}

// Handler is the endpoint without connections, for embedding and for tests.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on the listener's connections until Shutdown, and then returns http.ErrServerClosed. It
// may be called for several listeners.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(wrapping{l, s.bodies}) }

// maxHandshake is how many bytes a client may send in its TLS handshake.
const maxHandshake = 128 << 10

// ServeTLS is Serve with TLS on the listener's connections. What handshakes hold is charged to Options.Bodies.
func (s *Server) ServeTLS(l net.Listener, conf *tls.Config) error {
	return s.Serve(tls.NewListener(eagerconn.LimitListener(l, s.bodies, maxHandshake), conf))
}

// Shutdown closes the listeners, waits for calls under way and closes what is still open when the
// context ends.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// healthz says whether the server is to be used now, with a short reason if not.
func (s *Server) healthz(*http.Request) answer {
	if err := s.health(); err != nil {
		return textAnswer(http.StatusServiceUnavailable, err.Error())
	}
	return textAnswer(http.StatusOK, "ok")
}
