package oauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// Life is the lifetime of an access token from Refresh. The real service said so in expires_in
// (CCS 7.1).
const Life = 3920 * time.Second

// The scopes of GCM for Chrome (CCS 7.1). Either of the first two is good for both revisions. The
// readonly ones are scopes of users, and only good for channel IDs (CCS 7.5).
const (
	ScopeChrome           = "https://www.googleapis.com/auth/gcm_for_chrome"
	ScopeWebStore         = "https://www.googleapis.com/auth/chromewebstore"
	ScopeChromeReadonly   = "https://www.googleapis.com/auth/gcm_for_chrome.readonly"
	ScopeWebStoreReadonly = "https://www.googleapis.com/auth/chromewebstore.notification"

	DefaultScope     = ScopeChrome + " " + ScopeWebStore
	DefaultUserScope = ScopeChromeReadonly + " " + ScopeWebStoreReadonly
)

// Limits for credentials. They keep an access token within MaxToken.
const (
	maxScope    = 400
	maxClientID = 200 // of an imported client; those of the real service have 72 characters at most
	maxUser     = 64
	maxSecret   = 512 // of an imported secret or refresh token
)

var (
	// ErrScope says that a scope is too long for a token.
	ErrScope = errors.New("the scope is too long")
	// ErrCredentials says that an imported credential is empty, too long or not of printable ASCII
	// characters.
	ErrCredentials = errors.New("not a credential")
)

// Client holds the credentials of an OAuth client. The store keeps only a hash of the secret.
type Client struct {
	ID     string
	Secret string
}

// Grant is what a refresh token is good for.
type Grant struct {
	Scope string // the scope of its access tokens; "" for the default
	User  string // the user that it speaks for, in decimal; "" for the project itself (CCS 7.5)
}

// NewClient makes an OAuth client of a project. It returns store.ErrNotFound if the project does
// not exist.
func (i *Issuer) NewClient(ctx context.Context, sender, name string, now time.Time) (Client, error) {
	return i.ImportClient(ctx, sender, name, Client{}, now)
}

// ImportClient makes an OAuth client with credentials that exist already, such as those that an app
// server has compiled in. It makes new ones for those that are "". It returns store.ErrExists if
// the client ID is taken.
func (i *Issuer) ImportClient(ctx context.Context, sender, name string, c Client, now time.Time) (Client, error) {
	if c.ID == "" {
		c.ID = newClientID(sender)
	}
	if c.Secret == "" {
		c.Secret = newSecret()
	}
	if !printable(c.ID, maxClientID) || !printable(c.Secret, maxSecret) {
		return Client{}, fmt.Errorf("make an OAuth client: %w", ErrCredentials)
	}
	err := i.store.CreateOAuthClient(ctx, &store.OAuthClient{
		ID: c.ID, Sender: sender, Name: name, SecretHash: store.HashKey(c.Secret), Created: now,
	})
	if err != nil {
		return Client{}, fmt.Errorf("make an OAuth client: %w", err)
	}
	return c, nil
}

// NewRefreshToken makes a refresh token of a client. The store keeps only a hash of it.
// NewRefreshToken returns store.ErrNotFound if the client does not exist, and ErrScope if the scope
// is too long.
func (i *Issuer) NewRefreshToken(ctx context.Context, clientID string, g Grant, now time.Time) (string, error) {
	token := "1/" + newSecret() // like those of the real service
	return token, i.ImportRefreshToken(ctx, clientID, token, g, now)
}

// ImportRefreshToken is NewRefreshToken for a token that exists already. It returns store.ErrExists
// if the token is known.
func (i *Issuer) ImportRefreshToken(ctx context.Context, clientID, token string, g Grant, now time.Time) error {
	switch {
	case g.Scope != "":
	case g.User != "":
		g.Scope = DefaultUserScope
	default:
		g.Scope = DefaultScope
	}
	if len(g.Scope) > maxScope {
		return fmt.Errorf("%w: more than %d characters", ErrScope, maxScope)
	}
	if !printable(token, maxSecret) || g.User != "" && (len(g.User) > maxUser || strings.Trim(g.User, "0123456789") != "") {
		return fmt.Errorf("make a refresh token: %w", ErrCredentials)
	}
	c, err := i.store.OAuthClient(ctx, clientID)
	if err != nil {
		return fmt.Errorf("make a refresh token: %w", err)
	}
	err = i.store.PutRefreshToken(ctx, &store.RefreshToken{
		Hash: store.HashKey(token), Client: c.ID, Sender: c.Sender, Scope: g.Scope, User: g.User, Created: now,
	})
	if err != nil {
		return fmt.Errorf("make a refresh token: %w", err)
	}
	return nil
}

// Request is a call of the token endpoint (CCS 7.1).
type Request struct {
	ClientID, ClientSecret, RefreshToken string
	// Scope is a part of the refresh token's scope, or "" for all of it.
	Scope string
}

// Access is the result of Refresh.
type Access struct {
	Token  string // the access token
	Sender string // the sender that it belongs to
}

// authenticate returns the client of a request, or ErrClient if its ID or secret is wrong.
func (i *Issuer) authenticate(ctx context.Context, r *Request) (*store.OAuthClient, error) {
	c, err := i.store.OAuthClient(ctx, r.ClientID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c = &store.OAuthClient{} // no secret has its hash; the answer takes as long as for a wrong secret
	case err != nil:
		return nil, fmt.Errorf("look up an OAuth client: %w", err)
	}
	h := store.HashKey(r.ClientSecret)
	if subtle.ConstantTimeCompare(h[:], c.SecretHash[:]) != 1 {
		return nil, ErrClient
	}
	return c, nil
}

// Refresh exchanges a refresh token for an access token that is valid for Life. It returns
// ErrClient, ErrGrant or ErrWiderScope if the client is at fault; any other error is the store's. A
// refresh token is valid until it is revoked (CCS 7.1).
func (i *Issuer) Refresh(ctx context.Context, r *Request, now time.Time) (Access, error) {
	c, err := i.authenticate(ctx, r)
	if err != nil {
		return Access{}, err
	}
	t, err := i.store.RefreshToken(ctx, store.HashKey(r.RefreshToken))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Access{}, ErrGrant
	case err != nil:
		return Access{}, fmt.Errorf("refresh: %w", err)
	case t.Client != c.ID:
		return Access{}, ErrGrant
	}
	scope := t.Scope
	if r.Scope != "" {
		for s := range strings.FieldsSeq(r.Scope) {
			if !HasScope(t.Scope, s) {
				return Access{}, ErrWiderScope
			}
		}
		scope = r.Scope
	}
	token, err := i.sign(&content{
		Claims: Claims{
			Sender: t.Sender, Client: t.Client, Scope: scope, User: t.User, Issued: now, Expires: now.Add(Life),
		},
		epoch: c.TokenEpoch, grant: t.Hash,
	})
	return Access{Token: token, Sender: t.Sender}, err
}

// HasScope reports whether a scope, in the form of OAuth, has one of the wanted ones
// (RFC 6749 §3.3).
func HasScope(scope string, wanted ...string) bool {
	for s := range strings.FieldsSeq(scope) {
		if slices.Contains(wanted, s) {
			return true
		}
	}
	return false
}

// Revoke ends a refresh token and its access tokens. An access token stands for its refresh token,
// as at Google. Revoke returns ErrInvalid for a token that is not known, and the sender that has
// lost it otherwise.
func (i *Issuer) Revoke(ctx context.Context, token string, now time.Time) (sender string, err error) {
	hash := store.HashKey(token)
	if strings.HasPrefix(token, Prefix) {
		c, err := i.parse(token)
		switch {
		case err != nil:
			return "", err
		case !now.Before(c.Expires), c.grant == [len(c.grant)]byte{}:
			return "", ErrInvalid
		}
		hash = c.grant
	}
	t, err := i.store.RefreshToken(ctx, hash)
	if err == nil {
		err = i.store.DeleteRefreshToken(ctx, hash)
	}
	i.cache.clear()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", ErrInvalid
	case err != nil:
		return "", fmt.Errorf("revoke a token: %w", err)
	}
	return t.Sender, nil
}

// RevokeAccessTokens ends the access tokens that a client has now, and leaves it the refresh
// tokens.
func (i *Issuer) RevokeAccessTokens(ctx context.Context, clientID string) error {
	defer i.cache.clear()
	err := i.store.UpdateOAuthClient(ctx, clientID, func(c *store.OAuthClient) error {
		c.TokenEpoch++
		return nil
	})
	if err != nil {
		return fmt.Errorf("revoke access tokens: %w", err)
	}
	return nil
}

// DeleteClient ends a client with its refresh tokens and access tokens.
func (i *Issuer) DeleteClient(ctx context.Context, clientID string) error {
	defer i.cache.clear()
	if err := i.store.DeleteOAuthClient(ctx, clientID); err != nil {
		return fmt.Errorf("revoke an OAuth client: %w", err)
	}
	return nil
}

// printable reports whether a credential is of printable ASCII characters, and at most so many.
func printable(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// newClientID makes a client ID in the form of Google's: project number, 32 random characters,
// domain.
func newClientID(sender string) string {
	var b [20]byte
	rand.Read(b[:])
	return sender + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])) + ".apps.googleusercontent.com"
}

// newSecret makes a secret of 256 random bits. Nobody can find it by a search over plain hashes.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
