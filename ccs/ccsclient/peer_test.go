package ccsclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// peer is the server's end of a connection, scripted by a test. Its methods panic with an error
// that ends the script.
type peer struct {
	conn net.Conn
	in   *stanza.Reader
}

func (p *peer) write(s string) {
	if _, err := io.WriteString(p.conn, s); err != nil {
		panic(fmt.Errorf("write %.60q: %w", s, err))
	}
}

func (p *peer) next() (e stanza.Element) {
	if err := p.in.Next(&e); err != nil {
		panic(fmt.Errorf("next: %w", err))
	}
	return e
}

// message reads the next message and decodes it.
func (p *peer) message() stanza.Inbound {
	e := p.next()
	var in stanza.Inbound
	if err := stanza.DecodeInbound(e.Payload, nil, &in); err != nil {
		panic(fmt.Errorf("decode %q: %w", e.Payload, err))
	}
	return in
}

func (p *peer) ack(in stanza.Inbound) {
	p.write(string(stanza.AppendAck(nil, in.Downstream.To, in.Downstream.MessageID, "")))
}

// want panics if got is not what the test expects.
func (p *peer) want(what, got string) {
	if what != got {
		panic(fmt.Errorf("got %q, want %q", got, what))
	}
}

const (
	header = `<stream:stream from="gcm.googleapis.com" id="7C0E51D2A94B3F60" version="1.0" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`

	mechanisms = `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>X-OAUTH2</mechanism><mechanism>X-GOOGLE-TOKEN</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>`
	bind       = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></stream:features>`
	bound      = `<iq id="bind" type="result"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>123@gcm.googleapis.com/4F2A90C1</jid></bind></iq>`

	success = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
	end     = `</stream:stream>`
)

func (p *peer) header() {
	if _, err := p.in.Header(); err != nil {
		panic(fmt.Errorf("header: %w", err))
	}
}

// login lets the client log in, as in CCS 11.
func (p *peer) login() {
	p.loginAs(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">ADEyM0BnY20uZ29vZ2xlYXBpcy5jb20AS0VZ</auth>`)
}

func (p *peer) loginAs(auth string) {
	p.header()
	p.write(header + mechanisms)
	p.want(auth, string(p.next().Raw))
	p.write(success)
	p.header()
	p.write(header + bind)
	p.want("urn:ietf:params:xml:ns:xmpp-bind", p.next().ChildSpace)
	p.write(bound)
	p.want("urn:ietf:params:xml:ns:xmpp-session", p.next().ChildSpace)
	p.write(`<iq id="session" type="result"/>`)
	p.want("presence", p.next().Local)
}

// goodbye waits for the end of the stream and answers it.
func (p *peer) goodbye() {
	var e stanza.Element
	if err := p.in.Next(&e); err != io.EOF {
		panic(fmt.Errorf("got %s %v instead of the end", e.Raw, err))
	}
	p.write(end)
}

// dial starts a scripted server and dials it. An error of the script fails the test at its end.
func dial(t *testing.T, o ccsclient.Options, script func(p *peer)) (*ccsclient.Client, error) {
	return dialWith(t, script, func(ctx context.Context, net func(o *ccsclient.Options)) (*ccsclient.Client, error) {
		net(&o)
		return ccsclient.Dial(ctx, "gcm.googleapis.com:5235", "123", "KEY", o)
	})
}

// dialDevice is dial for the device 42.
func dialDevice(t *testing.T, o ccsclient.DeviceOptions, script func(p *peer)) (*ccsclient.Client, error) {
	return dialWith(t, script, func(ctx context.Context, net func(o *ccsclient.Options)) (*ccsclient.Client, error) {
		net(&o.Options)
		return ccsclient.DialDevice(ctx, "gcm.googleapis.com:5235", 42, 7, o)
	})
}

func dialWith(t *testing.T, script func(p *peer), dial func(context.Context, func(*ccsclient.Options)) (*ccsclient.Client, error)) (*ccsclient.Client, error) {
	certificate, roots := certificate(t)
	client, server := net.Pipe()
	ended := make(chan error, 1)
	go func() {
		conn := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{certificate}})
		defer server.Close()
		defer func() {
			err, _ := recover().(error)
			ended <- err
		}()
		script(&peer{conn: conn, in: stanza.NewReader(conn, stanza.AfterBind)})
		conn.CloseWrite()
	}()
	c, err := dial(t.Context(), func(o *ccsclient.Options) {
		if o.TLS == nil {
			o.TLS = &tls.Config{RootCAs: roots}
		}
		o.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
	})
	t.Cleanup(func() {
		if c != nil {
			assert.NoError(t, c.Close())
		}
		assert.NoError(t, <-ended, "the script")
	})
	return c, err
}

// mustDial does the same as dial for tests that are not about the login. The script begins after
// the login.
func mustDial(t *testing.T, o ccsclient.Options, script func(p *peer)) *ccsclient.Client {
	c, err := dial(t, o, func(p *peer) {
		p.login()
		script(p)
	})
	require.NoError(t, err)
	return c
}

// certificate makes a certificate for gcm.googleapis.com, valid at the time of test bubbles.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"gcm.googleapis.com"},
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

var errBroken = errors.New("broken")

func tlsConfig(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }
