package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/projectcache"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// closeTimeout bounds how long Close takes to release leases.
const closeTimeout = 5 * time.Second

var (
	_ store.Store     = (*Store)(nil)
	_ store.Forgetter = (*Store)(nil)
)

// Store is a store in Redis.
type Store struct {
	// These fields do not change after Open.
	rdb    redis.UniversalClient
	prefix string // of every key
	log    *zap.Logger
	opts   Options

	durability string // sentence on the durability of an acknowledged message

	known    *knownTokens
	projects *projectcache.Cache
	indexed  atomic.Int64 // last rebuild of the index of keys, in Unix nanoseconds

	transport *transport.Transport

	closer   sync.Once
	identity atomic.Pointer[identity]
	leases   leases
	number   atomic.Uint64 // number of the last call or note that needed one
	sweep    sweeper
	repeats  repeats
	fanouts  givenFanouts
}

// newStore returns a store that owns the client.
func newStore(rdb redis.UniversalClient, prefix string, opts Options) *Store {
	opts.setDefaults()
	s := &Store{
		rdb: rdb, prefix: prefix, log: opts.Logger.Named("redis"), opts: opts,
		known: newKnownTokens(), projects: projectcache.New(),
	}
	s.identity.Store(newIdentity(nil))
	s.leases.queues = map[store.Key]*leasedQueue{}
	s.transport = transport.New(rdb, transport.Options{
		Logger: s.log, Scripts: &scripts,
		Retry: opts.Retry, Wait: opts.Wait, WaitTimeout: opts.WaitTimeout,
		LookKey: s.lookKey,
	})
	return s
}

// Close releases its leases and ends.
func (s *Store) Close() (err error) {
	s.closer.Do(func() {
		s.transport.StopTaking()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if failed := s.leave(ctx); failed != nil {
			s.log.Warn("leases are left to the other nodes", zap.Error(failed))
		}
		if err = s.transport.Close(); err != nil {
			err = fmt.Errorf("close store: %w", err)
		}
	})
	return err
}

// key returns a key of Redis: the prefix, a hash tag that decides the slot, and the kind of data.
func (s *Store) key(tag, what string) string { return s.prefix + "{" + tag + "}:" + what }

// queueKeys returns the keys of a queue and of its order.
func (s *Store) queueKeys(k store.Key) []string {
	tag := k.String()
	return []string{s.key(tag, "q"), s.key(tag, "w")}
}

// dedupMark begins the key of a dedup string; its sum follows.
const dedupMark = "u:"

// dedupKey returns the key that says until when a dedup string is recognised.
func (s *Store) dedupKey(k store.Key, sum store.DedupSum) string {
	return s.key(k.String(), dedupMark+string(sum[:]))
}

// lookKey returns the key to write when the Redis of another key is checked.
func (s *Store) lookKey(key string) string {
	tag, _, _ := strings.Cut(strings.TrimPrefix(key, s.prefix+"{"), "}")
	return s.key(tag, "look")
}

// Health implements store.Health. It fails if no Redis can execute calls.
func (s *Store) Health() error { return s.transport.Health() }
