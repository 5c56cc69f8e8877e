package redisstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// A device group is one record under its ID. The ID is in the key of the group too, so that one
// read finds it, and it decides the hash slot. A change replaces the record that it has read.
//
// The groups of a place are noted in the slot of its device, so that they are found when a token
// ends. A note is written before the record. A crash between the two leaves a note of a group
// without that member, or a member whose token has ended. A read of the group leaves such a member
// out.

var setGroup = load("set_group")

const (
	groupTag   = "g:"      // begins the hash tag of a group
	groupWhat  = "group"   // ends the key of a group
	groupsMark = "groups:" // begins what the key of a place's groups is
)

func (s *Store) groupKey(id store.GroupID) string { return s.key(groupTag+id.String(), groupWhat) }

func (s *Store) groupsKey(p store.Place) string {
	return s.key("d:"+strconv.FormatUint(p.Device(), 10), groupsMark+hex.EncodeToString(p[devicePartLen:]))
}

func parseGroup(record string) (*store.Group, error) {
	g := &store.Group{}
	if err := json.Unmarshal([]byte(record), g); err != nil {
		return nil, fmt.Errorf("group: %w: %w", errDamaged, err)
	}
	return g, nil
}

// readGroup reads a group, and how Redis has it: as "" if there is none.
func (s *Store) readGroup(ctx context.Context, id store.GroupID) (*store.Group, string, error) {
	var cmd *redis.StringCmd
	err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.Get(ctx, s.groupKey(id)) })
	if err != nil || cmd.Err() != nil {
		return nil, "", err
	}
	g, err := parseGroup(cmd.Val())
	return g, cmd.Val(), err
}

// followGroup makes the members of a group follow their tokens.
func (s *Store) followGroup(ctx context.Context, g *store.Group) error {
	subs := make([]store.Subscription, len(g.Members))
	for i, m := range g.Members {
		subs[i] = store.Subscription{Place: m.Place, Token: m.Token}
	}
	regs, err := s.Resolve(ctx, nil, subs)
	if err != nil {
		return err
	}
	return g.Follow(func(store.Member) (r *store.Registration, _ error) {
		r, regs = regs[0], regs[1:]
		return r, nil
	})
}

// replaceGroup replaces a group, and reports whether it was still as it was read. old may be nil.
// It forgets a group without members.
func (s *Store) replaceGroup(ctx context.Context, before string, old, next *store.Group, most int) (bool, error) {
	id := next.ID()
	var notes []*transport.Call
	for _, p := range next.Left(old) {
		token := next.Members[next.Member(p)].Token
		notes = append(notes, &transport.Call{
			Script: subscribeScript, Keys: []string{s.groupsKey(p)}, Safe: true, Durable: true,
			Args: []any{id.String(), token, "0 " + token, most},
		})
	}
	if err := s.transport.Run(ctx, notes...); err != nil {
		return false, err
	}
	for _, c := range notes {
		if _, ok := c.Reply.(string); !ok {
			return false, store.ErrTooManyGroups
		}
	}
	after := []byte{}
	if len(next.Members) > 0 {
		var err error
		if after, err = json.Marshal(next); err != nil {
			return false, err
		}
	}
	c := &transport.Call{Script: setGroup, Keys: []string{s.groupKey(id)}, Args: []any{before, after}, Safe: true, Durable: true}
	if err := s.transport.Run(ctx, c); err != nil || c.Reply != int64(1) {
		return false, err
	}
	return true, s.forgetNotes(ctx, id, old.Left(next))
}

// forgetNotes forgets that places are in a group.
func (s *Store) forgetNotes(ctx context.Context, id store.GroupID, places []store.Place) error {
	var calls []*transport.Call
	for _, p := range places {
		calls = append(calls, &transport.Call{
			Script: unsubscribeScript, Keys: []string{s.groupsKey(p)}, Args: []any{id.String()}, Safe: true, Durable: true,
		})
	}
	return s.transport.Run(ctx, calls...)
}

// CreateGroup implements store.Groups.
func (s *Store) CreateGroup(ctx context.Context, group *store.Group) error {
	if err := s.createGroup(ctx, group.Clone()); err != nil {
		return fmt.Errorf("create group %s: %w", group.ID(), err)
	}
	return nil
}

func (s *Store) createGroup(ctx context.Context, group *store.Group) error {
	if err := s.followGroup(ctx, group); err != nil {
		return err
	}
	if len(group.Members) == 0 {
		return store.ErrNotFound
	}
	for {
		// A group whose members have all ended may still be there.
		old, before, err := s.readGroup(ctx, group.ID())
		if err == nil && old != nil && old.Key != group.Key {
			err = s.followGroup(ctx, old)
			if err == nil && len(old.Members) > 0 {
				err = store.ErrExists
			}
		}
		if err != nil {
			return err
		}
		if done, err := s.replaceGroup(ctx, before, old, group, store.MaxGroups); done || err != nil {
			return err
		}
	}
}

// Group implements store.Groups.
func (s *Store) Group(ctx context.Context, id store.GroupID) (*store.Group, error) {
	group, _, err := s.readGroup(ctx, id)
	if err == nil && group != nil {
		err = s.followGroup(ctx, group)
	}
	if err == nil && (group == nil || len(group.Members) == 0) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", id, err)
	}
	return group, nil
}

// UpdateGroup implements store.Groups.
func (s *Store) UpdateGroup(ctx context.Context, id store.GroupID, fn func(*store.Group) error) error {
	for {
		old, before, err := s.readGroup(ctx, id)
		if err == nil && old == nil {
			err = store.ErrNotFound
		}
		var next *store.Group
		if err == nil {
			next = old.Clone()
			err = s.followGroup(ctx, next)
		}
		if err == nil && len(next.Members) == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("change group %s: %w", id, err)
		}
		if err := fn(next); err != nil {
			return err
		}
		err = s.followGroup(ctx, next)
		done := false
		if err == nil {
			done, err = s.replaceGroup(ctx, before, old, next, store.MaxGroups)
		}
		if err != nil {
			return fmt.Errorf("change group %s: %w", id, err)
		}
		if done {
			return nil
		}
	}
}

// passGroups makes the groups of a token that has ended follow it.
func (s *Store) passGroups(ctx context.Context, r *store.Registration) error {
	p := r.Place()
	var cmd *redis.StringSliceCmd
	err := s.transport.Read(ctx, func(pipe redis.Pipeliner) { cmd = pipe.HKeys(ctx, s.groupsKey(p)) })
	if err != nil {
		return err
	}
	for _, text := range cmd.Val() {
		id, err := store.ParseGroupID(text)
		if err != nil {
			return fmt.Errorf("groups of a registration: %w: %w", errDamaged, err)
		}
		if err := s.passGroup(ctx, id, p); err != nil {
			return err
		}
	}
	return nil
}

// passGroup makes the members of a group follow their tokens. It forgets the note of a place that
// is no member.
func (s *Store) passGroup(ctx context.Context, id store.GroupID, p store.Place) error {
	for {
		old, before, err := s.readGroup(ctx, id)
		if err != nil {
			return err
		}
		if old == nil {
			return s.forgetNotes(ctx, id, []store.Place{p})
		}
		next := old.Clone()
		if err := s.followGroup(ctx, next); err != nil {
			return err
		}
		done, err := s.replaceGroup(ctx, before, old, next, store.MaxGroups)
		switch {
		case err != nil:
			return err
		case done && old.Member(p) < 0:
			return s.forgetNotes(ctx, id, []store.Place{p})
		case done:
			return nil
		}
	}
}

// ListGroups implements store.Groups. There is no index of a project's groups, so it walks over the
// keys. It is for operators.
func (s *Store) ListGroups(ctx context.Context, sender string, after store.GroupID, max int) ([]*store.Group, error) {
	ids, err := s.groupIDs(ctx, sender)
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", sender, err)
	}
	var all []*store.Group
	for _, id := range ids {
		if len(all) == max {
			break
		}
		if after.Sender != "" && id.Compare(after) <= 0 {
			continue
		}
		group, err := s.Group(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound): // gone since
		case err != nil:
			return nil, err
		default:
			all = append(all, group)
		}
	}
	return all, nil
}

// groupIDs lists the groups of a project, in order.
func (s *Store) groupIDs(ctx context.Context, sender string) (ids []store.GroupID, err error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	nodes, err := s.primaries(ctx)
	if err != nil {
		return nil, s.transport.Translate(err)
	}
	for _, node := range nodes {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, globEscape(s.prefix+"{"+groupTag+sender+"/")+"*}:"+groupWhat, sweepPage).Result()
			if err != nil {
				return nil, s.transport.Translate(err)
			}
			for _, key := range keys {
				id, err := s.parseGroupKey(key)
				if err != nil {
					return nil, err
				}
				ids = append(ids, id)
			}
			if cursor = next; next == 0 {
				break
			}
		}
	}
	slices.SortFunc(ids, store.GroupID.Compare)
	return slices.Compact(ids), nil
}

func (s *Store) parseGroupKey(key string) (store.GroupID, error) {
	tag, _, _ := strings.Cut(strings.TrimPrefix(key, s.prefix+"{"+groupTag), "}:")
	return store.ParseGroupID(tag)
}

func (s *Store) restoreGroups(ctx context.Context, groups []*store.Group) error {
	const noLimit = 1 << 30
	for _, group := range groups {
		for done := false; !done; {
			old, before, err := s.readGroup(ctx, group.ID())
			if err == nil && old != nil && !store.Alike(old, group) {
				err = store.ErrExists
			}
			if err == nil {
				done, err = s.replaceGroup(ctx, before, nil, group, noLimit)
			}
			if err != nil {
				return fmt.Errorf("group %s: %w", group.ID(), err)
			}
		}
	}
	return nil
}
