package httpserver

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/flowcontrol"
)

// Authorizer finds the sender of a request; ccs.Router implements it.
type Authorizer interface {
	// Authorize returns an error that wraps ccs.ErrUnauthorized if the credential is not valid.
	Authorize(ctx context.Context, c ccs.Credential) (ccs.Authorization, error)
}

// AuthOptions are the options of NewAuth. The zero value works.
type AuthOptions struct {
	Logger *zap.Logger // default none
	// FailedLogins limits the refused credentials of one address; default one a second, 100 at once
	// (CCS 1.6).
	FailedLogins flowcontrol.Rate
}

// Auth authenticates the senders of requests for the doors for app servers. All doors share one
// Auth, so that an address's failures are counted once. Its methods may be called from any
// goroutine.
type Auth struct {
	senders  Authorizer
	log      *zap.Logger
	rate     flowcontrol.Rate
	failures *flowcontrol.Keyed[netip.Prefix]
}

// NewAuth returns an Auth that uses a.
func NewAuth(a Authorizer, o AuthOptions) *Auth {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.FailedLogins.Every == 0 {
		o.FailedLogins = flowcontrol.Rate{Every: time.Second, Burst: 100}
	}
	return &Auth{senders: a, log: o.Logger.Named("httpserver"), rate: o.FailedLogins, failures: flowcontrol.NewKeyed[netip.Prefix](maxAddresses)}
}

// ErrThrottled says that too many credentials from the address of a request were refused.
var ErrThrottled = errors.New("too many refused credentials from the address")

// CredentialOf reads the credential from the headers of a request: "key=K", "Bearer T" or "OAuth T"
// in Authorization, and the sender in project_id (CCS 6.2, 7.2). Scheme words have no case, and
// blanks may follow "key=".
func CredentialOf(r *http.Request) ccs.Credential {
	var c ccs.Credential
	if named := r.Header["Project_id"]; len(named) > 0 { // as net/http spells project_id
		c.Sender = ccs.SenderID(strings.TrimSpace(named[0]))
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Address = peer.Addr().Unmap()
	}
	header := strings.TrimSpace(r.Header.Get("Authorization"))
	for _, scheme := range [...]struct {
		word string
		into *string
	}{{"key=", &c.Key}, {"bearer ", &c.Token}, {"oauth ", &c.Token}} {
		if n := len(scheme.word); len(header) > n && strings.EqualFold(header[:n], scheme.word) {
			*scheme.into = strings.TrimSpace(header[n:])
			break
		}
	}
	return c
}

// Sender authenticates a request by the credential in its headers.
func (a *Auth) Sender(r *http.Request) (ccs.Authorization, error) {
	return a.Check(r.Context(), CredentialOf(r))
}

// Check authenticates a credential. The error is ErrThrottled, wraps ccs.ErrUnauthorized, or says
// that the check failed.
func (a *Auth) Check(ctx context.Context, c ccs.Credential) (ccs.Authorization, error) {
	var network netip.Prefix
	if c.Address.IsValid() {
		network = admission.Network(c.Address)
	}
	now := time.Now()
	if a.failures.Empty(network, a.rate, now) {
		return ccs.Authorization{}, ErrThrottled
	}
	got, err := a.senders.Authorize(ctx, c)
	if errors.Is(err, ccs.ErrUnauthorized) {
		a.failures.Take(network, a.rate, 1, now)
		a.log.Info("login refused", zap.Stringer("remote_addr", c.Address), zap.String("reason", err.Error()))
	}
	return got, err
}

// unauthorized is a page, because GCM's answer was one. Some clients look for the word (CCS 6.2).
const unauthorized = `<HTML>
<HEAD>
<TITLE>Unauthorized</TITLE>
</HEAD>
<BODY BGCOLOR="#FFFFFF" TEXT="#000000">
<H1>Unauthorized</H1>
<H2>Error 401</H2>
</BODY>
</HTML>
`

// AuthAnswer returns the usual answer to an error of an Auth: 401 with a page, or 503.
func AuthAnswer(err error) Answer {
	switch {
	case errors.Is(err, ccs.ErrUnauthorized):
		return Answer{Status: http.StatusUnauthorized, ContentType: "text/html; charset=UTF-8", Body: []byte(unauthorized), Outcome: "unauthorized"}
	case errors.Is(err, ErrThrottled):
		a := TryLater()
		a.Outcome = "throttled"
		return a
	}
	a := TryLater()
	a.Outcome, a.Err = "unavailable", err
	return a
}

// ErrorBody is the JSON of an error that is only a text (TOPICS 5).
type ErrorBody struct {
	Error string `json:"error"`
}

// AuthJSON is AuthAnswer for a door whose errors are JSON (TOPICS 6).
func AuthJSON(err error) Answer {
	a := AuthAnswer(err)
	if a.Status == http.StatusUnauthorized {
		outcome := a.Outcome
		a = JSON(a.Status, ErrorBody{"Unauthorized"})
		a.Outcome = outcome
	}
	return a
}
