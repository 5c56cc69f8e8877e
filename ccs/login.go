package ccs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
)

// nobody stands in for an unknown sender, so that a login takes as long for one as for a wrong key.
var nobody = &store.Project{Keys: make([]store.APIKey, 1)}

// Grant is what a login gives.
type Grant struct {
	KeyID  string // which key it was, or which OAuth client's token; one of Keys for as long as that is not revoked
	Limits store.Limits
}

// TokenChecker knows the access tokens that this server has issued.
type TokenChecker interface {
	// TokenOwner says whose token it is: the sender's and its OAuth client's. An error that has a method
	// Refused, which returns true, says that the token is not good; any other that nobody can tell now.
	TokenOwner(ctx context.Context, token string, now time.Time) (sender, clientID string, err error)
}

// clientKeyID is the key ID of what logs in with an OAuth client's tokens.
func clientKeyID(clientID string) string { return "oauth:" + clientID }

// Login checks an app server's credential: a sender ID and one of its API keys. ErrUnknownSender and ErrWrongKey are for the log; the peer is told the same for both.
func (r *Router) Login(ctx context.Context, sender SenderID, key string) (Grant, error) {
	_, grant, err := r.loginKey(ctx, sender, key)
	return grant, err
}

// LoginToken is Login that takes an access token of the sender's too, where a token belongs (CCS 1.6). Which
// scope the token has does not matter. A token that expires later ends no session; that its client is
// deleted does.
func (r *Router) LoginToken(ctx context.Context, sender SenderID, keyOrToken string) (Grant, error) {
	p, grant, err := r.loginKey(ctx, sender, keyOrToken)
	if r.tokens == nil || !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrUnknownSender) {
		return grant, err
	}
	// The token of an unknown sender is looked at as well: it takes as long.
	owner, clientID, tokenErr := r.tokens.TokenOwner(ctx, keyOrToken, r.clock.Now())
	var why interface{ Refused() bool }
	switch {
	case errors.Is(err, ErrUnknownSender):
		return Grant{}, err
	case errors.As(tokenErr, &why) && why.Refused():
		return Grant{}, fmt.Errorf("%w, and %w", err, tokenErr)
	case tokenErr != nil:
		return Grant{}, fmt.Errorf("log in %s: %w", sender, tokenErr)
	case owner != string(sender):
		return Grant{}, fmt.Errorf("%w: the access token is another sender's", err)
	}
	return Grant{KeyID: clientKeyID(clientID), Limits: p.Limits}, nil
}

// loginKey is Login. It returns the project also when the key is wrong.
func (r *Router) loginKey(ctx context.Context, sender SenderID, key string) (*store.Project, Grant, error) {
	p, err := r.store.Project(ctx, string(sender))
	switch {
	case errors.Is(err, store.ErrNotFound):
		nobody.Key(key)
		return nil, Grant{}, ErrUnknownSender
	case err != nil:
		return nil, Grant{}, fmt.Errorf("look up sender %s: %w", sender, err)
	}
	found := p.Key(key)
	if found == nil {
		return p, Grant{}, ErrWrongKey
	}
	return p, Grant{KeyID: found.ID, Limits: p.Limits}, nil
}

// Keys lists the ids of a sender's keys and those that stand for its OAuth clients, none for a sender that
// is gone.
func (r *Router) Keys(ctx context.Context, sender SenderID) ([]string, error) {
	p, err := r.store.Project(ctx, string(sender))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up sender %s: %w", sender, err)
	}
	clients, err := r.store.OAuthClients(ctx, string(sender))
	if err != nil {
		return nil, fmt.Errorf("look up OAuth clients of sender %s: %w", sender, err)
	}
	ids := make([]string, 0, len(p.Keys)+len(clients))
	for i := range p.Keys {
		ids = append(ids, p.Keys[i].ID)
	}
	for _, c := range clients {
		ids = append(ids, clientKeyID(c.ID))
	}
	return ids, nil
}
