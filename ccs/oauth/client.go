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

// Life is how long an access token holds that Refresh gives out: what the real service said in expires_in
// (CCS 7.1).
const Life = 3920 * time.Second

// maxScope bounds the scope of a refresh token, so that its access tokens stay within MaxToken. The two
// that GCM for Chrome had are 47 and 48 characters long.
const maxScope = 400

// ErrScope is a scope that no token can carry.
var ErrScope = errors.New("the scope is too long")

// Client is what an OAuth client identifies itself with. The secret is shown this once.
type Client struct {
	ID     string
	Secret string
}

// NewClient makes an OAuth client of a project; store.ErrNotFound if there is no such project.
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

// NewRefreshToken makes a refresh token of a client, which is shown this once; store.ErrNotFound if there
// is no such client.
func (i *Issuer) NewRefreshToken(ctx context.Context, clientID, scope string, now time.Time) (string, error) {
	if len(scope) > maxScope {
		return "", fmt.Errorf("%w: more than %d characters", ErrScope, maxScope)
	}
	c, err := i.store.OAuthClient(ctx, clientID)
	if err != nil {
		return "", fmt.Errorf("make a refresh token: %w", err)
	}
	token := "1/" + newSecret() // as the real ones began
	err = i.store.PutRefreshToken(ctx, &store.RefreshToken{
		Hash: store.HashKey(token), Client: c.ID, Sender: c.Sender, Scope: scope, Created: now,
	})
	if err != nil {
		return "", fmt.Errorf("make a refresh token: %w", err)
	}
	return token, nil
}

// Refresh exchanges a refresh token for an access token, which holds for Life. ErrClient and ErrGrant are
// the client's to mend; any other error is ours. A refresh token holds until it is revoked (CCS 7.1).
func (i *Issuer) Refresh(ctx context.Context, clientID, clientSecret, refreshToken string, now time.Time) (token string, err error) {
	c, err := i.store.OAuthClient(ctx, clientID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c = &store.OAuthClient{} // no secret has this hash, and it takes as long to say so
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

// newClientID looks as Google's do: the project's number, 32 random characters, and a domain.
func newClientID(sender string) string {
	var b [20]byte
	rand.Read(b[:])
	return sender + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])) + ".apps.googleusercontent.com"
}

// newSecret has 256 random bits, so that its plain hash cannot be searched.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
