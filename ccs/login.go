package ccs

import (
	"context"
	"errors"
	"fmt"

	"openccs/store"
)

// nobody stands in for an unknown sender, so that a login takes as long for one as for a wrong key.
var nobody = &store.Project{Keys: make([]store.APIKey, 1)}

// Grant is what a login gives.
type Grant struct {
	KeyID  string // which key it was
	Limits store.Limits
}

// Login checks an app server's credential: a sender ID and one of its API keys. ErrUnknownSender and ErrWrongKey are for the log; the peer is told the same for both.
func (r *Router) Login(ctx context.Context, sender SenderID, key string) (Grant, error) {
	p, err := r.store.Project(ctx, string(sender))
	switch {
	case errors.Is(err, store.ErrNotFound):
		nobody.Key(key)
		return Grant{}, ErrUnknownSender
	case err != nil:
		return Grant{}, fmt.Errorf("look up sender %s: %w", sender, err)
	}
	found := p.Key(key)
	if found == nil {
		return Grant{}, ErrWrongKey
	}
	return Grant{KeyID: found.ID, Limits: p.Limits}, nil
}

// Keys lists the ids of a sender's keys, none for a sender that is gone.
func (r *Router) Keys(ctx context.Context, sender SenderID) ([]string, error) {
	p, err := r.store.Project(ctx, string(sender))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up sender %s: %w", sender, err)
	}
	ids := make([]string, len(p.Keys))
	for i := range p.Keys {
		ids[i] = p.Keys[i].ID
	}
	return ids, nil
}
