package mcsclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

var identity = mcsclient.Identity{AndroidID: 0x4000000000000001, SecurityToken: 77}

// serverTLS and clientTLS belong together. The server sends no session tickets, because over a
// pipe without a buffer no client would read them in time.
var serverTLS, clientTLS = sync.OnceValue(func() *tls.Config {
	cert, _ := certificate()
	return &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true}
}), sync.OnceValue(func() *tls.Config {
	_, pool := certificate()
	return &tls.Config{RootCAs: pool}
})

var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"mtalk.test"},
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), // a synctest bubble begins in 2000
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
})

// network connects clients with the test, which is the server.
type network struct {
	t     *testing.T
	conns chan net.Conn
}

func newNetwork(t *testing.T) *network { return &network{t: t, conns: make(chan net.Conn, 10)} }

// options returns o for this network.
func (n *network) options(o mcsclient.Options) mcsclient.Options {
	o.TLS = clientTLS()
	o.DialContext = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		n.conns <- server
		return client, nil
	}
	return o
}

// peer is the server's side of one connection.
type peer struct {
	t    *testing.T
	conn *tls.Conn
	in   *mcs.Reader
}

// accept accepts the next connection and completes its TLS handshake.
func (n *network) accept() *peer {
	n.t.Helper()
	conn := tls.Server(<-n.conns, serverTLS())
	require.NoError(n.t, conn.Handshake())
	n.t.Cleanup(func() { _ = conn.NetConn().Close() })
	return &peer{t: n.t, conn: conn, in: mcs.NewReader(conn, mcs.MaxLogin)}
}

// login reads a login and accepts it.
func (p *peer) login() mcs.LoginRequest {
	p.t.Helper()
	req := p.readLogin()
	p.answer(&mcs.LoginResponse{ID: req.ID, LastStreamID: 1, ServerTimestamp: 1})
	return req
}

func (p *peer) readLogin() (req mcs.LoginRequest) {
	p.t.Helper()
	version, err := p.in.ReadVersion()
	require.NoError(p.t, err)
	require.EqualValues(p.t, mcs.Version, version)
	require.NoError(p.t, req.Unmarshal(p.expect(mcs.TagLoginRequest)))
	return req
}

func (p *peer) answer(resp *mcs.LoginResponse) {
	p.t.Helper()
	p.write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginResponse, resp))
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	_, err := p.conn.Write(b)
	require.NoError(p.t, err)
}

// goodbye sends a Close and ends the connection.
func (p *peer) goodbye() {
	p.t.Helper()
	p.write(mcs.AppendFrame(nil, mcs.TagClose, nil))
	_ = p.conn.NetConn().Close()
}

// expect reads a frame with the tag and returns a copy of its payload.
func (p *peer) expect(tag mcs.Tag) []byte {
	p.t.Helper()
	got, payload, err := p.in.Next()
	require.NoError(p.t, err)
	require.Equal(p.t, tag, got)
	return []byte(string(payload))
}

// expectAck reads a StreamAck with the number.
func (p *peer) expectAck(last int32) {
	p.t.Helper()
	var iq mcs.IqStanza
	require.NoError(p.t, iq.Unmarshal(p.expect(mcs.TagIqStanza)))
	assert.Equal(p.t, mcs.IqStanza{
		Type: mcs.IqSet, ExtensionID: mcs.ExtensionStreamAck, ExtensionData: []byte{}, LastStreamID: last,
	}, iq)
}

func (p *peer) expectData() (m mcs.DataMessage) {
	p.t.Helper()
	require.NoError(p.t, m.Unmarshal(p.expect(mcs.TagDataMessageStanza)))
	return m
}

// quiet checks that the client sends nothing.
func (p *peer) quiet() {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(time.Second)))
	_, _, err := p.in.Next()
	var timeout net.Error
	require.ErrorAs(p.t, err, &timeout)
	require.True(p.t, timeout.Timeout())
	require.NoError(p.t, p.conn.SetReadDeadline(time.Time{}))
}

// dialed is the result of Dial.
type dialed struct {
	client *mcsclient.Client
	err    error
}

// dial begins a Dial. It ends only after accept and login.
func (n *network) dial(ctx context.Context, o mcsclient.Options) <-chan dialed {
	result := make(chan dialed, 1)
	go func() {
		c, err := mcsclient.Dial(ctx, "mtalk.test:5228", identity, n.options(o))
		result <- dialed{c, err}
	}()
	return result
}

// connected returns a client that is logged in, and its peer. Both end with the test.
func (n *network) connected(o mcsclient.Options) (*mcsclient.Client, *peer) {
	n.t.Helper()
	result := n.dial(context.Background(), o)
	p := n.accept()
	p.login()
	d := <-result
	require.NoError(n.t, d.err)
	n.t.Cleanup(func() { _ = d.client.Close() })
	return d.client, p
}

// bubble runs a test in fake time, and fails it if a goroutine is left.
func bubble(t *testing.T, f func(t *testing.T, n *network)) {
	t.Helper()
	serverTLS()
	clientTLS()
	synctest.Test(t, func(t *testing.T) { f(t, newNetwork(t)) })
}

// messages makes data frames with the persistent ids.
func messages(ids ...string) (frames []byte) {
	for _, id := range ids {
		frames = mcs.AppendDataMessage(frames, &mcs.DataMessage{
			From: "1", Category: "app", PersistentID: id, LastStreamID: 1, AppData: []mcs.KV{{Key: "k", Value: id}},
		})
	}
	return frames
}

func split(s string) []string { return strings.Fields(s) }
