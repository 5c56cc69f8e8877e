package ccstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
)

// Server is a running server and what clients need of it.
type Server struct {
	*server.Server
	Sender string // the first project
	Key    string

	t     testing.TB
	conf  server.Config
	roots *x509.CertPool
}

// Option changes the configuration of a server before it starts.
type Option func(*server.Config)

// Disk has the server use the embedded store instead of memory.
func Disk(c *server.Config) { c.Store = "disk:" }

// Store has the server use the store at a URL.
func Store(url string) Option { return func(c *server.Config) { c.Store = url } }

// Start starts a server that ends with the test.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	conf := server.Default()
	conf.DataDir = t.TempDir()
	conf.Store = "memory:"
	conf.XMPPListen, conf.MCSListen, conf.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	for _, o := range opts {
		o(&conf)
	}
	s := &Server{t: t, conf: conf}
	s.start()
	t.Cleanup(s.Stop)
	return s
}

// Another starts another node on the server's store. It has the same first project, and its own certificate.
func (s *Server) Another(opts ...Option) *Server {
	s.t.Helper()
	other := Start(s.t, append([]Option{Store(s.conf.Store)}, opts...)...)
	other.Sender, other.Key = s.Sender, s.Key
	return other
}

func (s *Server) start() {
	s.t.Helper()
	var err error
	s.Server, err = server.Start(context.Background(), s.conf)
	require.NoError(s.t, err)
	s.Sender, s.Key = s.Card().SenderID, s.Card().APIKey
	pem, err := os.ReadFile(s.CAFile())
	require.NoError(s.t, err)
	s.roots = x509.NewCertPool()
	require.True(s.t, s.roots.AppendCertsFromPEM(pem))
	// A restart comes back to where its clients look for it.
	s.conf.XMPPListen, s.conf.MCSListen = s.XMPPAddr(), s.MCSAddr()
	s.conf.HTTPListen = s.HTTPURL()[len("https://"):]
}

// patience bounds what a test waits for.
const patience = 20 * time.Second

// Stop ends the server. To stop it twice is harmless.
func (s *Server) Stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(s.t, s.Shutdown(ctx))
}

// Restart ends the server and starts it again on the same data and ports.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// TLS is a client's configuration that trusts the server.
func (s *Server) TLS() *tls.Config { return &tls.Config{RootCAs: s.roots} }

// HTTP is a client that trusts the server.
func (s *Server) HTTP() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: s.TLS(), DisableKeepAlives: true}}
}

// AppServer logs in as the first project's app server. The connection ends with the test.
func (s *Server) AppServer(o ccsclient.Options) *ccsclient.Client {
	s.t.Helper()
	o.TLS = s.TLS()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := ccsclient.Dial(ctx, s.XMPPAddr(), s.Sender, s.Key, o)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
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
	require.NoError(s.t, err)
	token, err := mcsclient.Register(ctx, s.HTTP(), s.HTTPURL(), id, mcsclient.Registration{App: app, Senders: []string{s.Sender}})
	require.NoError(s.t, err)
	return &Device{Identity: id, App: app, Token: token}
}

// Connect logs a device in. The connection ends with the test.
func (s *Server) Connect(d *Device, o mcsclient.Options) *mcsclient.Client {
	s.t.Helper()
	o.TLS = s.TLS()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := mcsclient.Dial(ctx, s.MCSAddr(), d.Identity, o)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// ConnectXMPP logs a device in over XMPP. The connection ends with the test.
func (s *Server) ConnectXMPP(d *Device, o ccsclient.DeviceOptions) *ccsclient.Client {
	s.t.Helper()
	o.TLS = s.TLS()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := ccsclient.DialDevice(ctx, s.XMPPAddr(), d.AndroidID, d.SecurityToken, o)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Dir is the data directory.
func (s *Server) Dir() string { return s.conf.DataDir }
