package redisstore_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// queuesOf returns queues of devices, one for each primary.
func queuesOf(t *testing.T, s *redisstore.Store, addrs []string) (all []store.Key) {
	t.Helper()
	rdb := s.Client().(*redis.ClusterClient)
	for _, addr := range addrs {
		for i := 1; ; i++ {
			c, err := rdb.MasterForKey(t.Context(), s.KeyOf(queueNo(i), "q"))
			require.NoError(t, err)
			if c.Options().Addr == addr {
				all = append(all, queueNo(i))
				break
			}
		}
	}
	return all
}

// assertFailedAt checks that only one entry of a batch has failed, because its Redis is
// unavailable.
func assertFailedAt(t *testing.T, at int, err error) {
	t.Helper()
	var partial *store.PartialError
	require.ErrorAs(t, err, &partial)
	for i, err := range partial.Errs {
		if i == at {
			assert.ErrorIs(t, err, store.ErrUnavailable)
		} else {
			assert.NoError(t, err)
		}
	}
}

// Of calls for several primaries, one of which is dead or stands still, only those for that one
// fail. The log says when that begins and ends.
func TestAPrimaryInTroubleHurtsOnlyItsOwnQueues(t *testing.T) {
	t.Parallel()
	const sick = 1
	for name, trouble := range map[string]struct{ begin, end func(*redistest.Server) }{
		"killed": {(*redistest.Server).Kill, (*redistest.Server).Restart},
		"paused": {(*redistest.Server).Pause, (*redistest.Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs, primaries := startCluster(t, "--appendfsync", "always")
			core, logs := observer.New(zap.InfoLevel)
			s := sharded(addrs, rand.Text()+":", redisstore.Options{Logger: zap.New(core), Retry: time.Second})
			defer s.Close()
			keys := queuesOf(t, s, addrs)
			var batch []store.Entry
			var tokens []string
			for _, k := range keys {
				batch = append(batch, message("a", in(k)))
				r, err := s.Register(t.Context(), store.Registration{Token: k.String(), Device: k.ID, App: "app", Senders: []string{"1"}}, start)
				require.NoError(t, err)
				tokens = append(tokens, r.Token)
			}
			put(t, s, batch...)
			// Their devices are known from now on.
			_, err := s.Registrations(t.Context(), nil, tokens)
			require.NoError(t, err)

			trouble.begin(primaries[sick])
			_, err = s.Put(t.Context(), batch, start)
			assertFailedAt(t, sick, err)
			_, err = s.Put(t.Context(), batch, start)
			assertFailedAt(t, sick, err)
			regs, err := s.Registrations(t.Context(), nil, tokens)
			assertFailedAt(t, sick, err)
			assert.Equal(t, tokens[0], regs[0].Token)
			assert.Equal(t, []string{"a", "a", "a"}, claim(t, s, keys[0], 1))
			require.NoError(t, s.Health(), "two of three work")

			trouble.end(primaries[sick])
			require.Eventually(t, func() bool {
				_, err := s.Put(t.Context(), batch[sick:sick+1], start)
				return err == nil
			}, patience, 10*time.Millisecond)
			regs, err = s.Registrations(t.Context(), nil, tokens)
			require.NoError(t, err)
			assert.Equal(t, tokens[sick], regs[sick].Token)
			require.Eventually(t, func() bool { return logs.FilterMessage("Redis works again").Len() == 1 }, patience, 10*time.Millisecond)
			assert.Equal(t, 1, logs.FilterMessage("Redis cannot be reached").Len())
			assert.Equal(t, 2, logs.Len(), "%v", logs.All())
		})
	}
}

// With too few replicas nothing is put, and stored entries are claimed and forgotten.
func TestAPrimaryWithoutReplicasServesWhatItHas(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 1)
	var addrs []string
	for _, p := range c.Primaries {
		addrs = append(addrs, p.Addr)
	}
	core, logs := observer.New(zap.InfoLevel)
	s := sharded(addrs, rand.Text()+":", redisstore.Options{Logger: zap.New(core), Wait: 1, WaitTimeout: 500 * time.Millisecond})
	defer s.Close()
	keys := queuesOf(t, s, addrs)
	batch := []store.Entry{message("a", in(keys[0])), message("a", in(keys[1])), message("a", in(keys[2]))}
	require.Eventually(t, func() bool { // the replicas have only just started
		_, err := s.Put(t.Context(), []store.Entry{message("first", in(keys[0])), message("first", in(keys[1])), message("first", in(keys[2]))}, start)
		return err == nil
	}, patience, 10*time.Millisecond)
	put(t, s, batch...)

	const sick = 2
	its := func() *observer.ObservedLogs { return logs.FilterField(zap.String("redis", addrs[sick])) }
	before := its().Len()
	c.Replicas[sick].Kill()
	for range 3 { // the first one waits, the others do not
		_, err := s.Put(t.Context(), batch, start)
		assertFailedAt(t, sick, err)
	}
	count := func(lease store.Lease) (ids []store.ID) {
		entries, err := s.Claim(t.Context(), keys[sick], lease, 1000, start)
		require.NoError(t, err)
		for _, e := range entries {
			if string(e.Body) == "a" {
				ids = append(ids, e.ID)
			}
		}
		return ids
	}
	ids := count(1)
	require.NotEmpty(t, ids)
	assert.LessOrEqual(t, len(ids), 2, "what was refused without being sent is not there")
	_, err := s.Ack(t.Context(), keys[sick], ids[0])
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), keys[sick], 1))
	assert.Equal(t, ids[1:], count(2))

	c.Replicas[sick].Restart()
	require.Eventually(t, func() bool {
		_, err := s.Put(t.Context(), batch[sick:], start)
		return err == nil
	}, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		all := its().All()
		return all[len(all)-1].Message == "Redis works again"
	}, patience, 10*time.Millisecond)
	assert.LessOrEqual(t, its().Len(), before+2, "%v", its().All())
}

// If the reply to a claim was lost, the lease's next claim returns its entries before newer ones.
func TestNothingOvertakesAClaimThatWasLost(t *testing.T) {
	p := startProxy(t, startRedis(t))
	s := single(p.addr, rand.Text()+":", redisstore.Options{Retry: 50 * time.Millisecond})
	defer s.Close()
	put(t, s, message("a", in(sender)), message("b", in(sender)), message("c", in(sender)))
	_, err := s.Claim(t.Context(), sender, 2, 1, start)
	require.NoError(t, err)
	p.cut(s.Owner(2), 1000)
	_, err = s.Claim(t.Context(), sender, 2, 1, start)
	require.ErrorIs(t, err, store.ErrUnavailable)
	p.cut("", 0)
	assert.Equal(t, []string{"b", "c"}, claim(t, s, sender, 2))
}

// If Redis could not be told that a session has ended, its entries are given back before the next
// session claims.
func TestNothingOvertakesWhatASessionHasLeft(t *testing.T) {
	r := redistest.Single(t)
	s := single(r.Addr, rand.Text()+":", redisstore.Options{Retry: 50 * time.Millisecond})
	n := joined(t, s)
	n.attach(server, 1)
	put(t, s, message("a", in(server)), message("b", in(server)), message("c", in(server)))
	_, err := s.Claim(t.Context(), server, 1, 2, start)
	require.NoError(t, err)
	r.Kill()
	require.Error(t, n.Detach(t.Context(), server, 1, back))
	r.Restart()
	n.attach(server, 3)
	assert.Equal(t, []string{"a", "b", "c"}, claim(t, s, server, 3))
}
