package redisstore_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"openccs/store"
	"openccs/store/memstore"
	"openccs/store/redisstore"
	"openccs/store/storetest"
)

// options are for a client that never repeats anything by itself.
func options(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		ContextTimeoutEnabled: true,
	}
}

func single(addr, prefix string, opts redisstore.Options) *redisstore.Store {
	return redisstore.New(redis.NewClient(options(addr)), prefix, opts)
}

func cluster(addrs []string, prefix string, opts redisstore.Options) *redisstore.Store {
	return redisstore.New(redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		ContextTimeoutEnabled: true,
	}), prefix, opts)
}

// queueStore is the queues of a Store, and the rest of the interface in memory.
type queueStore struct {
	store.Store
	q *redisstore.Store
}

func (s queueStore) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	return s.q.Put(ctx, batch, now)
}
func (s queueStore) Claim(ctx context.Context, k store.Key, l store.Lease, max int, now time.Time) ([]store.Entry, error) {
	return s.q.Claim(ctx, k, l, max, now)
}
func (s queueStore) Ack(ctx context.Context, k store.Key, ids ...store.ID) error {
	return s.q.Ack(ctx, k, ids...)
}
func (s queueStore) Release(ctx context.Context, k store.Key, l store.Lease) error {
	return s.q.Release(ctx, k, l)
}
func (s queueStore) Purge(ctx context.Context, k store.Key, app string) error {
	return s.q.Purge(ctx, k, app)
}
func (s queueStore) Expire(ctx context.Context, now time.Time, max int) ([]store.Entry, bool, error) {
	return s.q.Expire(ctx, now, max)
}
func (s queueStore) Close() error {
	_ = s.Store.Close()
	return s.q.Close()
}

// unclosed is a store in memory that outlives the process, so to speak.
type unclosed struct{ store.Store }

func (unclosed) Close() error { return nil }

func TestQueueSingle(t *testing.T) {
	addr := startRedis(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		prefix := rand.Text() + ":"
		c := redis.NewClient(options(addr))
		t.Cleanup(func() {
			expiring(t, c, prefix)
			require.NoError(t, c.Close())
		})
		return queueStore{memstore.New(), single(addr, prefix, redisstore.Options{})}
	})
	rest := map[string]store.Store{}
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
		if rest[dir] == nil {
			rest[dir] = unclosed{memstore.New()}
		}
		return queueStore{rest[dir], single(addr, dir+":", redisstore.Options{})}
	})
}

func TestQueueCluster(t *testing.T) {
	addrs, _ := startCluster(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		return queueStore{memstore.New(), cluster(addrs, rand.Text()+":", redisstore.Options{})}
	})
}
