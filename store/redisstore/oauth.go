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
	updateClient       = load("update_client")
	putRefreshToken    = load("put_refresh_token")
	deleteRefreshToken = load("delete_refresh_token")
)

// CreateOAuthClient stores a new client.
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

// UpdateOAuthClient changes a client.
func (s *Store) UpdateOAuthClient(ctx context.Context, id string, fn func(*store.OAuthClient) error) error {
	for {
		c := &store.OAuthClient{}
		before, err := s.readJSON(ctx, s.clientsKey(), id, c)
		if err != nil {
			return fmt.Errorf("oauth client %s: %w", id, err)
		}
		sender := c.Sender
		if err := fn(c); err != nil {
			return err
		}
		c.ID, c.Sender = id, sender
		after, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("oauth client %s: %w", id, err)
		}
		call := &transport.Call{Script: updateClient, Keys: []string{s.clientsKey()}, Args: []any{id, before, after}, Durable: true}
		if err := s.transport.Run(ctx, call); err != nil {
			return fmt.Errorf("oauth client %s: %w", id, err)
		}
		if call.Reply == int64(1) {
			return nil
		}
	}
}

// DeleteOAuthClient forgets a client and its refresh tokens.
func (s *Store) DeleteOAuthClient(ctx context.Context, id string) error {
	return s.change(ctx, "oauth client "+id, store.ErrNotFound, &transport.Call{
		Script: deleteOwner,
		Keys:   []string{s.clientsKey(), s.clientsKey(), s.refreshKey(), s.ownedKey()},
		Args:   []any{id, id + "\x00"},
	})
}

// PutRefreshToken stores a new refresh token.
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

// RefreshToken returns the token with a hash.
func (s *Store) RefreshToken(ctx context.Context, hash [sha256.Size]byte) (*store.RefreshToken, error) {
	t := &store.RefreshToken{}
	if _, err := s.readJSON(ctx, s.refreshKey(), string(hash[:]), t); err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	return t, nil
}

// RefreshTokens lists the refresh tokens of a client, by hash.
func (s *Store) RefreshTokens(ctx context.Context, client string) ([]*store.RefreshToken, error) {
	all, err := listJSON[store.RefreshToken](ctx, s, s.refreshKey())
	if err != nil {
		return nil, fmt.Errorf("refresh tokens of %s: %w", client, err)
	}
	all = slices.DeleteFunc(all, func(t *store.RefreshToken) bool { return t.Client != client })
	slices.SortFunc(all, func(a, b *store.RefreshToken) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return all, nil
}

// DeleteRefreshToken forgets a token.
func (s *Store) DeleteRefreshToken(ctx context.Context, hash [sha256.Size]byte) error {
	return s.change(ctx, "refresh token", store.ErrNotFound, &transport.Call{
		Script: deleteRefreshToken,
		Keys:   []string{s.refreshKey(), s.ownedKey()},
		Args:   []any{hash[:]},
	})
}
