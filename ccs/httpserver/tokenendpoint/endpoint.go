package tokenendpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/ccs/httpserver"
	"github.com/openccs/openccs/ccs/oauth"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

const (
	door      = "oauth2"
	maxBody   = 16 << 10
	maxTokens = 10_000 // refresh tokens whose rate is remembered; the least recent is evicted
)

// DefaultRate limits how often one refresh token may be exchanged (CCS 7.1).
var DefaultRate = flowcontrol.Rate{Every: time.Minute, Burst: 20}

// Tokens issues and revokes tokens; oauth.Issuer implements it.
type Tokens interface {
	// Refresh returns an oauth.Refusal if the client is at fault.
	Refresh(ctx context.Context, r *oauth.Request, now time.Time) (oauth.Access, error)
	// Revoke returns oauth.ErrInvalid for an unknown token.
	Revoke(ctx context.Context, token string, now time.Time) (sender string, err error)
}

// Options are the options of New. The zero value works.
type Options struct {
	Rate flowcontrol.Rate // of one refresh token; default DefaultRate
	Now  func() time.Time // default time.Now
}

// endpoint answers the calls.
type endpoint struct {
	tokens Tokens
	rate   flowcontrol.Rate
	now    func() time.Time
	rates  *lru.Cache[[sha256.Size]byte, *flowcontrol.Bucket] // by the hash of the refresh token
}

// New returns the calls of the token endpoint.
func New(t Tokens, o Options) []httpserver.Route {
	if o.Rate.Every == 0 {
		o.Rate = DefaultRate
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &endpoint{tokens: t, rate: o.Rate, now: o.Now}
	// New fails only for a size below one.
	e.rates, _ = lru.New[[sha256.Size]byte, *flowcontrol.Bucket](maxTokens)
	var routes []httpserver.Route
	// The last path is a misspelling in the reference documentation, and two clients have it
	// (CCS 7.1).
	for _, path := range []string{"/o/oauth2/token", "/o/oauth2/v2/token", "/token", "/oauth2/v4/token", "/o/auth2/auth"} {
		routes = append(routes, httpserver.Route{Pattern: "POST " + path, Door: door, Call: e.token})
	}
	for _, path := range []string{"/o/oauth2/revoke", "/revoke"} {
		routes = append(routes,
			httpserver.Route{Pattern: "GET " + path, Door: door, Call: e.revoke},
			httpserver.Route{Pattern: "POST " + path, Door: door, Call: e.revoke})
	}
	return routes
}

// token exchanges a refresh token for an access token.
func (e *endpoint) token(r *http.Request) httpserver.Answer {
	body, err := httpserver.ReadBody(r, maxBody)
	if err != nil {
		return uncached(httpserver.BodyAnswer(err))
	}
	f, err := parseForm(string(body))
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", err.Error())
	}
	basic, err := f.takeBasic(r)
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", err.Error())
	}
	switch f["grant_type"] {
	case "refresh_token":
	case "":
		return refuse(http.StatusBadRequest, "invalid_request", "grant_type is missing")
	default:
		return refuse(http.StatusBadRequest, "unsupported_grant_type", "only refresh_token is supported")
	}
	for _, key := range []string{"client_id", "client_secret", "refresh_token"} {
		if f[key] == "" {
			return refuse(http.StatusBadRequest, "invalid_request", key+" is missing")
		}
	}
	now := e.now()
	access, err := e.tokens.Refresh(r.Context(), &oauth.Request{
		ClientID: f["client_id"], ClientSecret: f["client_secret"], RefreshToken: f["refresh_token"], Scope: f["scope"],
	}, now)
	switch {
	case errors.Is(err, oauth.ErrClient):
		a := refuse(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found, or its secret is wrong.")
		if basic {
			a.Header.Set("WWW-Authenticate", `Basic realm="oauth2"`) // RFC 6749 §5.2
		}
		return a
	case errors.Is(err, oauth.ErrGrant):
		return refuse(http.StatusBadRequest, "invalid_grant", "The refresh token is unknown, revoked or another client's.")
	case errors.Is(err, oauth.ErrWiderScope):
		return refuse(http.StatusBadRequest, "invalid_scope", "The scope is not a part of the refresh token's scope.")
	case err != nil:
		a := uncached(httpserver.TryLater())
		a.Err = err
		return a
	}
	if !e.admit(f["refresh_token"], now) {
		a := refuse(http.StatusForbidden, "rate_limit_exceeded", "")
		a.Sender, a.RetryAfter = access.Sender, e.rate.Every
		return a
	}
	a := uncached(httpserver.JSON(http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}{access.Token, int(oauth.Life / time.Second), "Bearer"}))
	a.Sender = access.Sender
	return a
}

// admit takes one exchange from the rate of a refresh token.
func (e *endpoint) admit(refreshToken string, now time.Time) bool {
	hash := store.HashKey(refreshToken)
	b, ok := e.rates.Get(hash)
	if !ok {
		b = new(flowcontrol.Bucket)
		if old, known, _ := e.rates.PeekOrAdd(hash, b); known {
			b = old
		}
	}
	return b.Take(e.rate, 1, now)
}

// revoke ends a refresh token with its access tokens (RFC 7009).
func (e *endpoint) revoke(r *http.Request) httpserver.Answer {
	text := r.URL.RawQuery
	if r.Method == http.MethodPost {
		body, err := httpserver.ReadBody(r, maxBody)
		if err != nil {
			return uncached(httpserver.BodyAnswer(err))
		}
		if len(body) > 0 {
			text = text + "&" + string(body)
		}
	}
	f, err := parseForm(text)
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", err.Error())
	}
	if f["token"] == "" {
		return refuse(http.StatusBadRequest, "invalid_request", "token is missing")
	}
	sender, err := e.tokens.Revoke(r.Context(), f["token"], e.now())
	switch {
	case errors.Is(err, oauth.ErrInvalid):
		return refuse(http.StatusBadRequest, "invalid_token", "")
	case err != nil:
		a := uncached(httpserver.TryLater())
		a.Err = err
		return a
	}
	a := uncached(httpserver.JSON(http.StatusOK, struct{}{}))
	a.Sender, a.Outcome = sender, "revoked"
	return a
}

// takeBasic adds the client of HTTP Basic to the form, and reports whether there was one
// (RFC 6749 §2.3.1).
func (f form) takeBasic(r *http.Request) (bool, error) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return false, nil
	}
	for key, value := range map[string]string{"client_id": unescape(id), "client_secret": unescape(secret)} {
		if other, twice := f[key]; twice && other != value {
			return true, errors.New(key + " differs from the Authorization header")
		}
		f[key] = value
	}
	return true, nil
}

// refuse returns an error answer (RFC 6749 §5.2).
func refuse(status int, word, description string) httpserver.Answer {
	a := uncached(httpserver.JSON(status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{word, description}))
	a.Outcome = word
	return a
}

// uncached forbids every cache to keep an answer.
func uncached(a httpserver.Answer) httpserver.Answer {
	if a.Header == nil {
		a.Header = http.Header{}
	}
	a.Header.Set("Cache-Control", "no-store")
	a.Header.Set("Pragma", "no-cache")
	return a
}
