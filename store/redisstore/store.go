package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/projectcache"
)

// closeTimeout bounds how long Close gives leases back.
const closeTimeout = 5 * time.Second

var (
	_ store.Store     = (*Store)(nil)
	_ store.Forgetter = (*Store)(nil)
)

// Store is a store in Redis.
type Store struct {
	// Static after Open.
	rdb    redis.UniversalClient
	prefix string // of every key
	log    *zap.Logger
	opts   Options

	durability string // what an acknowledgement is worth
	waitAOF    bool   // Redis can wait until what it has is synced to disk

	known    *knownTokens
	projects *projectcache.Cache

	closed   atomic.Bool
	closer   sync.Once
	identity atomic.Pointer[identity]
	pipes    pipes
	held     held
	number   atomic.Uint64 // of the last call or note that needed one
	sweep    sweeper
	repeats  repeats
}

// newStore makes a store of a client, which belongs to it from then on.
func newStore(rdb redis.UniversalClient, prefix string, opts Options) *Store {
	opts.setDefaults()
	s := &Store{
		rdb: rdb, prefix: prefix, log: opts.Logger.Named("redis"), opts: opts,
		known: newKnownTokens(), projects: projectcache.New(),
	}
	s.identity.Store(newIdentity(nil))
	s.pipes.byClient = map[redis.UniversalClient]*shard{}
	s.pipes.ctx, s.pipes.cancel = context.WithCancel(context.Background())
	s.pipes.looks.Go(s.probeLoop)
	s.held.queues = map[store.Key]*heldQueue{}
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		c.OnNewNode(func(n *redis.Client) { n.AddHook(dialHook{}) })
	default:
		c.AddHook(dialHook{})
	}
	return s
}

// Close gives back what its leases hold, and ends.
func (s *Store) Close() (err error) {
	s.closer.Do(func() {
		s.closed.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if failed := s.leave(ctx); failed != nil {
			s.log.Warn("leases are left to the other nodes", zap.Error(failed))
		}
		s.pipes.close()
		if err = s.rdb.Close(); err != nil {
			err = fmt.Errorf("close store: %w", err)
		}
	})
	return err
}

// key is a key of Redis: the prefix, a hash tag that decides the slot, and what it is.
func (s *Store) key(tag, what string) string { return s.prefix + "{" + tag + "}:" + what }

// queueKeys are the keys of a queue and of its order.
func (s *Store) queueKeys(k store.Key) []string {
	tag := k.String()
	return []string{s.key(tag, "q"), s.key(tag, "w")}
}

// dedupMark begins what a dedup string's key is; its sum follows.
const dedupMark = "u:"

// dedupKey is the key that says until when a dedup string is known.
func (s *Store) dedupKey(k store.Key, sum store.DedupSum) string {
	return s.key(k.String(), dedupMark+string(sum[:]))
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// translate makes a client's error one of package store's where there is one.
func (s *Store) translate(err error) error {
	if errors.Is(err, redis.ErrClosed) || s.closed.Load() && errors.Is(err, net.ErrClosed) {
		return store.ErrClosed
	}
	if redis.HasErrorPrefix(err, "TAKENOVER") {
		return store.ErrTakenOver
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) && unavailable(err) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
