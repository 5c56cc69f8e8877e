package memstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/openccs/openccs/store"
)

// shardCount is the number of locks that the queues share: enough that two cores seldom contend for
// one.
const shardCount = 128

// Store is a store.Store in memory. Use New.
type Store struct {
	shards [shardCount]shard
	closed atomic.Bool

	sweepMu sync.Mutex // one sweep at a time; taken before a shard's lock
	sweepAt int        // the shard where the sweep goes on

	registry registry
	accounts accounts
	presence presence
	fanouts  fanouts
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Forgetter = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	s := &Store{}
	for i := range s.shards {
		s.shards[i].queues = map[store.Key]*queue{}
		s.shards[i].dedup.until = map[dedupKey]int64{}
	}
	s.registry.init()
	s.accounts.init()
	s.fanouts.init()
	s.presence.keys = map[store.Key]struct{}{}
	return s
}

// Close ends the store. Calls after it return store.ErrClosed.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// usable returns the error of a closed store or an ended context. Every call checks it first.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

func (s *Store) shard(k store.Key) *shard {
	// The multiplier spreads IDs that differ in few bits (Fibonacci hashing).
	h := (k.ID ^ uint64(k.Kind)<<56) * 0x9E3779B97F4A7C15
	return &s.shards[h>>(64-7)]
}
