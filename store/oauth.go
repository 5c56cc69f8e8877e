package store

import (
	"context"
	"crypto/sha256"
	"time"
)

// OAuthClient is a program that may get access tokens for a project (GCM for Chrome, CCS 7.1). Like an
// API key, its secret is kept as a hash alone.
type OAuthClient struct {
	ID         string // not empty, without NUL; what the program calls itself at the token endpoint
	Sender     string // the project's sender ID
	Name       string
	SecretHash [sha256.Size]byte // HashKey of the secret
	Created    time.Time
}

// RefreshToken is what an OAuth client exchanges for access tokens, as often as it likes, until it is
// revoked (CCS 7.1).
type RefreshToken struct {
	Hash    [sha256.Size]byte // HashKey of the token, which is not kept
	Client  string            // the OAuth client's ID
	Sender  string            // the client's sender ID
	Scope   string            // what its access tokens are good for, as OAuth writes it
	Created time.Time
}

// OAuth remembers who may get access tokens. A client belongs to a project and a refresh token to a
// client, and neither is there without what it belongs to: whoever finds a client knows that its project
// lives. Access tokens are not remembered at all.
type OAuth interface {
	// CreateOAuthClient keeps a new client; ErrExists if its ID is taken, ErrNotFound if there is no such
	// project.
	CreateOAuthClient(ctx context.Context, c *OAuthClient) error
	// OAuthClient returns a client; ErrNotFound if there is none.
	OAuthClient(ctx context.Context, id string) (*OAuthClient, error)
	// OAuthClients lists the clients of a sender, by ID; none for a sender that is not there.
	OAuthClients(ctx context.Context, sender string) ([]*OAuthClient, error)
	// DeleteOAuthClient forgets a client and its refresh tokens; ErrNotFound if there is none.
	DeleteOAuthClient(ctx context.Context, id string) error

	// PutRefreshToken keeps a new refresh token; ErrExists if its hash is taken, ErrNotFound if its sender
	// has no such client.
	PutRefreshToken(ctx context.Context, t *RefreshToken) error
	// RefreshToken returns the token of a hash; ErrNotFound if there is none.
	RefreshToken(ctx context.Context, hash [sha256.Size]byte) (*RefreshToken, error)
	// DeleteRefreshToken forgets a token; ErrNotFound if there is none.
	DeleteRefreshToken(ctx context.Context, hash [sha256.Size]byte) error
}
