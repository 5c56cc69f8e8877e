package oauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// Life is the lifetime of an access token from Refresh. The real service said so in expires_in (CCS 7.1).
const Life = 3920 * time.Second

// maxScope bounds the scope of a refresh token, so that its access tokens stay within MaxToken. The two
// scopes of GCM for Chrome have 47 and 48 characters.
const maxScope = 400

// ErrScope says that a scope is too long for a token.
var ErrScope = errors.New("the scope is too long")

// Client holds the credentials of an OAuth client. The store keeps only a hash of the secret.
type Client struct {
	ID     string
	Secret string
}

// NewClient makes an OAuth client of a project. It returns store.ErrNotFound if the project does not exist.
func (i *Issuer) NewClient(ctx context.Context, sender, name string, now time.Time) (Client, error) {
	c := Client{ID: newClientID(sender), Secret: newSecret()}
	err := i.store.CreateOAuthClient(ctx, &store.OAuthClient{
		ID: c.ID, Sender: sender, Name: name, SecretHash: store.HashKey(c.Secret), Created: now,
	})
	if err != nil {
		return Client{}, fmt.Errorf("make an OAuth client: %w", err)
	}
	return c, nil
}

// NewRefreshToken makes a refresh token of a client. The store keeps only a hash of it. NewRefreshToken
// returns store.ErrNotFound if the client does not exist, and ErrScope if the scope is too long.
func (i *Issuer) NewRefreshToken(ctx context.Context, clientID, scope string, now time.Time) (string, error) {
	if len(scope) > maxScope {
		return "", fmt.Errorf("%w: more than %d characters", ErrScope, maxScope)
	}
	c, err := i.store.OAuthClient(ctx, clientID)
	if err != nil {
		return "", fmt.Errorf("make a refresh token: %w", err)
	}
	token := "1/" + newSecret() // like those of the real service
	err = i.store.PutRefreshToken(ctx, &store.RefreshToken{
		Hash: store.HashKey(token), Client: c.ID, Sender: c.Sender, Scope: scope, Created: now,
	})
	if err != nil {
		return "", fmt.Errorf("make a refresh token: %w", err)
	}
	return token, nil
}

// Refresh exchanges a refresh token for an access token that is valid for Life. It returns ErrClient or
// ErrGrant if the client is at fault; any other error is the store's. A refresh token is valid until it is
// revoked (CCS 7.1).
func (i *Issuer) Refresh(ctx context.Context, clientID, clientSecret, refreshToken string, now time.Time) (token string, err error) {
	c, err := i.store.OAuthClient(ctx, clientID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c = &store.OAuthClient{} // no secret has its hash; the answer takes as long as for a wrong secret
	case err != nil:
		return "", fmt.Errorf("refresh: %w", err)
	}
	h := store.HashKey(clientSecret)
	if subtle.ConstantTimeCompare(h[:], c.SecretHash[:]) != 1 {
		return "", ErrClient
	}
	t, err := i.store.RefreshToken(ctx, store.HashKey(refreshToken))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", ErrGrant
	case err != nil:
		return "", fmt.Errorf("refresh: %w", err)
	case t.Client != c.ID:
		return "", ErrGrant
	}
	return i.Issue(t.Sender, t.Client, t.Scope, now, Life)
}

// newClientID makes a client ID in the form of Google's: project number, 32 random characters, domain.
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
