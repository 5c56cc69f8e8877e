package diskstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

func groupKeyOf(sender, key string) []byte    { return pairKey(prefixGroup, sender, []byte(key)) }
func groupNameKey(sender, name string) []byte { return pairKey(prefixGroupName, sender, []byte(name)) }

// CreateGroup implements store.Groups.
func (s *Store) CreateGroup(ctx context.Context, r *store.Group) error {
	if err := s.refusesGrowth(); err != nil {
		return fmt.Errorf("group %s of %s: %w", r.Name, r.Sender, err)
	}
	return s.changeInOrder(ctx, func(g *group) error {
		for _, key := range [][]byte{groupKeyOf(r.Sender, r.Key), groupNameKey(r.Sender, r.Name)} {
			switch _, found, err := s.get(key); {
			case err != nil:
				return err
			case found:
				return fmt.Errorf("group %s of %s: %w", r.Name, r.Sender, store.ErrExists)
			}
		}
		return errors.Join(
			g.setJSON(groupKeyOf(r.Sender, r.Key), r),
			g.batch.Set(groupNameKey(r.Sender, r.Name), []byte(r.Key), nil),
		)
	})
}

// Group implements store.Groups.
func (s *Store) Group(ctx context.Context, sender, key string) (*store.Group, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.readGroup(sender, key)
}

func (s *Store) readGroup(sender, key string) (*store.Group, error) {
	g := &store.Group{}
	if err := s.getJSON(groupKeyOf(sender, key), g); err != nil {
		return nil, fmt.Errorf("group of %s: %w", sender, err)
	}
	return g, nil
}

// GroupNamed implements store.Groups.
func (s *Store) GroupNamed(ctx context.Context, sender, name string) (*store.Group, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	key, found, err := s.get(groupNameKey(sender, name))
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("group %s of %s: %w", name, sender, err)
	}
	return s.readGroup(sender, string(key))
}

// UpdateGroup implements store.Groups. It calls fn in the caller's goroutine, as UpdateProject does.
func (s *Store) UpdateGroup(ctx context.Context, sender, key string, fn func(*store.Group) error) error {
	for {
		before, err := s.Group(ctx, sender, key)
		if err != nil {
			return err
		}
		r := before.Clone()
		if err := fn(r); err != nil {
			return err
		}
		r.Sender, r.Name, r.Key = before.Sender, before.Name, before.Key
		err = s.changeInOrder(ctx, func(g *group) error {
			now, err := s.readGroup(sender, key)
			switch {
			case err != nil:
				return err
			case !reflect.DeepEqual(now, before):
				return errOvertaken
			case len(r.Members) == 0:
				return errors.Join(
					g.batch.Delete(groupKeyOf(sender, key), nil),
					g.batch.Delete(groupNameKey(sender, r.Name), nil),
				)
			}
			return g.setJSON(groupKeyOf(sender, key), r)
		})
		if !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

// Groups implements store.Groups.
func (s *Store) Groups(ctx context.Context, sender, after string, max int) (all []*store.Group, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	first := groupNameKey(sender, "")
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: append(groupNameKey(sender, after), 0), UpperBound: keyAfter(first)})
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", sender, err)
	}
	var keys []string
	for it.First(); it.Valid() && len(keys) < max; it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		keys = append(keys, string(value))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("groups of %s: %w", sender, err)
	}
	for _, key := range keys {
		g, err := s.readGroup(sender, key)
		switch {
		case errors.Is(err, store.ErrNotFound): // forgotten since
		case err != nil:
			return nil, err
		default:
			all = append(all, g)
		}
	}
	return all, nil
}
