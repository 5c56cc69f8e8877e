package ccs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/openccs/openccs/store"
)

// nobody stands in for an unknown sender, so that its login takes as long as one with a wrong key.
var nobody = &store.Project{Keys: make([]store.APIKey, 1)}

// Grant is the result of a login.
type Grant struct {
	// KeyID names the key that was used, or the OAuth client of the token. Keys lists it until it
	// is revoked.
	KeyID  string
	Limits store.Limits
}

// TokenChecker checks the access tokens that this server has issued.
type TokenChecker interface {
	// TokenOwner returns the sender and the OAuth client of a token, and the token's scope. An
	// error with a method Refused that returns true says that the token is not valid. Any other
	// error says that the check failed.
	TokenOwner(ctx context.Context, token string, now time.Time) (sender, clientID, scope string, err error)
}

// clientKeyID returns the key ID for logins with an OAuth client's tokens.
func clientKeyID(clientID string) string { return "oauth:" + clientID }

// Login checks an app server's credentials: a sender ID and one of its API keys, which must allow
// the address of the peer. ErrUnknownSender, ErrWrongKey and ErrWrongAddress are for the log; the
// peer gets the same answer for all.
func (r *Router) Login(ctx context.Context, sender SenderID, key string, from netip.Addr) (Grant, error) {
	_, grant, err := r.loginKey(ctx, sender, key, from)
	return grant, err
}

// LoginToken is Login that also accepts an access token of the sender in place of a key (CCS 1.6).
// The scope of the token does not matter. A session outlives its token, but not the token's client:
// deleting that ends the session.
func (r *Router) LoginToken(ctx context.Context, sender SenderID, keyOrToken string, from netip.Addr) (Grant, error) {
	p, grant, err := r.loginKey(ctx, sender, keyOrToken, from)
	if r.tokens == nil || !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrUnknownSender) {
		return grant, err
	}
	// The token of an unknown sender is checked too, so that its login takes as long.
	owner, clientID, _, tokenErr := r.tokens.TokenOwner(ctx, keyOrToken, r.clock.Now())
	switch {
	case errors.Is(err, ErrUnknownSender):
		return Grant{}, err
	case tokenRefused(tokenErr):
		return Grant{}, fmt.Errorf("%w, and %w", err, tokenErr)
	case tokenErr != nil:
		return Grant{}, fmt.Errorf("log in %s: %w", sender, tokenErr)
	case owner != string(sender):
		return Grant{}, fmt.Errorf("%w: the access token is another sender's", err)
	}
	return Grant{KeyID: clientKeyID(clientID), Limits: p.Limits}, nil
}

// tokenRefused reports whether a TokenChecker says that a token is not valid.
func tokenRefused(err error) bool {
	var why interface{ Refused() bool }
	return errors.As(err, &why) && why.Refused()
}

// loginKey is Login, but it returns the project even when the key is wrong.
func (r *Router) loginKey(ctx context.Context, sender SenderID, key string, from netip.Addr) (*store.Project, Grant, error) {
	p, err := r.store.Project(ctx, string(sender))
	switch {
	case errors.Is(err, store.ErrNotFound):
		nobody.Key(key)
		return nil, Grant{}, ErrUnknownSender
	case err != nil:
		return nil, Grant{}, fmt.Errorf("look up sender %s: %w", sender, err)
	}
	found := p.Key(key)
	switch {
	case found == nil:
		return p, Grant{}, ErrWrongKey
	case !found.Allows(from):
		return p, Grant{}, ErrWrongAddress
	}
	return p, Grant{KeyID: found.ID, Limits: p.Limits}, nil
}

// Credential is the API key or the access token of a request (CCS 6.2).
type Credential struct {
	Key   string // "" if there is a Token
	Token string // "" if there is a Key
	// Sender is the sender that the request names too, or "". The key or token must belong to it.
	Sender  SenderID
	Address netip.Addr // address of the peer
}

// Authorization names the sender of a request and its rights.
type Authorization struct {
	Sender SenderID
	Grant
	Scope string // scope of the access token; "" for a key
}

// Authorize finds the sender of a request by its credential. The error wraps ErrUnauthorized if the
// credential is not valid, and says why for the log only. Any other error says that the check
// failed.
func (r *Router) Authorize(ctx context.Context, c Credential) (Authorization, error) {
	a, err := r.authorize(ctx, &c)
	switch {
	case err != nil:
		return Authorization{}, err
	case c.Sender != "" && c.Sender != a.Sender:
		return Authorization{}, fmt.Errorf("%w: the request names another sender", ErrUnauthorized)
	}
	return a, nil
}

func (r *Router) authorize(ctx context.Context, c *Credential) (Authorization, error) {
	switch {
	case c.Key != "":
		return r.authorizeKey(ctx, c)
	case c.Token != "" && r.tokens != nil:
		return r.authorizeToken(ctx, c)
	}
	return Authorization{}, fmt.Errorf("%w: neither a key nor an access token", ErrUnauthorized)
}

func (r *Router) authorizeKey(ctx context.Context, c *Credential) (Authorization, error) {
	hash := store.HashKey(c.Key)
	p, err := r.store.ProjectByKey(ctx, hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Authorization{}, fmt.Errorf("%w: unknown key", ErrUnauthorized)
	case err != nil:
		return Authorization{}, fmt.Errorf("look up the sender of a key: %w", err)
	}
	key := p.KeyOf(hash)
	switch {
	case key == nil:
		return Authorization{}, fmt.Errorf("%w: unknown key", ErrUnauthorized)
	case !key.Allows(c.Address):
		return Authorization{}, fmt.Errorf("%w: %w", ErrUnauthorized, ErrWrongAddress)
	}
	return Authorization{Sender: SenderID(p.Sender), Grant: Grant{KeyID: key.ID, Limits: p.Limits}}, nil
}

func (r *Router) authorizeToken(ctx context.Context, c *Credential) (Authorization, error) {
	owner, clientID, scope, err := r.tokens.TokenOwner(ctx, c.Token, r.clock.Now())
	switch {
	case tokenRefused(err):
		return Authorization{}, fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case err != nil:
		return Authorization{}, fmt.Errorf("check an access token: %w", err)
	}
	p, err := r.store.Project(ctx, owner)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Authorization{}, fmt.Errorf("%w: the project of the access token is gone", ErrUnauthorized)
	case err != nil:
		return Authorization{}, fmt.Errorf("look up sender %s: %w", owner, err)
	}
	return Authorization{Sender: SenderID(owner), Grant: Grant{KeyID: clientKeyID(clientID), Limits: p.Limits}, Scope: scope}, nil
}

// Keys lists the IDs of a sender's keys, and those that stand for its OAuth clients. A deleted
// sender has none.
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
		ids = append(ids, clientKeyID(c.Credential()))
	}
	return ids, nil
}
