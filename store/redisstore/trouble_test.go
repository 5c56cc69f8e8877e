package redisstore_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

func TestAClaimWhoseReplyWasLostIsRecovered(t *testing.T) {
	addr := startRedis(t)
	p := startProxy(t, addr)
	s := single(p.addr, rand.Text()+":", redisstore.Options{})
	defer s.Close()
	put(t, s, message("a"), message("b"), message("c"))
	entries, err := s.Claim(t.Context(), device, 1, 1, start)
	require.NoError(t, err)
	require.Len(t, entries, 1)

	p.cut(s.Owner(1), 2)
	assert.Equal(t, []string{"b", "c"}, claim(t, s, device, 1), "the first claim's entry stays claimed")
	require.NoError(t, s.Release(t.Context(), device, 1))
	assert.Equal(t, []string{"a", "b", "c"}, claim(t, s, device, 2))
}

func TestAPutWhoseReplyWasLostFailsAndIsNotRepeated(t *testing.T) {
	p := startProxy(t, startRedis(t))
	s := single(p.addr, rand.Text()+":", redisstore.Options{})
	defer s.Close()
	put(t, s, message("before", in(another))) // Redis knows the script
	p.cut("precious", 1)
	_, err := s.Put(t.Context(), []store.Entry{message("precious")}, start)
	require.Error(t, err)
	assert.Equal(t, []string{"precious"}, claim(t, s, device, 1))
}

func TestAnAckWhoseReplyWasLostIsRepeated(t *testing.T) {
	p := startProxy(t, startRedis(t))
	s := single(p.addr, rand.Text()+":", redisstore.Options{})
	defer s.Close()
	id := put(t, s, message("a"))[0].ID
	claim(t, s, device, 1)
	p.cut("EVALSHA", 1)
	_, err := s.Ack(t.Context(), device, id)
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), device, 1))
	assert.Empty(t, claim(t, s, device, 2))
}

// A claim that fails for good may have been executed, or may be later. Its entries must not be held
// longer than its lease lives.
func TestALeaseWhoseClaimIsInDoubtEndsForGood(t *testing.T) {
	p := startProxy(t, startRedis(t))
	s := single(p.addr, rand.Text()+":", redisstore.Options{Retry: 50 * time.Millisecond})
	defer s.Close()
	put(t, s, message("a"))
	claim(t, s, device, 1)
	require.NoError(t, s.Release(t.Context(), device, 1))
	p.cut(s.Owner(2), 1000)
	_, err := s.Claim(t.Context(), device, 2, 10, start)
	require.Error(t, err)
	p.cut("", 0)
	require.NoError(t, s.Release(t.Context(), device, 2))
	_, err = s.Claim(t.Context(), device, 2, 10, start)
	require.ErrorIs(t, err, store.ErrTakenOver)
	assert.Equal(t, []string{"a"}, claim(t, s, device, 3))
}

func TestCallsWaitForARedisThatIsNotThereYet(t *testing.T) {
	r := redistest.Single(t)
	r.Kill()
	s := single(r.Addr, rand.Text()+":", redisstore.Options{Retry: 20 * time.Second})
	defer s.Close()
	done := make(chan error)
	go func() {
		_, err := s.Put(t.Context(), []store.Entry{message("a")}, start)
		done <- err
	}()
	r.Restart()
	require.NoError(t, <-done)
	assert.Equal(t, []string{"a"}, claim(t, s, device, 1), "and it was put once")
}

func TestCallsFailWhenRedisStaysAway(t *testing.T) {
	s := single("127.0.0.1:1", rand.Text()+":", redisstore.Options{Retry: 50 * time.Millisecond})
	_, err := s.Put(t.Context(), []store.Entry{message("a")}, start)
	require.Error(t, err)
	require.NoError(t, s.Close())
}

func TestScriptsThatRedisHasForgottenAreLoadedAgain(t *testing.T) {
	s := nodes(t, startRedis(t), 1)[0]
	for range 3 {
		require.NoError(t, s.Client().ScriptFlush(t.Context()).Err())
		put(t, s, message("a"))
	}
	assert.Equal(t, []string{"a", "a", "a"}, claim(t, s, device, 1))
}

func TestWhatTooFewReplicasHaveIsNotPromised(t *testing.T) {
	r := redistest.Single(t)
	s := single(r.Addr, rand.Text()+":", redisstore.Options{Wait: 1, WaitTimeout: 50 * time.Millisecond})
	defer s.Close()
	_, err := s.Put(t.Context(), []store.Entry{message("a")}, start)
	require.ErrorIs(t, err, redisstore.ErrReplicas)

	redistest.Replica(t, r)
	require.Eventually(t, func() bool { // within 50 ms, even on a busy machine
		_, err := s.Put(t.Context(), []store.Entry{message("b")}, start)
		return err == nil
	}, patience, time.Millisecond)
}
