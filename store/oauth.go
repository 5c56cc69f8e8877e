package store

import (
	"context"
	"crypto/sha256"
	"strconv"
	"time"
)

// OAuthClient is a program that may get access tokens for a project (GCM for Chrome, CCS 7.1). The
// store keeps only a hash of its secret, as for an API key.
type OAuthClient struct {
	ID         string // not empty, without NUL; the name of the program at the token endpoint
	Sender     string // the project's sender ID
	Name       string
	SecretHash [sha256.Size]byte // HashKey of the secret
	Created    time.Time
	// TokenEpoch counts how often all access tokens of the client were revoked. A token of an
	// earlier epoch is not valid.
	TokenEpoch uint32 `json:",omitempty"`
}

// Credential names the client's access tokens that are valid: the client ID, and the epoch after
// the first.
func (c *OAuthClient) Credential() string { return Credential(c.ID, c.TokenEpoch) }

// Credential returns the Credential of a client in an epoch.
func Credential(clientID string, epoch uint32) string {
	if epoch == 0 {
		return clientID
	}
	return clientID + "#" + strconv.FormatUint(uint64(epoch), 10)
}

// RefreshToken is a token that an OAuth client exchanges for access tokens, any number of times,
// until it is revoked (CCS 7.1).
type RefreshToken struct {
	Hash   [sha256.Size]byte // HashKey of the token, which is not kept
	Client string            // the OAuth client's ID
	Sender string            // the client's sender ID
	Scope  string            // the scope of its access tokens, as OAuth writes it
	// User is the user that gave the token, or "" for the project itself (CCS 7.5).
	User    string `json:",omitempty"`
	Created time.Time
}

// OAuth keeps OAuth clients and refresh tokens. A client belongs to a project and a refresh token
// to a client. Neither exists without its owner, so a caller that finds a client knows that its
// project lives. Access tokens are not stored.
type OAuth interface {
	// CreateOAuthClient keeps a new client. It returns ErrExists if the ID is taken, ErrNotFound if
	// the project does not exist.
	CreateOAuthClient(ctx context.Context, c *OAuthClient) error
	// OAuthClient returns a client, or ErrNotFound.
	OAuthClient(ctx context.Context, id string) (*OAuthClient, error)
	// OAuthClients lists the clients of a sender, by ID; none for an unknown sender.
	OAuthClients(ctx context.Context, sender string) ([]*OAuthClient, error)
	// UpdateOAuthClient changes a client with fn, which may run again after a concurrent change. It
	// returns ErrNotFound if there is none. It returns an error of fn as it is, and then changes
	// nothing. The ID and the sender do not change.
	UpdateOAuthClient(ctx context.Context, id string, fn func(*OAuthClient) error) error
	// DeleteOAuthClient forgets a client and its refresh tokens. It returns ErrNotFound if there is
	// none.
	DeleteOAuthClient(ctx context.Context, id string) error

	// PutRefreshToken keeps a new refresh token. It returns ErrExists if the hash is taken,
	// ErrNotFound if the sender has no such client.
	PutRefreshToken(ctx context.Context, t *RefreshToken) error
	// RefreshToken returns the token with a hash, or ErrNotFound.
	RefreshToken(ctx context.Context, hash [sha256.Size]byte) (*RefreshToken, error)
	// RefreshTokens lists the refresh tokens of a client, by hash; none for an unknown client.
	RefreshTokens(ctx context.Context, client string) ([]*RefreshToken, error)
	// DeleteRefreshToken forgets a token. It returns ErrNotFound if there is none.
	DeleteRefreshToken(ctx context.Context, hash [sha256.Size]byte) error
}
