package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// The device groups of a project are in one slot, so that a name and a key are taken in one step.

var (
	createGroup = load("create_group")
	updateGroup = load("update_group")
)

// listGroups is the number of groups that a command lists or reads, about.
const listGroups = 100

func (s *Store) groupsKeys(sender string) []string {
	tag := "groups:" + sender
	return []string{s.key(tag, "records"), s.key(tag, "names")}
}

// CreateGroup implements store.Groups.
func (s *Store) CreateGroup(ctx context.Context, g *store.Group) error {
	record, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("group %s: %w", g.Name, err)
	}
	return s.change(ctx, "group "+g.Name+" of "+g.Sender, store.ErrExists, &transport.Call{
		Script: createGroup, Keys: s.groupsKeys(g.Sender), Args: []any{g.Key, g.Name, record}, Safe: true,
	})
}

// Group implements store.Groups.
func (s *Store) Group(ctx context.Context, sender, key string) (*store.Group, error) {
	g, _, err := s.readGroup(ctx, sender, key)
	return g, err
}

// readGroup returns a group and its record.
func (s *Store) readGroup(ctx context.Context, sender, key string) (*store.Group, string, error) {
	g := &store.Group{}
	record, err := s.readJSON(ctx, s.groupsKeys(sender)[0], key, g)
	if err != nil {
		return nil, "", fmt.Errorf("group of %s: %w", sender, err)
	}
	return g, record, nil
}

// GroupNamed implements store.Groups.
func (s *Store) GroupNamed(ctx context.Context, sender, name string) (*store.Group, error) {
	var cmd *redis.StringCmd
	err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HGet(ctx, s.groupsKeys(sender)[1], name) })
	if err == nil && cmd.Err() != nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("group %s of %s: %w", name, sender, err)
	}
	return s.Group(ctx, sender, cmd.Val())
}

// UpdateGroup implements store.Groups.
func (s *Store) UpdateGroup(ctx context.Context, sender, key string, fn func(*store.Group) error) error {
	for {
		before, record, err := s.readGroup(ctx, sender, key)
		if err != nil {
			return err
		}
		g := before.Clone()
		if err := fn(g); err != nil {
			return err
		}
		g.Sender, g.Name, g.Key = before.Sender, before.Name, before.Key
		after := []byte{}
		if len(g.Members) > 0 {
			if after, err = json.Marshal(g); err != nil {
				return fmt.Errorf("group %s: %w", g.Name, err)
			}
		}
		c := &transport.Call{Script: updateGroup, Keys: s.groupsKeys(sender), Args: []any{key, g.Name, record, after}, Durable: true}
		if err := s.transport.Run(ctx, c); err != nil {
			return fmt.Errorf("group %s of %s: %w", g.Name, sender, err)
		}
		if c.Reply == int64(1) {
			return nil
		}
	}
}

// Groups implements store.Groups. It walks over the names, for operators.
func (s *Store) Groups(ctx context.Context, sender, after string, max int) (all []*store.Group, err error) {
	names, err := s.groupNames(ctx, sender)
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", sender, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if name <= after {
			continue
		}
		if len(all) == max {
			break
		}
		g, err := s.GroupNamed(ctx, sender, name)
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

func (s *Store) groupNames(ctx context.Context, sender string) (names []string, err error) {
	seen := map[string]struct{}{}
	for cursor := uint64(0); ; {
		var cmd *redis.ScanCmd
		err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HScan(ctx, s.groupsKeys(sender)[1], cursor, "*", listGroups) })
		if err != nil {
			return nil, err
		}
		fields, next := cmd.Val()
		for i := 0; i < len(fields); i += 2 {
			if _, twice := seen[fields[i]]; !twice {
				seen[fields[i]] = struct{}{}
				names = append(names, fields[i])
			}
		}
		if cursor = next; next == 0 {
			return names, nil
		}
	}
}
