package redisstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
)

func queueNo(i int) store.Key { return store.Key{Kind: store.KindDevice, ID: uint64(i)} }

// While slots move from one primary to another, calls wait. Each message is stored once, claimed
// once, and forgotten.
func TestNothingIsLostWhileSlotsMove(t *testing.T) {
	const queues, callers = 200, 8
	addrs, _ := startCluster(t)
	s := sharded(addrs, rand.Text()+":", redisstore.Options{Retry: 30 * time.Second})
	defer s.Close()

	var stop atomic.Bool
	var cycles atomic.Int64
	var g errgroup.Group
	for caller := range callers {
		g.Go(func() error {
			for i := caller; !stop.Load(); i += callers {
				k := queueNo(i % queues)
				body := fmt.Sprint(i)
				if _, err := s.Put(context.Background(), []store.Entry{message(body, in(k))}, start); err != nil {
					return err
				}
				entries, err := s.Claim(context.Background(), k, 1, 10, start)
				if err != nil {
					return err
				}
				if len(entries) != 1 || string(entries[0].Body) != body {
					return fmt.Errorf("%s: %s put, %d claimed", k, body, len(entries))
				}
				if _, err := s.Ack(context.Background(), k, entries[0].ID); err != nil {
					return err
				}
				cycles.Add(1)
			}
			return nil
		})
	}
	ids := make([]string, len(addrs))
	for i, addr := range addrs {
		c := redis.NewClient(options(addr))
		ids[i] = c.ClusterMyID(t.Context()).Val()
		require.NoError(t, c.Close())
	}
	before := cycles.Load()
	redisCLI(t, "--cluster", "reshard", addrs[0], "--cluster-from", ids[0], "--cluster-to", ids[1],
		"--cluster-slots", "2000", "--cluster-yes")
	stop.Store(true)
	require.NoError(t, g.Wait())
	assert.Greater(t, cycles.Load(), before)
	for i := range queues {
		assert.Empty(t, claim(t, s, queueNo(i), 2))
	}
}

func TestAPausedPrimaryDoesNotHoldUpTheOthers(t *testing.T) {
	addrs, primaries := startCluster(t)
	s := sharded(addrs, rand.Text()+":", redisstore.Options{})
	defer s.Close()
	rdb := s.Client().(*redis.ClusterClient)
	first := make([]store.Key, 0, len(addrs)) // a queue of each primary
	for _, addr := range addrs {
		for i := 0; ; i++ {
			c, err := rdb.MasterForKey(t.Context(), s.KeyOf(queueNo(i), "q"))
			require.NoError(t, err)
			if c.Options().Addr == addr {
				first = append(first, queueNo(i))
				break
			}
		}
	}
	for _, k := range first {
		put(t, s, message("a", in(k)))
	}
	primaries[1].Pause()
	held := make(chan error, 100)
	for range cap(held) {
		go func() {
			_, err := s.Put(context.Background(), []store.Entry{message("held up", in(first[1]))}, start)
			held <- err
		}()
	}
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := s.Put(ctx, []store.Entry{message("b", in(first[0])), message("b", in(first[2]))}, start)
		cancel()
		require.NoError(t, err)
	}
	assert.Empty(t, held)
	primaries[1].Resume()
	for range cap(held) {
		require.NoError(t, <-held)
	}
	assert.Len(t, claim(t, s, first[1], 1), 1+cap(held))
}
