package diskstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// A device group has its record under its ID, and an empty key for each member under the place of
// the member.

func groupKey(id store.GroupID) []byte { return pairKey(prefixGroup, id.Sender, id.Sum[:]) }

// memberKey returns the key before all groups of a place.
func memberKey(p store.Place) []byte { return append([]byte{prefixMember}, p[:]...) }

func membershipKey(p store.Place, id store.GroupID) []byte {
	return append(append(append(memberKey(p), id.Sender...), 0), id.Sum[:]...)
}

func parseGroup(value []byte) (*store.Group, error) {
	g := &store.Group{}
	if err := json.Unmarshal(value, g); err != nil {
		return nil, fmt.Errorf("group: %w: %w", errDamaged, err)
	}
	return g, nil
}

// readGroup reads a group. It returns nil if there is none.
func (s *Store) readGroup(id store.GroupID) (*store.Group, error) {
	value, found, err := s.get(groupKey(id))
	if err != nil || !found {
		return nil, err
	}
	return parseGroup(value)
}

// setGroup stages a group in the place of an old one, which may be nil. It forgets a group without
// members.
func (g *group) setGroup(old, next *store.Group) error {
	id := next.ID()
	var errs error
	for _, p := range old.Left(next) {
		errs = errors.Join(errs, g.batch.Delete(membershipKey(p, id), nil))
	}
	if len(next.Members) == 0 {
		return errors.Join(errs, g.batch.Delete(groupKey(id), nil))
	}
	for _, p := range next.Left(old) {
		errs = errors.Join(errs, g.batch.Set(membershipKey(p, id), nil, nil))
	}
	return errors.Join(errs, g.setJSON(groupKey(id), next))
}

// groupsOf returns the IDs of the groups of a place, as they are applied.
func (g *group) groupsOf(p store.Place) (ids []store.GroupID, err error) {
	it, err := g.iter()
	if err != nil {
		return nil, err
	}
	first := memberKey(p)
	for ok := it.SeekGE(first); ok && bytes.HasPrefix(it.Key(), first); ok = it.Next() {
		sender, sum, _ := bytes.Cut(it.Key()[len(first):], []byte{0})
		id := store.GroupID{Sender: string(sender)}
		if len(sum) != len(id.Sum) {
			return nil, fmt.Errorf("member of a group: %w", errDamaged)
		}
		copy(id.Sum[:], sum)
		ids = append(ids, id)
	}
	return ids, it.Error()
}

// passGroups passes the memberships of a token to the token that supersedes it. It ends them if
// that is "".
func (g *group) passGroups(r *store.Registration, to string) error {
	p := r.Place()
	ids, err := g.groupsOf(p)
	if err != nil {
		return err
	}
	for _, id := range ids {
		old, err := g.s.readGroup(id)
		if err != nil {
			return err
		}
		if old == nil || old.Member(p) < 0 || old.Members[old.Member(p)].Token != r.Token {
			continue
		}
		next := old.Clone()
		i := next.Member(p)
		if to == "" {
			next.Members = append(next.Members[:i], next.Members[i+1:]...)
		} else {
			next.Members[i].Token = to
		}
		if err := g.setGroup(old, next); err != nil {
			return err
		}
	}
	return nil
}

// changeGroup stages what a group has become.
func (g *group) changeGroup(old, next *store.Group) error {
	err := next.Follow(func(m store.Member) (*store.Registration, error) { return g.s.living(m.Token) })
	if err != nil {
		return err
	}
	for _, p := range next.Left(old) {
		ids, err := g.groupsOf(p)
		if err != nil {
			return err
		}
		if len(ids) >= store.MaxGroups {
			return store.ErrTooManyGroups
		}
	}
	return g.setGroup(old, next)
}

// CreateGroup implements store.Groups.
func (s *Store) CreateGroup(ctx context.Context, created *store.Group) error {
	if err := s.refusesGrowth(); err != nil {
		return fmt.Errorf("create group %s: %w", created.ID(), err)
	}
	err := s.changeInOrder(ctx, func(g *group) error {
		old, err := s.readGroup(created.ID())
		if err != nil || old != nil {
			return errors.Join(err, store.ErrExists)
		}
		next := created.Clone()
		if err := g.changeGroup(nil, next); err != nil {
			return err
		}
		if len(next.Members) == 0 {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create group %s: %w", created.ID(), err)
	}
	return nil
}

// Group implements store.Groups.
func (s *Store) Group(ctx context.Context, id store.GroupID) (*store.Group, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	group, err := s.readGroup(id)
	if err == nil && group == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", id, err)
	}
	return group, nil
}

// UpdateGroup implements store.Groups.
func (s *Store) UpdateGroup(ctx context.Context, id store.GroupID, fn func(*store.Group) error) error {
	if err := s.refusesGrowth(); err != nil {
		return fmt.Errorf("change group %s: %w", id, err)
	}
	var refused error
	err := s.changeInOrder(ctx, func(g *group) error {
		old, err := s.readGroup(id)
		if err == nil && old == nil {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		next := old.Clone()
		if refused = fn(next); refused != nil {
			return nil
		}
		return g.changeGroup(old, next)
	})
	switch {
	case err != nil:
		return fmt.Errorf("change group %s: %w", id, err)
	default:
		return refused
	}
}

// ListGroups implements store.Groups.
func (s *Store) ListGroups(ctx context.Context, sender string, after store.GroupID, max int) (all []*store.Group, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	first := pairKey(prefixGroup, sender, nil)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: keyAfter(first)})
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", sender, err)
	}
	from := first
	if after.Sender != "" {
		from = append(groupKey(after), 0)
	}
	for it.SeekGE(from); it.Valid() && len(all) < max; it.Next() {
		value, err := it.ValueAndErr()
		var group *store.Group
		if err == nil {
			group, err = parseGroup(value)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("groups of %s: %w", sender, err), it.Close())
		}
		all = append(all, group)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("groups of %s: %w", sender, err)
	}
	return all, nil
}

// restoreGroup stages a group, unless it exists.
func (g *group) restoreGroup(restored *store.Group) error {
	old, err := g.s.readGroup(restored.ID())
	switch {
	case err != nil:
		return err
	case old == nil:
		return g.setGroup(nil, restored)
	case !store.Alike(old, restored):
		return fmt.Errorf("group %s: %w", restored.ID(), store.ErrExists)
	}
	return nil
}
