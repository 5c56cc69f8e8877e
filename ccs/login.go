package ccs

import (
	"context"
	"errors"
	"fmt"

	"openccs/store"
)

// nobody stands in for an unknown sender, so that a login takes as long for one as for a wrong key.
var nobody = &store.Project{Keys: make([]store.APIKey, 1)}

// Login checks an app server's credential: a sender ID and one of its API keys. ErrUnknownSender and
// ErrWrongKey are for the log; the peer is told the same for both.
func (r *Router) Login(ctx context.Context, sender SenderID, key string) error {
	p, err := r.store.Project(ctx, string(sender))
	switch {
	case errors.Is(err, store.ErrNotFound):
		nobody.Key(key)
		return ErrUnknownSender
	case err != nil:
		return fmt.Errorf("look up sender %s: %w", sender, err)
	case p.Key(key) == nil:
		return ErrWrongKey
	}
	return nil
}
