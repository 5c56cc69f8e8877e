package memstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/openccs/openccs/store"
)

// groups holds the device groups.
type groups struct {
	mu    sync.Mutex
	byKey map[groupKey]*store.Group
}

type groupKey struct{ sender, key string }

// named returns the group of a name, nil for none. The caller must hold g.mu.
func (g *groups) named(sender, name string) *store.Group {
	for _, one := range g.byKey {
		if one.Sender == sender && one.Name == name {
			return one
		}
	}
	return nil
}

// CreateGroup keeps a new group.
func (s *Store) CreateGroup(ctx context.Context, g *store.Group) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	k := groupKey{g.Sender, g.Key}
	if s.groups.byKey[k] != nil || s.groups.named(g.Sender, g.Name) != nil {
		return fmt.Errorf("group %s of %s: %w", g.Name, g.Sender, store.ErrExists)
	}
	s.groups.byKey[k] = g.Clone()
	return nil
}

// Group returns a group by its key.
func (s *Store) Group(ctx context.Context, sender, key string) (*store.Group, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	g := s.groups.byKey[groupKey{sender, key}]
	if g == nil {
		return nil, fmt.Errorf("group of %s: %w", sender, store.ErrNotFound)
	}
	return g.Clone(), nil
}

// GroupNamed returns a group by its name.
func (s *Store) GroupNamed(ctx context.Context, sender, name string) (*store.Group, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	g := s.groups.named(sender, name)
	if g == nil {
		return nil, fmt.Errorf("group %s of %s: %w", name, sender, store.ErrNotFound)
	}
	return g.Clone(), nil
}

// UpdateGroup changes the members of a group.
func (s *Store) UpdateGroup(ctx context.Context, sender, key string, fn func(*store.Group) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	k := groupKey{sender, key}
	old := s.groups.byKey[k]
	if old == nil {
		return fmt.Errorf("group of %s: %w", sender, store.ErrNotFound)
	}
	g := old.Clone()
	if err := fn(g); err != nil {
		return err
	}
	g.Sender, g.Name, g.Key = old.Sender, old.Name, old.Key
	if len(g.Members) == 0 {
		delete(s.groups.byKey, k)
		return nil
	}
	s.groups.byKey[k] = g.Clone()
	return nil
}

// Groups lists groups of a project.
func (s *Store) Groups(ctx context.Context, sender, after string, max int) (all []*store.Group, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	for _, g := range s.groups.byKey {
		if g.Sender == sender && g.Name > after {
			all = append(all, g.Clone())
		}
	}
	slices.SortFunc(all, func(a, b *store.Group) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(max, len(all))], nil
}

func (g *groups) list(all *store.Page) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.byKey {
		all.Groups = append(all.Groups, one.Clone())
	}
	slices.SortFunc(all.Groups, func(a, b *store.Group) int { return strings.Compare(a.Key, b.Key) })
}
