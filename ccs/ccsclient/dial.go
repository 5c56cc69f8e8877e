package ccsclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"mellium.im/sasl"

	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

const (
	saslSpace    = "urn:ietf:params:xml:ns:xmpp-sasl"
	bindSpace    = "urn:ietf:params:xml:ns:xmpp-bind"
	sessionSpace = "urn:ietf:params:xml:ns:xmpp-session"
)

// Dial connects over TLS to a CCS at addr, host and port, and logs in as sender, the sender ID,
// with key (CCS 1.2 to 1.7). It returns an *AuthError if the server refuses the login, and a
// *StreamError if the server ends the stream.
func Dial(ctx context.Context, addr, sender, key string, o Options) (*Client, error) {
	o = o.withDefaults()
	return start(ctx, addr, sender, key, o, appServer(o))
}

// start connects, and starts the goroutines of the connection. The options must have their
// defaults set.
func start(ctx context.Context, addr, sender, key string, o Options, receive receivers) (*Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.DialTimeout, fmt.Errorf("no session within %s", o.DialTimeout))
	defer cancel()
	c, err := dial(ctx, addr, sender, key, o)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) { // err is only its result
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, fmt.Errorf("ccsclient: dial %s: %w", addr, err)
	}
	c.receive = receive(c.log)
	c.log.Debug("connection open", zap.String("conn", c.jid))
	go c.serve()
	return c, nil
}

func dial(ctx context.Context, addr, sender, key string, o Options) (*Client, error) {
	conn, err := connect(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	l := &login{conn: conn, in: stanza.NewReader(conn, stanza.AfterBind), domain: o.Domain}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	jid, err := l.run(sender, key)
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline is in the past
	}
	if err != nil {
		conn.NetConn().Close()
		return nil, err
	}
	return &Client{
		conn:     conn,
		options:  o,
		log:      o.Logger.Named("ccsclient").With(zap.String("sender", sender)),
		jid:      jid,
		ids:      newMessageIDs(),
		in:       l.in,
		early:    l.early,
		window:   flowcontrol.NewWindow(o.Window),
		refusing: make(chan struct{}),
		gathered: make(chan struct{}, 1),
		arrived:  make(chan struct{}, 1),
		failed:   make(chan struct{}),
		written:  make(chan struct{}),
		done:     make(chan struct{}),
		inFlight: make(map[string]func(Reply)),
	}, nil
}

// connect makes the TLS connection. There is no STARTTLS (CCS 1.2).
func connect(ctx context.Context, addr string, o Options) (*tls.Conn, error) {
	config := o.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" && !config.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	raw, err := o.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return conn, nil
}

// login negotiates a stream up to the session.
type login struct {
	conn   net.Conn
	in     *stanza.Reader
	domain string
	early  []stanza.Element // came before a result: a server need not wait for the session
}

// features are the stream features that the server offers (CCS 1.5, 1.7).
type features struct {
	Mechanisms []string  `xml:"mechanisms>mechanism"`
	Bind       *struct{} `xml:"bind"`
	Session    *struct{} `xml:"session"`
}

func (l *login) run(sender, key string) (jid string, err error) {
	offered, err := l.open()
	if err != nil {
		return "", err
	}
	if !slices.Contains(offered.Mechanisms, sasl.Plain.Name) {
		return "", fmt.Errorf("the server offers no PLAIN login but %q, is it a CCS?", offered.Mechanisms)
	}
	if err := l.authenticate(sender, key); err != nil {
		return "", err
	}
	if offered, err = l.open(); err != nil {
		return "", err
	}
	if offered.Bind == nil {
		return "", errors.New("the server offers no bind, is it a CCS?")
	}
	bound, err := l.request("bind", `<bind xmlns="`+bindSpace+`"/>`)
	if err != nil {
		return "", err
	}
	var content struct {
		JID string `xml:"bind>jid"`
	}
	if err := bound.Decode(&content); err != nil {
		return "", fmt.Errorf("bind: %w", err)
	}
	if offered.Session != nil {
		if _, err := l.request("session", `<session xmlns="`+sessionSpace+`"/>`); err != nil {
			return "", err
		}
	}
	// Not earlier: a server may take presence as a promise that messages will be handled, as ours
	// does (CCS 1.7, 1.8).
	return content.JID, l.write([]byte(`<presence/>`))
}

// open opens the stream, or restarts it, and returns the features that the server offers on it.
func (l *login) open() (f features, err error) {
	b := []byte(`<stream:stream to="`)
	b = stanza.AppendEscaped(b, l.domain)
	b = append(b, `" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`...)
	if err := l.write(b); err != nil {
		return f, err
	}
	if _, err := l.in.Header(); err != nil {
		return f, fmt.Errorf("stream header: %w", connectionEnd(err))
	}
	e, err := l.next()
	if err != nil {
		return f, err
	}
	if e.Local != "features" {
		return f, fmt.Errorf("got %s instead of stream features", e.Local)
	}
	if err := e.Decode(&f); err != nil {
		return f, fmt.Errorf("stream features: %w", err)
	}
	return f, nil
}

// authenticate logs in with PLAIN. The user name is the sender's address, which also names the
// domain to the server (CCS 1.6).
func (l *login) authenticate(sender, key string) error {
	username := sender
	if !strings.Contains(sender, "@") {
		username += "@" + l.domain
	}
	client := sasl.NewClient(sasl.Plain, sasl.Credentials(func() (user, password, identity []byte) {
		return []byte(username), []byte(key), nil
	}))
	_, response, err := client.Step(nil)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	b := []byte(`<auth xmlns="` + saslSpace + `" mechanism="PLAIN">`)
	b = base64.StdEncoding.AppendEncode(b, response)
	if err := l.write(append(b, `</auth>`...)); err != nil {
		return err
	}
	e, err := l.next()
	switch {
	case err != nil:
		return err
	case e.Space == saslSpace && e.Local == "success":
		return nil
	case e.Space == saslSpace && e.Local == "failure":
		return &AuthError{Condition: e.ChildLocal, Username: username}
	}
	return fmt.Errorf("got %s instead of the result of the login", e.Local)
}

// request sends an iq and waits for its result.
func (l *login) request(id, content string) (stanza.Element, error) {
	if err := l.write([]byte(`<iq type="set" id="` + id + `">` + content + `</iq>`)); err != nil {
		return stanza.Element{}, err
	}
	for {
		e, err := l.next()
		switch {
		case err != nil:
			return e, fmt.Errorf("%s: %w", id, err)
		case e.Local != "iq" || e.ID != id:
			l.early = append(l.early, e)
		case e.Type == "result":
			return e, nil
		default:
			return e, fmt.Errorf("%s refused: %.256s", id, e.Raw)
		}
	}
}

func (l *login) next() (e stanza.Element, err error) {
	if err := l.in.Next(&e); err != nil {
		return e, connectionEnd(err)
	}
	if isStreamError(&e) {
		return e, decodeStreamError(&e)
	}
	return e, nil
}

func (l *login) write(b []byte) error {
	if _, err := l.conn.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// connectionEnd turns the end of the stream, which a Reader does not report as an error, into an
// error.
func connectionEnd(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}
