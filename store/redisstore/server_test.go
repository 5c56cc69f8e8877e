package redisstore_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// startRedis starts a Redis for the test and returns its address.
func startRedis(t testing.TB, flags ...string) string {
	t.Helper()
	return redistest.Single(t, flags...).Addr
}

// startCluster starts three primaries. Each serves its slots even if the others are down.
func startCluster(t testing.TB, flags ...string) (addrs []string, primaries []*redistest.Server) {
	t.Helper()
	primaries = redistest.Cluster(t, 0, append(flags, "--cluster-require-full-coverage", "no")...).Primaries
	for _, p := range primaries {
		addrs = append(addrs, p.Addr)
	}
	return addrs, primaries
}

func redisCLI(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("redis-cli", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// options returns options for a client that never repeats a command by itself, as in Open.
func options(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		ContextTimeoutEnabled: true,
	}
}

func single(addr, prefix string, opts redisstore.Options) *redisstore.Store {
	return redisstore.New(redis.NewClient(options(addr)), prefix, opts)
}

func sharded(addrs []string, prefix string, opts redisstore.Options) *redisstore.Store {
	return redisstore.New(redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		ContextTimeoutEnabled: true,
	}), prefix, opts)
}

// expiring fails the test if a key of a queue would stay forever.
func expiring(t *testing.T, s store.Store) {
	t.Helper()
	c, ok := s.(*redisstore.Store).Client().(*redis.Client)
	if !ok {
		return
	}
	check := redis.NewClient(options(c.Options().Addr)) // the store is closed
	defer check.Close()
	ctx := context.Background()
	for _, what := range []string{"q", "w", "u:*"} {
		keys := check.Scan(ctx, 0, s.(*redisstore.Store).Prefix()+"{*}:"+what, 1000).Iterator()
		for keys.Next(ctx) {
			left, err := check.PTTL(ctx, keys.Val()).Result()
			require.NoError(t, err)
			if left == -1 {
				t.Errorf("%s does not expire", keys.Val())
			}
		}
		require.NoError(t, keys.Err())
	}
}
