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

// Refusal says why a credential is not valid. A caller that checks tokens through an interface recognises
// it by its method Refused.
type Refusal string

// Error returns the reason, for the log.
func (r Refusal) Error() string { return string(r) }

// Refused reports true: the credential was checked and is not valid. Other errors prevented the check.
func (r Refusal) Refused() bool { return true }

// The reasons to refuse a credential.
const (
	ErrInvalid = Refusal("not an access token of this server")
	ErrExpired = Refusal("the access token has expired")
	ErrRevoked = Refusal("the access token's OAuth client or project is gone")
	ErrClient  = Refusal("unknown OAuth client or wrong secret")             // invalid_client (CCS 7.1)
	ErrGrant   = Refusal("the refresh token is unknown or another client's") // invalid_grant (CCS 7.1)
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
}

// New makes an issuer on a store. All issuers of one store accept each other's tokens.
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

// Check returns the claims of an access token. It returns ErrInvalid for a token of another server,
// ErrExpired or ErrRevoked; any other error is the store's. A client does not outlive its project, so
// Check looks up the client only.
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

// TokenOwner is Check for a caller that needs only the owner of the token (ccs.TokenChecker).
func (i *Issuer) TokenOwner(ctx context.Context, token string, now time.Time) (sender, clientID, scope string, err error) {
	c, err := i.Check(ctx, token, now)
	return c.Sender, c.Client, c.Scope, err
}
