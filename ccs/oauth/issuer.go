package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
)

// Refusal says why a credential is not valid. A caller that checks tokens through an interface
// recognises it by its method Refused.
type Refusal string

// Error returns the reason, for the log.
func (r Refusal) Error() string { return string(r) }

// Refused reports true: the credential was checked and is not valid. Other errors prevented the
// check.
func (r Refusal) Refused() bool { return true }

// The reasons to refuse a credential, some with their OAuth errors (CCS 7.1).
const (
	ErrInvalid = Refusal("not an access token of this server")
	ErrExpired = Refusal("the access token has expired")
	ErrRevoked = Refusal("the access token was revoked, or its OAuth client or project is gone")
	ErrUser    = Refusal("the access token is a user's")                     // not for a sender
	ErrNoUser  = Refusal("the access token is a project's")                  // not for a user
	ErrClient  = Refusal("unknown OAuth client or wrong secret")             // invalid_client
	ErrGrant   = Refusal("the refresh token is unknown or another client's") // invalid_grant

	ErrWiderScope = Refusal("the scope is not a part of the refresh token's") // invalid_scope
)

// Store is the part of a store that an Issuer needs.
type Store interface {
	store.Secrets
	store.OAuth
}

// secretName is the name of the signing key in the store.
const secretName = "oauth"

// Issuer issues and checks access tokens.
type Issuer struct {
	store  Store
	secret []byte
	cache  *cache
}

// New makes an issuer on a store. All issuers of one store accept each other's tokens.
func New(ctx context.Context, st Store) (*Issuer, error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh)
	secret, err := st.Secret(ctx, secretName, fresh)
	if err != nil {
		return nil, fmt.Errorf("read the secret of access tokens: %w", err)
	}
	return &Issuer{store: st, secret: secret, cache: newCache()}, nil
}

// Issue makes an access token that no refresh token stands for. It fails only when the token would
// be longer than MaxToken.
func (i *Issuer) Issue(sender, clientID, scope string, now time.Time, life time.Duration) (token string, err error) {
	return i.sign(&content{Claims: Claims{Sender: sender, Client: clientID, Scope: scope, Issued: now, Expires: now.Add(life)}})
}

// Check returns the claims of a project's access token. It returns ErrInvalid for a token of
// another server, ErrExpired, ErrRevoked or ErrUser; any other error is the store's. It knows a
// revocation on another node within a second, and one on this node at once.
func (i *Issuer) Check(ctx context.Context, token string, now time.Time) (Claims, error) {
	c, err := i.check(ctx, token, now)
	if err == nil && c.User != "" {
		return Claims{}, ErrUser
	}
	return c.Claims, err
}

// CheckUser is Check for the access token of a user (CCS 7.5). It returns ErrNoUser for that of a
// project.
func (i *Issuer) CheckUser(ctx context.Context, token string, now time.Time) (Claims, error) {
	c, err := i.check(ctx, token, now)
	if err == nil && c.User == "" {
		return Claims{}, ErrNoUser
	}
	return c.Claims, err
}

// check looks at the client and the refresh token only: a client does not outlive its project.
func (i *Issuer) check(ctx context.Context, token string, now time.Time) (content, error) {
	c, err := i.parse(token)
	if err != nil {
		return content{}, err
	}
	if !now.Before(c.Expires) {
		return content{}, ErrExpired
	}
	r, err := i.lookUp(ctx, subject{client: c.Client, grant: c.grant})
	switch {
	case err != nil:
		return content{}, fmt.Errorf("check an access token: %w", err)
	case !r.live, r.sender != c.Sender, r.epoch != c.epoch:
		return content{}, ErrRevoked
	}
	return c, nil
}

// TokenOwner is Check for a caller that needs only the owner of the token and its scope
// (ccs.TokenChecker). The credential is that of store.OAuthClient.
func (i *Issuer) TokenOwner(ctx context.Context, token string, now time.Time) (sender, credential, scope string, err error) {
	c, err := i.check(ctx, token, now)
	if err == nil && c.User != "" {
		err = ErrUser
	}
	if err != nil {
		return "", "", "", err
	}
	return c.Sender, store.Credential(c.Client, c.epoch), c.Scope, nil
}
