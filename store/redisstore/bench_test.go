package redisstore_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
)

// The benchmark's load is a message of 300 bytes for one of 10,000 devices, from 32 callers.
const (
	benchCallers = 32
	benchQueues  = 10_000
	benchBytes   = 300
)

// BenchmarkCycle measures a message's whole life: it is put, claimed by the lease of its device and
// acknowledged, each in its own call. It reports the CPU time of all Redis processes per message.
// The last case shows whether primaries add up: each has as many callers as the single instance.
func BenchmarkCycle(b *testing.B) {
	b.Run("single", func(b *testing.B) {
		addr := startRedis(b, "--appendfsync", "everysec")
		benchCycle(b, benchCallers, single(addr, "ccs:", redisstore.Options{}), addr)
	})
	b.Run("cluster", func(b *testing.B) {
		addrs, _ := startCluster(b)
		benchCycle(b, benchCallers, sharded(addrs, "ccs:", redisstore.Options{}), addrs...)
	})
	b.Run("cluster-three-times-the-callers", func(b *testing.B) {
		addrs, _ := startCluster(b)
		benchCycle(b, len(addrs)*benchCallers, sharded(addrs, "ccs:", redisstore.Options{}), addrs...)
	})
}

func benchCycle(b *testing.B, callers int, s *redisstore.Store, addrs ...string) {
	defer s.Close()
	// Every lease has claimed before, like a live session.
	cycles(b, callers, s, benchQueues)
	before := redisCPU(b, addrs)
	b.ResetTimer()
	cycles(b, callers, s, b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cycles/s")
	b.ReportMetric(float64((redisCPU(b, addrs)-before).Microseconds())/float64(b.N), "redis-µs/cycle")
	b.ReportMetric(0, "ns/op") // it has no meaning here
}

func cycles(b *testing.B, callers int, s *redisstore.Store, n int) {
	body := bytes.Repeat([]byte("x"), benchBytes)
	now := time.Now()
	var next atomic.Int64
	var g errgroup.Group
	for range callers {
		g.Go(func() error {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				k := store.Key{Kind: store.KindDevice, ID: uint64(i % benchQueues)}
				if err := cycle(s, k, body, now); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, g.Wait())
}

func cycle(s *redisstore.Store, k store.Key, body []byte, now time.Time) error {
	ctx := context.Background()
	_, err := s.Put(ctx, []store.Entry{{
		Key: k, Rank: store.RankNormal, App: "com.example.app", Accepted: now, Expires: now.Add(28 * 24 * time.Hour),
		Limit: store.Limit{Messages: 1000, CollapseKeys: 4, Overflow: store.Refuse}, Body: body,
	}}, now)
	if err != nil {
		return err
	}
	entries, err := s.Claim(ctx, k, store.Lease(k.ID+1), 100, now)
	if err != nil {
		return err
	}
	if len(entries) != 1 {
		return fmt.Errorf("%s: %d entries", k, len(entries))
	}
	_, err = s.Ack(ctx, k, entries[0].ID)
	return err
}

// redisCPU returns the CPU time that some Redis processes have used.
func redisCPU(b *testing.B, addrs []string) (all time.Duration) {
	for _, addr := range addrs {
		c := redis.NewClient(options(addr))
		info, err := c.Info(b.Context(), "cpu").Result()
		require.NoError(b, err)
		require.NoError(b, c.Close())
		for line := range strings.Lines(info) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if name == "used_cpu_user" || name == "used_cpu_sys" {
				seconds, err := strconv.ParseFloat(value, 64)
				require.NoError(b, err)
				all += time.Duration(seconds * float64(time.Second))
			}
		}
	}
	return all
}

// BenchmarkPutAmongExpired measures puts into a queue at its limit, most of whose entries have
// expired and were not swept. put sets those aside, so that it looks at each only once.
func BenchmarkPutAmongExpired(b *testing.B) {
	s := single(startRedis(b), "ccs:", redisstore.Options{})
	defer s.Close()
	now := time.Now()
	const bound = 1000
	limit := store.Limit{Messages: bound, Overflow: store.Refuse}
	put := func(k store.Key, n int, expires time.Duration, at time.Time) {
		batch := make([]store.Entry, n)
		for i := range batch {
			batch[i] = store.Entry{Key: k, Rank: store.RankNormal, App: "a", Accepted: at, Expires: now.Add(expires), Limit: limit, Body: make([]byte, 300)}
		}
		_, err := s.Put(b.Context(), batch, at)
		require.NoError(b, err)
	}
	q := uint64(0)
	var k store.Key
	left := 0
	for i := 0; i < b.N; i++ {
		if left == 0 {
			b.StopTimer()
			q++
			k = store.Key{Kind: store.KindDevice, ID: q}
			put(k, 900, time.Second, now)
			put(k, 100, time.Hour, now)
			left = 500
			b.StartTimer()
		}
		left--
		put(k, 1, time.Hour, now.Add(time.Minute))
	}
}
