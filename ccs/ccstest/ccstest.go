package ccstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
)

// Server is a running server with everything that clients need to use it.
type Server struct {
	*server.Server
	Sender string // sender ID of the first project
	Key    string

	t       TB
	conf    server.Config
	audit   *audit
	network *Network // nil for the machine's network
	roots   *x509.CertPool
}

// Option changes the configuration of a server before it starts.
type Option func(*server.Config)

// Disk makes the server use the embedded store instead of memory.
func Disk(c *server.Config) { c.Store = "disk:" }

// Store makes the server use the store at a URL.
func Store(url string) Option { return func(c *server.Config) { c.Store = url } }

// Clock sets the clock of messages, such as one of clock.NewManual, which a test moves.
func Clock(clock ccs.Clock) Option { return func(c *server.Config) { c.Clock = clock } }

// Profile sets the limits of an era of the protocol, such as one of ccs.NamedProfile.
func Profile(p ccs.Profile) Option { return func(c *server.Config) { c.Profile = p } }

// Start starts a server that ends with the test. The end fails the test if a message is unaccounted
// for: in each direction, those that were accepted must have ended or wait in the store. The store
// must be empty at first.
func Start(t TB, opts ...Option) *Server {
	t.Helper()
	return start(t, &audit{}, opts)
}

func start(t TB, a *audit, opts []Option) *Server {
	t.Helper()
	conf := server.Default()
	conf.DataDir = t.TempDir()
	conf.Store = "memory:"
	conf.XMPPListen, conf.MCSListen, conf.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	for _, o := range opts {
		o(&conf)
	}
	if conf.Audit == nil {
		conf.Audit = a.stopped
	}
	s := &Server{t: t, conf: conf, audit: a}
	s.network, _ = conf.Network.(*Network)
	s.start()
	t.Cleanup(s.Stop)
	return s
}

// Another starts another node on the server's store. It has the same first project, and its own
// certificate.
func (s *Server) Another(opts ...Option) *Server {
	s.t.Helper()
	other := start(s.t, s.audit, append([]Option{Store(s.conf.Store)}, opts...))
	other.Sender, other.Key = s.Sender, s.Key
	return other
}

func (s *Server) start() {
	s.t.Helper()
	var err error
	s.Server, err = server.Start(context.Background(), s.conf)
	s.must(err, "start the server")
	s.audit.started()
	s.Sender, s.Key = s.Card().SenderID, s.Card().APIKey
	pem, err := os.ReadFile(s.CAFile())
	s.must(err, "read the CA")
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(pem) {
		s.t.Fatalf("ccstest: no certificate in %s", s.CAFile())
	}
	// After a restart the server listens on the same ports, where its clients look for it.
	s.conf.XMPPListen, s.conf.MCSListen = s.XMPPAddr(), s.MCSAddr()
	s.conf.HTTPListen = s.HTTPURL()[len("https://"):]
}

// must ends the test if there is an error.
func (s *Server) must(err error, doing string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("ccstest: %s: %v", doing, err)
	}
}

// patience bounds the waits of a test.
const patience = 20 * time.Second

// Stop ends the server. A second call does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.must(s.Shutdown(ctx), "stop the server")
}

// Restart ends the server and starts it again on the same data and ports.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// TLS returns a client configuration that trusts the server.
func (s *Server) TLS() *tls.Config { return &tls.Config{RootCAs: s.roots} }

// Dial connects to the server as net.Dialer.DialContext does, on the server's network.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.network != nil {
		return s.network.DialContext(ctx, network, addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// HTTP returns a client that trusts the server.
func (s *Server) HTTP() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: s.TLS(), DialContext: s.Dial, DisableKeepAlives: true}}
}

// xmppOptions completes the options of a client over XMPP.
func (s *Server) xmppOptions(o *ccsclient.Options) {
	o.TLS = s.TLS()
	if o.Dial == nil {
		o.Dial = s.Dial
	}
}

// mcsOptions completes the options of a device.
func (s *Server) mcsOptions(o *mcsclient.Options) {
	o.TLS = s.TLS()
	if o.DialContext == nil {
		o.DialContext = s.Dial
	}
}

// AppServer logs in as the first project's app server. The connection ends with the test.
func (s *Server) AppServer(o ccsclient.Options) *ccsclient.Client {
	s.t.Helper()
	s.xmppOptions(&o)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := ccsclient.Dial(ctx, s.XMPPAddr(), s.Sender, s.Key, o)
	s.must(err, "log in as an app server")
	s.t.Cleanup(func() { c.Close() })
	return c
}

// RunAppServer keeps the first project's app server connected until the test ends.
func (s *Server) RunAppServer(o ccsclient.AppServerOptions) *ccsclient.AppServer {
	s.t.Helper()
	s.xmppOptions(&o.Options)
	a := ccsclient.NewAppServer(s.XMPPAddr(), s.Sender, s.Key, o)
	s.run(a.Run)
	return a
}

// run runs until the test ends.
func (s *Server) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f(ctx) // the end of ctx, or an error that the test notices itself
	}()
	s.t.Cleanup(func() { cancel(); <-ended })
}

// Device is an enrolled device with one registered app.
type Device struct {
	mcsclient.Identity
	App   string
	Token string
}

// Enrol checks a device in and registers an app on it for the first project.
func (s *Server) Enrol(app string) *Device {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := mcsclient.CheckIn(ctx, s.HTTP(), s.HTTPURL(), mcsclient.Identity{})
	s.must(err, "enrol a device")
	token, err := mcsclient.Register(ctx, s.HTTP(), s.HTTPURL(), id, mcsclient.Registration{App: app, Senders: []string{s.Sender}})
	s.must(err, "enrol a device")
	return &Device{Identity: id, App: app, Token: token}
}

// Connect logs a device in. The connection ends with the test.
func (s *Server) Connect(d *Device, o mcsclient.Options) *mcsclient.Client {
	s.t.Helper()
	s.mcsOptions(&o)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := mcsclient.Dial(ctx, s.MCSAddr(), d.Identity, o)
	s.must(err, "log a device in")
	s.t.Cleanup(func() { c.Close() })
	return c
}

// RunDevice keeps a device connected until the test ends.
func (s *Server) RunDevice(d *Device, o mcsclient.DeviceOptions) *mcsclient.Device {
	s.t.Helper()
	s.mcsOptions(&o.Options)
	device := mcsclient.NewDevice(s.MCSAddr(), d.Identity, o)
	s.run(device.Run)
	return device
}

// ConnectXMPP logs a device in over XMPP. The connection ends with the test.
func (s *Server) ConnectXMPP(d *Device, o ccsclient.DeviceOptions) *ccsclient.Client {
	s.t.Helper()
	s.xmppOptions(&o.Options)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := ccsclient.DialDevice(ctx, s.XMPPAddr(), d.AndroidID, d.SecurityToken, o)
	s.must(err, "log a device in over XMPP")
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Dir returns the data directory.
func (s *Server) Dir() string { return s.conf.DataDir }
