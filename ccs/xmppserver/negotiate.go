package xmppserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"
	"mellium.im/sasl"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/openccs/openccs/stanza"
)

// errGivenUp ends a stream after too many failed logins.
var errGivenUp = errors.New("too many failed logins")

// maxLogins is how often a stream may try to log in: a failure permits one more (CCS 1.6).
const maxLogins = 2

// negotiate runs a connection from its first byte to a bound address (CCS 1.3 to 1.7).
func (c *conn) negotiate(ctx context.Context) error {
	if err := c.open(featuresSASL); err != nil {
		return err
	}
	if err := c.authenticate(ctx); err != nil {
		return err
	}
	if err := c.open(featuresBind); err != nil {
		return err
	}
	return c.bind()
}

// open reads a stream header and answers it, with header and features in one write (CCS 1.11).
func (c *conn) open(features string) error {
	before := c.opened
	c.opened = false
	h, err := c.in.Header()
	if err != nil {
		if errors.Is(err, io.EOF) {
			c.opened = before // the peer ends its stream instead of restarting it
		}
		return fmt.Errorf("stream header: %w", err)
	}
	if isHostName(h.To) {
		c.from = h.To
	}
	if h.DefaultNS != nsClient {
		return fmt.Errorf("default namespace %q: %w", h.DefaultNS, stream.InvalidNamespace)
	}
	if major, _, _ := strings.Cut(h.Version, "."); major != "" && major != "1" {
		return fmt.Errorf("stream version %q: %w", h.Version, stream.UnsupportedVersion)
	}
	if h.SelfClosed {
		// The first documents printed the header like this (CCS 1.3): opened and closed at once.
		return fmt.Errorf("self-closed stream header: %w", errGivenUp)
	}
	c.opened = true
	return c.write(append(appendHeader(nil, c.from), features...))
}

func (c *conn) write(b []byte) error {
	if _, err := c.nc.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// authenticate answers SASL exchanges until one succeeds.
func (c *conn) authenticate(ctx context.Context) error {
	var el stanza.Element
	for range maxLogins {
		if err := c.next(&el); err != nil {
			return err
		}
		if el.Space != nsSASL {
			return fmt.Errorf("<%s> before authentication: %w", el.Local, stream.NotAuthorized)
		}
		failure, err := c.login(ctx, &el)
		if err != nil {
			return err
		}
		if failure == "" {
			return c.write([]byte(saslSuccess))
		}
		if err := c.write(appendSASLFailure(nil, failure)); err != nil {
			return err
		}
	}
	return errGivenUp
}

func (c *conn) next(el *stanza.Element) error {
	if err := c.in.Next(el); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

type saslElement struct {
	Mechanism string `xml:"mechanism,attr"`
	Text      string `xml:",chardata"`
}

// The failures of a login (CCS 1.6). Only the log says why it failed.
const (
	failAborted           = "aborted"
	failIncorrectEncoding = "incorrect-encoding"
	failInvalidAuthzid    = "invalid-authzid"
	failInvalidMechanism  = "invalid-mechanism"
	failMalformedRequest  = "malformed-request"
	failNotAuthorized     = "not-authorized"
	failTemporary         = "temporary-auth-failure"
)

const mechanismPlain = "PLAIN"

// mechanisms are the SASL mechanisms that we offer. Google's own two carry the same three fields as
// PLAIN, with an access token or the API key as the third. Libraries that prefer these two send the
// key they were given (CCS 1.6).
var mechanisms = map[string]sasl.Mechanism{
	mechanismPlain:   sasl.Plain,
	"X-OAUTH2":       {Name: "X-OAUTH2", Start: sasl.Plain.Start, Next: sasl.Plain.Next},
	"X-GOOGLE-TOKEN": {Name: "X-GOOGLE-TOKEN", Start: sasl.Plain.Start, Next: sasl.Plain.Next},
}

// login runs the SASL exchange that el begins. It returns the failure to tell the peer, or "" for
// success.
func (c *conn) login(ctx context.Context, el *stanza.Element) (failure string, err error) {
	var auth saslElement
	switch el.Local {
	case "auth":
		if err := decode(el, &auth); err != nil {
			return "", err
		}
	case "abort":
		return failAborted, nil
	default:
		return failMalformedRequest, nil
	}
	mechanism, ok := mechanisms[auth.Mechanism]
	if !ok {
		c.log.Info("login refused", zap.String("reason", "unknown mechanism"), zap.String("mechanism", auth.Mechanism))
		return failInvalidMechanism, nil
	}
	if strings.TrimSpace(auth.Text) == "" {
		// Ask for the missing initial response.
		if err := c.write([]byte(saslEmpty)); err != nil {
			return "", err
		}
		if err := c.next(el); err != nil {
			return "", err
		}
		switch {
		case el.Space == nsSASL && el.Local == "response":
			if err := decode(el, &auth); err != nil {
				return "", err
			}
		case el.Space == nsSASL && el.Local == "abort":
			return failAborted, nil
		default:
			return "", fmt.Errorf("<%s> in a SASL exchange: %w", el.Local, stream.NotAuthorized)
		}
	}
	response, ok := decodeBase64(auth.Text)
	if !ok {
		c.log.Info("login refused", zap.String("reason", "bad base64"))
		return failIncorrectEncoding, nil
	}
	failure = failNotAuthorized
	negotiator := sasl.NewServer(mechanism, func(n *sasl.Negotiator) bool {
		user, key, identity := n.Credentials()
		failure = c.check(ctx, &credentials{mechanism: mechanism.Name, user: string(user), key: string(key), identity: string(identity)})
		return failure == ""
	})
	switch _, _, err := negotiator.Step(response); {
	case errors.Is(err, sasl.ErrInvalidChallenge):
		c.log.Info("login refused", zap.String("reason", "want three fields: authzid NUL authcid NUL key"))
		return failMalformedRequest, nil
	case err != nil && failure == "":
		return failNotAuthorized, nil
	}
	return failure, nil
}

// decodeBase64 strips all white space first, because the documentation's own sample is folded
// (CCS 1.6). A lone "=" is the empty response.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.Join(strings.Fields(s), "")
	if s == "=" {
		return nil, true
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(s)
	}
	return b, err == nil
}

// bind answers requests until one has bound an address. Some clients ask for the session first
// (CCS 1.7). Any other request must wait (CCS 1.8).
func (c *conn) bind() error {
	var el stanza.Element
	for c.jid == "" {
		if err := c.next(&el); err != nil {
			return err
		}
		if el.Space != nsClient || el.Local != "iq" || el.ChildSpace != nsBind && el.ChildSpace != nsSession {
			return fmt.Errorf("<%s> before bind: %w", el.Local, stream.NotAuthorized)
		}
		reply, err := c.answerIQ(nil, &el)
		if err != nil {
			return err
		}
		who := c.principal()
		who.jid = c.jid
		c.identify(who) // before the peer can tell others its address
		if err := c.write(reply); err != nil {
			return err
		}
	}
	c.in.SetLimits(stanza.AfterBind)
	return nil
}

// maxResource is the kept length of a requested resource (CCS 1.7).
const maxResource = 512

// newJID returns the bound address: the requested resource and eight random digits, so that two
// connections of one sender never have the same (CCS 1.7).
func (c *conn) newJID(resource string) string {
	if len(resource) > maxResource {
		resource = resource[:maxResource]
		for !utf8.ValidString(resource) {
			resource = resource[:len(resource)-1]
		}
	}
	suffix := randomHex(4)
	j, err := jid.New(c.user, c.domain, resource+suffix)
	if err != nil { // the resource is not valid in an address: leave it out
		return c.user + "@" + c.domain + "/" + suffix
	}
	return j.String()
}

// decode decodes a small whole element, outside the hot path.
func decode(el *stanza.Element, v any) error {
	d := xml.NewDecoder(bytes.NewReader(el.Raw))
	d.DefaultSpace = nsClient
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("<%s>: %w: %w", el.Local, stream.InvalidXML, err)
	}
	return nil
}
