package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

const (
	sweepQueues = 64               // queues that are swept together
	sweepScans  = 10               // pages of keys that one call reads
	sweepPage   = 1000             // keys on a page, about
	sweepLease  = 30 * time.Second // how long one node has the sweep for itself
)

var (
	expireScript = load("expire")
	sweepScript  = load("sweep")
)

// sweeper walks over all queues, some of them in each call. Redis lists its keys in pages. There is
// no index of expiry, because that would cost every message a second key.
type sweeper struct {
	mu sync.Mutex // one step at a time
	// nodes are the primaries that the walk has not finished, the current one first. It is nil
	// between sweeps.
	nodes   []redis.UniversalClient
	cursor  uint64
	begun   bool // whether the walk over the first of nodes has begun
	pending []sweepQueue
}

// sweepQueue is a queue to sweep.
type sweepQueue struct {
	key  store.Key
	from int64 // place in its order
}

// Expire forgets expired entries. Of the nodes that share a Redis, one sweeps; for the others
// Expire does nothing.
func (s *Store) Expire(ctx context.Context, now time.Time, max int) (expired []store.Entry, more bool, err error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, false, err
	}
	s.sweep.mu.Lock()
	defer s.sweep.mu.Unlock()
	if mine, err := s.lockSweep(ctx, sweepLease); err != nil || !mine {
		return nil, false, err
	}
	expired, more, err = s.sweepStep(ctx, now, max)
	if err != nil || !more {
		s.sweep.nodes, s.sweep.pending = nil, nil
	}
	if err != nil {
		return expired, false, fmt.Errorf("expire: %w", err)
	}
	if !more {
		_, err = s.lockSweep(ctx, 0)
	}
	return expired, more, err
}

// lockSweep takes the sweep for a time, or releases it, and reports whether this node has it.
func (s *Store) lockSweep(ctx context.Context, d time.Duration) (bool, error) {
	c := &transport.Call{Script: sweepScript, Keys: []string{s.key("sweep", "lock")}, Args: []any{string(s.node()), d.Milliseconds()}, Safe: true}
	err := s.transport.Run(ctx, c)
	return c.Reply == int64(1), err
}

func (s *Store) sweepStep(ctx context.Context, now time.Time, max int) (expired []store.Entry, more bool, err error) {
	if s.sweep.nodes == nil {
		if s.sweep.nodes, err = s.primaries(ctx); err != nil {
			return nil, false, err
		}
		s.sweep.begun = false
	}
	for scans := 0; max > 0; {
		if len(s.sweep.pending) > 0 {
			some, looked, err := s.sweepSome(ctx, now, max)
			expired = append(expired, some...)
			if err != nil {
				return expired, false, err
			}
			max -= looked
			continue
		}
		if len(s.sweep.nodes) == 0 {
			return expired, false, nil
		}
		if scans++; scans > sweepScans {
			break
		}
		if err := s.sweepScan(ctx); err != nil {
			return expired, false, err
		}
	}
	return expired, len(s.sweep.pending)+len(s.sweep.nodes) > 0, nil
}

// sweepScan reads a page of keys.
func (s *Store) sweepScan(ctx context.Context) error {
	w := &s.sweep
	if w.begun && w.cursor == 0 {
		w.nodes, w.begun = w.nodes[1:], false
		return nil
	}
	keys, next, err := w.nodes[0].Scan(ctx, w.cursor, globEscape(s.prefix)+"{[dsr]:*}:w", sweepPage).Result()
	if err != nil {
		return err
	}
	w.cursor, w.begun = next, true
	for _, key := range keys {
		if k, ok := s.parseKey(key); ok {
			w.pending = append(w.pending, sweepQueue{key: k})
		}
	}
	return nil
}

// sweepSome sweeps some entries of some of the pending queues.
func (s *Store) sweepSome(ctx context.Context, now time.Time, budget int) (expired []store.Entry, looked int, err error) {
	w := &s.sweep
	queues := slices.Clone(w.pending[:min(len(w.pending), sweepQueues, budget)])
	w.pending = w.pending[len(queues):]
	each := min(budget/len(queues), claimEntries)
	calls := make([]*transport.Call, len(queues))
	for i, q := range queues {
		calls[i] = &transport.Call{
			Script: expireScript, Keys: s.queueKeys(q.key),
			Args: []any{now.UnixMilli(), clock(), q.from, each},
		}
	}
	err = s.transport.Run(ctx, calls...)
	for i, c := range calls {
		reply, _ := c.Reply.([]any)
		if c.Err != nil || len(reply) == 0 {
			continue
		}
		some, broken := decodeAll(queues[i].key, reply[1:])
		err = firstOf(err, broken)
		expired = append(expired, some...)
		looked += max(len(some), 1)
		if from, _ := reply[0].(int64); from >= 0 {
			looked += each - max(len(some), 1)
			w.pending = append(w.pending, sweepQueue{queues[i].key, from})
		}
	}
	return expired, looked, err
}

// primaries returns the clients of all primaries.
func (s *Store) primaries(ctx context.Context) (all []redis.UniversalClient, err error) {
	cluster, ok := s.rdb.(*redis.ClusterClient)
	if !ok {
		return []redis.UniversalClient{s.rdb}, nil
	}
	var mu sync.Mutex
	err = cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c)
		return nil
	})
	return all, err
}

// parseKey returns the queue whose order is under a key of Redis.
func (s *Store) parseKey(key string) (store.Key, bool) {
	tag, _, _ := strings.Cut(strings.TrimPrefix(key, s.prefix+"{"), "}")
	k, err := store.ParseKey(tag)
	return k, err == nil
}

// globEscape returns a pattern that matches exactly s.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
