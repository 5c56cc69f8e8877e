package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
)

// Refusal is why a credential is not good. Whoever checks tokens through an interface knows one by its
// method.
type Refusal string

// Error is the reason, for the log.
func (r Refusal) Error() string { return string(r) }

// Refused tells a refusal from an error that kept the credential from being checked.
func (r Refusal) Refused() bool { return true }

// Why a credential is refused.
const (
	ErrInvalid = Refusal("not an access token of this server")
	ErrExpired = Refusal("the access token has expired")
	ErrRevoked = Refusal("the access token's OAuth client or project is gone")
	ErrClient  = Refusal("unknown OAuth client or wrong secret")             // invalid_client (CCS 7.1)
	ErrGrant   = Refusal("the refresh token is unknown or another client's") // invalid_grant (CCS 7.1)
)

// Store is what an Issuer needs of a store.
type Store interface {
	store.Secrets
	store.OAuth
}

// secretName is under which name the store keeps what tokens are signed with.
const secretName = "oauth"

// Issuer issues and checks access tokens.
type Issuer struct {
	store  Store
	secret []byte
}

// New makes an issuer over a store. All issuers of one store take each other's tokens.
func New(ctx context.Context, st Store) (*Issuer, error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh)
	secret, err := st.Secret(ctx, secretName, fresh)
	if err != nil {
		return nil, fmt.Errorf("read the secret of access tokens: %w", err)
	}
	return &Issuer{store: st, secret: secret}, nil
}

// Issue makes an access token. It fails only when the token would be longer than MaxToken.
func (i *Issuer) Issue(sender, clientID, scope string, now time.Time, life time.Duration) (token string, err error) {
	return i.sign(Claims{Sender: sender, Client: clientID, Scope: scope, Issued: now, Expires: now.Add(life)})
}

// Check says what an access token says: ErrInvalid for one that this server did not issue, ErrExpired,
// ErrRevoked; any other error is the store's. A client is never there without its project, so that looking
// for the client is enough.
func (i *Issuer) Check(ctx context.Context, token string, now time.Time) (Claims, error) {
	c, err := i.parse(token)
	if err != nil {
		return Claims{}, err
	}
	if !now.Before(c.Expires) {
		return Claims{}, ErrExpired
	}
	client, err := i.store.OAuthClient(ctx, c.Client)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Claims{}, ErrRevoked
	case err != nil:
		return Claims{}, fmt.Errorf("check an access token: %w", err)
	case client.Sender != c.Sender:
		return Claims{}, ErrRevoked
	}
	return c, nil
}

// TokenOwner is Check for who only needs to know whose the token is (ccs.TokenChecker).
func (i *Issuer) TokenOwner(ctx context.Context, token string, now time.Time) (sender, clientID string, err error) {
	c, err := i.Check(ctx, token, now)
	return c.Sender, c.Client, err
}
