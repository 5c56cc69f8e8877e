package memstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openccs/openccs/store"
)

// grants holds the OAuth clients and refresh tokens. The lock of accounts protects them too,
// because they are made and deleted with projects.
type grants struct {
	clients map[string]store.OAuthClient
	tokens  map[[sha256.Size]byte]store.RefreshToken
}

func (g *grants) init() {
	g.clients = map[string]store.OAuthClient{}
	g.tokens = map[[sha256.Size]byte]store.RefreshToken{}
}

// deleteSender forgets the clients and tokens of a project.
func (g *grants) deleteSender(sender string) {
	maps.DeleteFunc(g.clients, func(_ string, c store.OAuthClient) bool { return c.Sender == sender })
	maps.DeleteFunc(g.tokens, func(_ [sha256.Size]byte, t store.RefreshToken) bool { return t.Sender == sender })
}

// CreateOAuthClient keeps a new client.
func (s *Store) CreateOAuthClient(ctx context.Context, c *store.OAuthClient) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	a := &s.accounts
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.projects[c.Sender] == nil {
		return fmt.Errorf("oauth client %s: project %s: %w", c.ID, c.Sender, store.ErrNotFound)
	}
	if _, taken := a.grants.clients[c.ID]; taken {
		return fmt.Errorf("oauth client %s: %w", c.ID, store.ErrExists)
	}
	a.grants.clients[c.ID] = *c
	return nil
}

// OAuthClient returns a client.
func (s *Store) OAuthClient(ctx context.Context, id string) (*store.OAuthClient, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	c, ok := s.accounts.grants.clients[id]
	if !ok {
		return nil, fmt.Errorf("oauth client %s: %w", id, store.ErrNotFound)
	}
	return &c, nil
}

// OAuthClients lists the clients of a sender, by ID.
func (s *Store) OAuthClients(ctx context.Context, sender string) ([]*store.OAuthClient, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	var all []*store.OAuthClient
	for _, c := range s.accounts.grants.clients {
		if c.Sender == sender {
			all = append(all, &c)
		}
	}
	slices.SortFunc(all, func(a, b *store.OAuthClient) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// UpdateOAuthClient changes a client.
func (s *Store) UpdateOAuthClient(ctx context.Context, id string, fn func(*store.OAuthClient) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	g := &s.accounts.grants
	c, ok := g.clients[id]
	if !ok {
		return fmt.Errorf("oauth client %s: %w", id, store.ErrNotFound)
	}
	sender := c.Sender
	if err := fn(&c); err != nil {
		return err
	}
	c.ID, c.Sender = id, sender
	g.clients[id] = c
	return nil
}

// DeleteOAuthClient forgets a client and its refresh tokens.
func (s *Store) DeleteOAuthClient(ctx context.Context, id string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	g := &s.accounts.grants
	if _, ok := g.clients[id]; !ok {
		return fmt.Errorf("oauth client %s: %w", id, store.ErrNotFound)
	}
	delete(g.clients, id)
	maps.DeleteFunc(g.tokens, func(_ [sha256.Size]byte, t store.RefreshToken) bool { return t.Client == id })
	return nil
}

// PutRefreshToken keeps a new refresh token.
func (s *Store) PutRefreshToken(ctx context.Context, t *store.RefreshToken) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	g := &s.accounts.grants
	if c, ok := g.clients[t.Client]; !ok || c.Sender != t.Sender {
		return fmt.Errorf("refresh token: oauth client %s of %s: %w", t.Client, t.Sender, store.ErrNotFound)
	}
	if _, taken := g.tokens[t.Hash]; taken {
		return fmt.Errorf("refresh token: %w", store.ErrExists)
	}
	g.tokens[t.Hash] = *t
	return nil
}

// RefreshToken returns the token with a hash.
func (s *Store) RefreshToken(ctx context.Context, hash [sha256.Size]byte) (*store.RefreshToken, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	t, ok := s.accounts.grants.tokens[hash]
	if !ok {
		return nil, fmt.Errorf("refresh token: %w", store.ErrNotFound)
	}
	return &t, nil
}

// RefreshTokens lists the refresh tokens of a client, by hash.
func (s *Store) RefreshTokens(ctx context.Context, client string) ([]*store.RefreshToken, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	var all []*store.RefreshToken
	for _, t := range s.accounts.grants.tokens {
		if t.Client == client {
			all = append(all, &t)
		}
	}
	slices.SortFunc(all, func(a, b *store.RefreshToken) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return all, nil
}

// DeleteRefreshToken forgets a token.
func (s *Store) DeleteRefreshToken(ctx context.Context, hash [sha256.Size]byte) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if _, ok := s.accounts.grants.tokens[hash]; !ok {
		return fmt.Errorf("refresh token: %w", store.ErrNotFound)
	}
	delete(s.accounts.grants.tokens, hash)
	return nil
}
