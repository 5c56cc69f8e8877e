package diskstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// CreateOAuthClient stores a new client.
func (s *Store) CreateOAuthClient(ctx context.Context, c *store.OAuthClient) error {
	return s.changeInOrder(ctx, func(g *group) error {
		if _, err := s.readProject(textKey(prefixProject, c.Sender)); err != nil {
			return fmt.Errorf("oauth client %s: %w", c.ID, err)
		}
		key := textKey(prefixClient, c.ID)
		switch _, found, err := s.get(key); {
		case err != nil:
			return err
		case found:
			return fmt.Errorf("oauth client %s: %w", c.ID, store.ErrExists)
		}
		return errors.Join(g.setJSON(key, c), g.batch.Set(pairKey(prefixClientOf, c.Sender, []byte(c.ID)), nil, nil))
	})
}

// OAuthClient returns a client.
func (s *Store) OAuthClient(ctx context.Context, id string) (*store.OAuthClient, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.readClient(id)
}

func (s *Store) readClient(id string) (*store.OAuthClient, error) {
	c := &store.OAuthClient{}
	if err := s.getJSON(textKey(prefixClient, id), c); err != nil {
		return nil, fmt.Errorf("oauth client %s: %w", id, err)
	}
	return c, nil
}

// OAuthClients lists the clients of a sender, by ID.
func (s *Store) OAuthClients(ctx context.Context, sender string) (all []*store.OAuthClient, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	ids, err := s.listPairs(prefixClientOf, sender)
	if err != nil {
		return nil, fmt.Errorf("oauth clients of %s: %w", sender, err)
	}
	for _, id := range ids {
		c, err := s.readClient(string(id))
		switch {
		case errors.Is(err, store.ErrNotFound): // deleted since the list was read
		case err != nil:
			return nil, err
		default:
			all = append(all, c)
		}
	}
	return all, nil
}

// UpdateOAuthClient changes a client. It calls fn in the caller's goroutine, and again if the
// client has changed since.
func (s *Store) UpdateOAuthClient(ctx context.Context, id string, fn func(*store.OAuthClient) error) error {
	for {
		before, err := s.OAuthClient(ctx, id)
		if err != nil {
			return err
		}
		c := *before
		if err := fn(&c); err != nil {
			return err
		}
		c.ID, c.Sender = id, before.Sender
		changed := false
		err = s.changeInOrder(ctx, func(g *group) error {
			now, err := s.readClient(id)
			if err != nil {
				return err
			}
			if changed = !store.Alike(before, now); changed {
				return nil
			}
			return g.setJSON(textKey(prefixClient, id), &c)
		})
		if err != nil || !changed {
			return err
		}
	}
}

// DeleteOAuthClient forgets a client and its refresh tokens.
func (s *Store) DeleteOAuthClient(ctx context.Context, id string) error {
	return s.changeInOrder(ctx, func(g *group) error {
		c, err := s.readClient(id)
		if err != nil {
			return err
		}
		return g.deleteClient(c.Sender, id)
	})
}

// deleteClients stages the removal of all clients of a sender, and of their refresh tokens.
func (g *group) deleteClients(sender string) error {
	ids, err := g.s.listPairs(prefixClientOf, sender)
	for _, id := range ids {
		err = errors.Join(err, g.deleteClient(sender, string(id)))
	}
	return err
}

func (g *group) deleteClient(sender, id string) error {
	hashes, err := g.s.listPairs(prefixRefreshOf, id)
	for _, hash := range hashes {
		err = errors.Join(err, g.deleteRefreshToken(id, hash))
	}
	return errors.Join(err,
		g.batch.Delete(textKey(prefixClient, id), nil),
		g.batch.Delete(pairKey(prefixClientOf, sender, []byte(id)), nil))
}

// PutRefreshToken stores a new refresh token.
func (s *Store) PutRefreshToken(ctx context.Context, t *store.RefreshToken) error {
	return s.changeInOrder(ctx, func(g *group) error {
		c, err := s.readClient(t.Client)
		if err != nil {
			return fmt.Errorf("refresh token: %w", err)
		}
		if c.Sender != t.Sender {
			return fmt.Errorf("refresh token: oauth client %s of %s: %w", t.Client, t.Sender, store.ErrNotFound)
		}
		key := textKey(prefixRefresh, string(t.Hash[:]))
		switch _, found, err := s.get(key); {
		case err != nil:
			return err
		case found:
			return fmt.Errorf("refresh token: %w", store.ErrExists)
		}
		return errors.Join(g.setJSON(key, t), g.batch.Set(pairKey(prefixRefreshOf, t.Client, t.Hash[:]), nil, nil))
	})
}

// RefreshToken returns the token with a hash.
func (s *Store) RefreshToken(ctx context.Context, hash [sha256.Size]byte) (*store.RefreshToken, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.readRefreshToken(hash)
}

func (s *Store) readRefreshToken(hash [sha256.Size]byte) (*store.RefreshToken, error) {
	t := &store.RefreshToken{}
	if err := s.getJSON(textKey(prefixRefresh, string(hash[:])), t); err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	return t, nil
}

// RefreshTokens lists the refresh tokens of a client, by hash.
func (s *Store) RefreshTokens(ctx context.Context, client string) (all []*store.RefreshToken, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	hashes, err := s.listPairs(prefixRefreshOf, client)
	if err != nil {
		return nil, fmt.Errorf("refresh tokens of %s: %w", client, err)
	}
	for _, hash := range hashes {
		if len(hash) != sha256.Size {
			return nil, fmt.Errorf("refresh tokens of %s: %w", client, errDamaged)
		}
		t, err := s.readRefreshToken([sha256.Size]byte(hash))
		switch {
		case errors.Is(err, store.ErrNotFound): // deleted since the list was read
		case err != nil:
			return nil, err
		default:
			all = append(all, t)
		}
	}
	return all, nil
}

// DeleteRefreshToken forgets a token.
func (s *Store) DeleteRefreshToken(ctx context.Context, hash [sha256.Size]byte) error {
	return s.changeInOrder(ctx, func(g *group) error {
		t, err := s.readRefreshToken(hash)
		if err != nil {
			return err
		}
		return g.deleteRefreshToken(t.Client, hash[:])
	})
}

func (g *group) deleteRefreshToken(client string, hash []byte) error {
	return errors.Join(
		g.batch.Delete(textKey(prefixRefresh, string(hash)), nil),
		g.batch.Delete(pairKey(prefixRefreshOf, client, hash), nil))
}

// listPairs returns the second parts of all pairs with a first part, in order.
func (s *Store) listPairs(prefix byte, first string) (seconds [][]byte, err error) {
	from := pairKey(prefix, first, nil)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: keyAfter(from)})
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid(); it.Next() {
		seconds = append(seconds, bytes.Clone(it.Key()[len(from):]))
	}
	return seconds, errors.Join(it.Error(), it.Close())
}

// getJSON reads a value that was written by setJSON. It returns store.ErrNotFound if there is
// none.
func (s *Store) getJSON(key []byte, v any) error {
	value, found, err := s.get(key)
	switch {
	case err != nil:
		return err
	case !found:
		return store.ErrNotFound
	}
	if err := json.Unmarshal(value, v); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

func (g *group) setJSON(key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return g.batch.Set(key, value, nil)
}
