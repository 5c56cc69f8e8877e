package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var (
	createClient       = load("create_client")
	putRefreshToken    = load("put_refresh_token")
	deleteRefreshToken = load("delete_refresh_token")
)

// CreateOAuthClient keeps a new client.
func (s *Store) CreateOAuthClient(ctx context.Context, c *store.OAuthClient) error {
	record, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("oauth client %s: %w", c.ID, err)
	}
	return s.change(ctx, "oauth client "+c.ID+" of "+c.Sender, store.ErrExists, &transport.Call{
		Script: createClient,
		Keys:   []string{s.projectsKey(), s.clientsKey(), s.ownedKey()},
		Args:   []any{c.Sender, c.ID, record},
	})
}

// OAuthClient returns a client.
func (s *Store) OAuthClient(ctx context.Context, id string) (*store.OAuthClient, error) {
	c := &store.OAuthClient{}
	if _, err := s.readJSON(ctx, s.clientsKey(), id, c); err != nil {
		return nil, fmt.Errorf("oauth client %s: %w", id, err)
	}
	return c, nil
}

// OAuthClients lists the clients of a sender, by ID.
func (s *Store) OAuthClients(ctx context.Context, sender string) ([]*store.OAuthClient, error) {
	all, err := listJSON[store.OAuthClient](ctx, s, s.clientsKey())
	if err != nil {
		return nil, fmt.Errorf("oauth clients of %s: %w", sender, err)
	}
	all = slices.DeleteFunc(all, func(c *store.OAuthClient) bool { return c.Sender != sender })
	slices.SortFunc(all, func(a, b *store.OAuthClient) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// DeleteOAuthClient forgets a client and its refresh tokens.
func (s *Store) DeleteOAuthClient(ctx context.Context, id string) error {
	return s.change(ctx, "oauth client "+id, store.ErrNotFound, &transport.Call{
		Script: deleteOwner,
		Keys:   []string{s.clientsKey(), s.clientsKey(), s.refreshKey(), s.ownedKey()},
		Args:   []any{id, id + "\x00"},
	})
}

// PutRefreshToken keeps a new refresh token.
func (s *Store) PutRefreshToken(ctx context.Context, t *store.RefreshToken) error {
	record, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("refresh token: %w", err)
	}
	return s.change(ctx, "refresh token of oauth client "+t.Client, store.ErrExists, &transport.Call{
		Script: putRefreshToken,
		Keys:   []string{s.clientsKey(), s.refreshKey(), s.ownedKey()},
		Args:   []any{t.Sender, t.Client, t.Hash[:], record},
	})
}

// RefreshToken returns the token of a hash.
func (s *Store) RefreshToken(ctx context.Context, hash [sha256.Size]byte) (*store.RefreshToken, error) {
	t := &store.RefreshToken{}
	if _, err := s.readJSON(ctx, s.refreshKey(), string(hash[:]), t); err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	return t, nil
}

// DeleteRefreshToken forgets a token.
func (s *Store) DeleteRefreshToken(ctx context.Context, hash [sha256.Size]byte) error {
	return s.change(ctx, "refresh token", store.ErrNotFound, &transport.Call{
		Script: deleteRefreshToken,
		Keys:   []string{s.refreshKey(), s.ownedKey()},
		Args:   []any{hash[:]},
	})
}
