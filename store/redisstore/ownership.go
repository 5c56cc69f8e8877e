package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var (
	attachScript   = load("attach")
	detachScript   = load("detach")
	checkScript    = load("check")
	takeOverScript = load("take_over")
)

// attachedFor is how long Redis keeps a queue that has an owner and no entries.
const attachedFor = 24 * time.Hour

// AttachQueue implements store.Ownership.
func (s *Store) AttachQueue(ctx context.Context, a store.Attachment, force bool) (other, taken store.Owner, err error) {
	none := store.Owner{}
	if err := s.transport.Usable(ctx); err != nil {
		return none, none, err
	}
	if err := s.noteLease(ctx, a.Key, a.Lease); err != nil {
		return none, none, err
	}
	me := s.owner(a.Lease)
	c := &transport.Call{Script: attachScript, Keys: s.queueKeys(a.Key), Safe: true,
		Args: []any{me, bit(a.Key.Kind == store.KindDevice), bit(force), attachedFor.Milliseconds()}}
	if err := s.transport.Run(ctx, c); err != nil {
		return none, none, err
	}
	reply, _ := c.Reply.([]any)
	if len(reply) != 2 {
		return none, none, fmt.Errorf("attach %s: %w %v", a.Key, errReply, c.Reply)
	}
	has, _ := reply[0].(string)
	former, _ := reply[1].(string)
	switch {
	case former != "":
		return none, parseOwner(former), s.endLease(ctx, a.Key, former)
	case has != me:
		return parseOwner(has), none, nil
	}
	return none, none, nil
}

// endLease gives back the claims of an owner, and ends its right to claim.
func (s *Store) endLease(ctx context.Context, k store.Key, owner string) error {
	c := &transport.Call{Script: releaseScript, Keys: s.queueKeys(k), Args: []any{owner, 1}, Safe: true}
	if err := s.transport.Run(ctx, c); err != nil {
		return fmt.Errorf("give back %s: %w", k, err)
	}
	return nil
}

// DetachQueue implements store.Ownership.
func (s *Store) DetachQueue(ctx context.Context, a store.Attachment, back time.Duration) error {
	if err := s.detach(ctx, a, back); err != nil {
		return err
	}
	return s.Release(ctx, a.Key, a.Lease)
}

// detach releases a queue with all entries of the lease. The caller handles the part of the lease
// in this process.
func (s *Store) detach(ctx context.Context, a store.Attachment, back time.Duration) error {
	c := &transport.Call{Script: detachScript, Keys: s.queueKeys(a.Key), Safe: true,
		Args: []any{s.owner(a.Lease), back.Milliseconds()}}
	if err := s.transport.Run(ctx, c); err != nil {
		return err
	}
	s.tellReleased(a.Key, c.Reply)
	return nil
}

// CheckQueues implements store.Ownership.
func (s *Store) CheckQueues(ctx context.Context, attached []store.Attachment) ([]store.QueueState, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	calls := make([]*transport.Call, len(attached))
	for i, a := range attached {
		calls[i] = &transport.Call{Script: checkScript, Keys: s.queueKeys(a.Key), Args: []any{s.owner(a.Lease)}, Safe: true, Hasty: true}
	}
	s.transport.Carry(ctx, calls)
	states := make([]store.QueueState, len(attached))
	var failed error
	for i, c := range calls {
		if c.Err != nil {
			// The log says so already.
			if err := s.transport.Translate(c.Err); !errors.Is(err, store.ErrUnavailable) {
				failed = firstOf(failed, fmt.Errorf("%s: %w", c.Script.Name(), err))
			}
			continue
		}
		if parts, _ := c.Reply.([]any); len(parts) == 3 {
			states[i] = store.QueueState{Known: true,
				Owned: parts[0] == int64(1), Other: parts[0] != int64(1) && parts[1] == int64(1), Waiting: parts[2] == int64(1)}
		}
	}
	return states, failed
}

// Owners implements store.Ownership.
func (s *Store) Owners(ctx context.Context, keys []store.Key) ([][]store.NodeID, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	names := make([]*redis.StringCmd, len(keys))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			names[i] = p.HGet(ctx, s.key(k.String(), "q"), "o")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, s.transport.Translate(err)
	}
	owners := make([][]store.NodeID, len(keys))
	for i := range keys {
		for name := range strings.FieldsSeq(names[i].Val()) {
			owners[i] = append(owners[i], nodeOf(name))
		}
	}
	return owners, nil
}

// TakeOver implements store.Ownership. Each queue is one step. The node's notes list the queues.
func (s *Store) TakeOver(ctx context.Context, n store.NodeID, max int, back time.Duration) (queues int, err error) {
	if err := s.transport.Usable(ctx); err != nil {
		return 0, err
	}
	notes := s.nodeQueuesKey(n)
	tags, err := s.rdb.ZRange(ctx, notes, 0, int64(max)-1).Result()
	if err != nil || len(tags) == 0 {
		return 0, s.transport.Translate(err)
	}
	var calls []*transport.Call
	var done []any // tags that need no more work
	of := make(map[*transport.Call]string, len(tags))
	for _, tag := range tags {
		k, err := store.ParseKey(tag)
		if err != nil {
			done = append(done, tag)
			continue
		}
		c := &transport.Call{Script: takeOverScript, Keys: s.queueKeys(k), Args: []any{string(n), back.Milliseconds()}, Safe: true}
		calls, of[c] = append(calls, c), tag
	}
	s.transport.Carry(ctx, calls)
	for _, c := range calls {
		if c.Err == nil {
			done = append(done, of[c])
		} else {
			err = firstOf(err, fmt.Errorf("take over %s: %w", of[c], s.transport.Translate(c.Err)))
		}
	}
	if len(done) > 0 {
		err = firstOf(err, s.transport.Translate(s.rdb.ZRem(ctx, notes, done...).Err()))
	}
	return len(done), err
}
