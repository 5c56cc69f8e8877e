package memstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/openccs/openccs/store"
)

// groups holds the device groups. They are guarded by the registry's lock, because they change with
// the registrations. No record changes after it is kept.
type groups struct {
	byID    map[store.GroupID]*store.Group
	byPlace map[store.Place]map[store.GroupID]struct{}
}

func (s *groups) init() {
	s.byID = map[store.GroupID]*store.Group{}
	s.byPlace = map[store.Place]map[store.GroupID]struct{}{}
}

// set keeps a group in the place of an old one, which may be nil. It forgets a group without
// members.
func (s *groups) set(old, g *store.Group) {
	id := g.ID()
	for _, p := range old.Left(g) {
		if delete(s.byPlace[p], id); len(s.byPlace[p]) == 0 {
			delete(s.byPlace, p)
		}
	}
	if len(g.Members) == 0 {
		delete(s.byID, id)
		return
	}
	s.byID[id] = g
	for _, m := range g.Members {
		if s.byPlace[m.Place] == nil {
			s.byPlace[m.Place] = map[store.GroupID]struct{}{}
		}
		s.byPlace[m.Place][id] = struct{}{}
	}
}

// full reports whether a new member of a group is in too many others.
func (s *groups) full(old, g *store.Group) bool {
	return slices.ContainsFunc(g.Left(old), func(p store.Place) bool { return len(s.byPlace[p]) >= store.MaxGroups })
}

// pass passes the memberships of a token to the token that supersedes it. It ends them if that is
// "".
func (s *groups) pass(r *store.Registration, to string) {
	p := r.Place()
	for id := range maps.Clone(s.byPlace[p]) {
		old := s.byID[id]
		i := old.Member(p)
		if old.Members[i].Token != r.Token {
			continue
		}
		g := old.Clone()
		if to == "" {
			g.Members = slices.Delete(g.Members, i, i+1)
		} else {
			g.Members[i].Token = to
		}
		s.set(old, g)
	}
}

// change keeps what a group has become. The caller must hold g.mu.
func (g *registry) change(old, group *store.Group) error {
	err := group.Follow(func(m store.Member) (*store.Registration, error) { return g.living(m.Token), nil })
	if err != nil {
		return err
	}
	if g.groups.full(old, group) {
		return fmt.Errorf("group %s: %w", group.ID(), store.ErrTooManyGroups)
	}
	g.groups.set(old, group)
	return nil
}

// CreateGroup keeps a new group.
func (s *Store) CreateGroup(ctx context.Context, group *store.Group) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	group = group.Clone()
	if g.groups.byID[group.ID()] != nil {
		return fmt.Errorf("group %s: %w", group.ID(), store.ErrExists)
	}
	if err := g.change(nil, group); err != nil {
		return err
	}
	if len(group.Members) == 0 {
		return fmt.Errorf("members of group %s: %w", group.ID(), store.ErrNotFound)
	}
	return nil
}

// Group returns a group.
func (s *Store) Group(ctx context.Context, id store.GroupID) (*store.Group, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	group := s.registry.groups.byID[id]
	if group == nil {
		return nil, fmt.Errorf("group %s: %w", id, store.ErrNotFound)
	}
	return group.Clone(), nil
}

// UpdateGroup changes the members of a group.
func (s *Store) UpdateGroup(ctx context.Context, id store.GroupID, fn func(*store.Group) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.groups.byID[id]
	if old == nil {
		return fmt.Errorf("group %s: %w", id, store.ErrNotFound)
	}
	group := old.Clone()
	if err := fn(group); err != nil {
		return err
	}
	return g.change(old, group)
}

// ListGroups lists the groups of a project.
func (s *Store) ListGroups(ctx context.Context, sender string, after store.GroupID, max int) (all []*store.Group, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	for id, group := range s.registry.groups.byID {
		if sender == id.Sender && (after.Sender == "" || id.Compare(after) > 0) {
			all = append(all, group)
		}
	}
	slices.SortFunc(all, func(a, b *store.Group) int { return a.ID().Compare(b.ID()) })
	all = slices.Clone(all[:min(max, len(all))])
	for i := range all {
		all[i] = all[i].Clone()
	}
	return all, nil
}
