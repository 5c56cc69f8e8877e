package xmppserver_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const (
	testSender = "126200347933"
	testKey    = "AIzaKEY"
	testToken  = "APA91bTOKEN"
	testApp    = "com.example.app"
	testDevice = ccs.DeviceID(42)
)

// world is a server with one project and one registration, and the means to reach it.
type world struct {
	t      *testing.T
	router *ccs.Router
	store  store.Store
	server *xmppserver.Server
	addr   string
	tls    *tls.Config
	raw    func() (net.Conn, error) // opens a connection without TLS; nil to dial addr
}

func newWorld(t *testing.T, o xmppserver.Options, ro ccs.Options) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	w := newWorldOn(t, l, o, ro)
	w.addr = addr
	return w
}

// newWorldOn is newWorld on a listener. The caller must set how to reach that.
func newWorldOn(t *testing.T, l net.Listener, o xmppserver.Options, ro ccs.Options) *world {
	t.Helper()
	ctx := context.Background()
	st := memstore.New()
	now := time.Now()
	require.NoError(t, st.CreateProject(ctx, &store.Project{Sender: testSender, Keys: []store.APIKey{{ID: "k1", Hash: store.HashKey(testKey)}}}))
	_, err := st.Register(ctx, store.Registration{Token: testToken, Device: uint64(testDevice), App: testApp, Senders: []string{testSender}, Created: now}, now)
	require.NoError(t, err)
	router, err := ccs.New(ctx, st, ro)
	require.NoError(t, err)
	pair, err := devcert.New([]string{"gcm.googleapis.com", "127.0.0.1"}, now)
	require.NoError(t, err)
	o.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Cert}}
	if testing.Verbose() {
		o.Logger = zaptest.NewLogger(t)
	}
	w := &world{t: t, router: router, store: st, tls: &tls.Config{RootCAs: pair.Pool, ServerName: "gcm.googleapis.com"}}
	w.server = xmppserver.New(router, o)
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(l, "test") }()
	t.Cleanup(func() {
		w.server.Close()
		require.ErrorIs(t, <-done, listener.ErrClosed)
		require.NoError(t, st.Close())
	})
	return w
}

// registerDevice gives a device's app a token.
func (w *world) registerDevice(token string, device ccs.DeviceID) {
	w.t.Helper()
	now := time.Now()
	_, err := w.store.Register(context.Background(), store.Registration{Token: token, Device: uint64(device), App: testApp, Senders: []string{testSender}, Created: now}, now)
	require.NoError(w.t, err)
}

// dial opens a TLS connection and nothing more.
func (w *world) dial() *peer {
	w.t.Helper()
	connect := w.raw
	if connect == nil {
		connect = func() (net.Conn, error) { return net.Dial("tcp", w.addr) }
	}
	raw, err := connect()
	require.NoError(w.t, err)
	nc := tls.Client(raw, w.tls)
	w.t.Cleanup(func() { nc.Close() })
	require.NoError(w.t, nc.HandshakeContext(w.t.Context()))
	return &peer{t: w.t, nc: nc}
}

const (
	clientHeader = `<?xml version='1.0'?><stream:stream to='gcm.googleapis.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`
	clientBind   = `<iq type='set' id='a1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'></bind></iq>`
	bindPrefix   = `<iq id="a1" type="result"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>`
)

// login opens a bound session and sends presence.
func (w *world) login() *peer {
	w.t.Helper()
	p := w.bind()
	p.send(`<presence/>`)
	return p
}

// bind opens a session and sends nothing on it.
func (w *world) bind() *peer {
	w.t.Helper()
	p := w.dial()
	p.send(clientHeader)
	p.until("</stream:features>")
	p.send(plainAuth("\x00" + testSender + "\x00" + testKey))
	p.until(`<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`)
	p.send(clientHeader)
	p.until("</stream:features>")
	p.send(clientBind)
	p.until("</bind></iq>")
	return p
}
