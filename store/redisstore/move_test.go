package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

func openAt(t *testing.T, url string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), url, redisstore.Options{Heartbeat: beat})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // closed already by some tests
	return s
}

func dump(t *testing.T, s *redisstore.Store, from string) (pages []*store.Page) {
	t.Helper()
	for p, err := range s.Dump(t.Context(), from, time.Now()) {
		require.NoError(t, err)
		pages = append(pages, p)
	}
	return pages
}

func TestADumpBeginsAnewWhenRedisWasStartedAnew(t *testing.T) {
	redis := redistest.Single(t)
	s := openAt(t, redis.URL("a:"))
	const messages = 3 * store.PageSize
	for i := range messages {
		e := store.Entry{Key: store.Key{Kind: store.KindDevice, ID: uint64(i + 1)}, Rank: store.RankNormal, Expires: time.Now().Add(time.Hour)}
		_, err := s.Put(t.Context(), []store.Entry{e}, time.Now())
		require.NoError(t, err)
	}
	count := func(pages []*store.Page) (n int) {
		for _, p := range pages {
			n += p.Len()
		}
		return n
	}
	pages := dump(t, s, "")
	require.Equal(t, messages, count(pages))
	next := pages[1].Next
	assert.Less(t, count(dump(t, s, next)), messages)
	redis.Kill()
	redis.Restart()
	assert.Equal(t, messages, count(dump(t, s, next)), "the places of the old process mean nothing to the new one")
}

func TestWhatAnotherNodeUsesIsNotMoved(t *testing.T) {
	url := redistest.Single(t).URL("a:")
	other := join(t, url)
	s := openAt(t, url)
	for _, err := range s.Dump(t.Context(), "", time.Now()) {
		require.ErrorIs(t, err, store.ErrLocked)
	}
	require.ErrorIs(t, s.Restore(t.Context(), &store.Page{}, time.Now()), store.ErrLocked)
	assert.Len(t, dump(t, other.Store, ""), 1, "it may do so itself")
	require.NoError(t, other.Close())
	assert.Len(t, dump(t, s, ""), 1)
	require.NoError(t, s.Restore(t.Context(), &store.Page{}, time.Now()))
}

func TestSequenceNumbersOfAnotherStoreArePassed(t *testing.T) {
	url := redistest.Single(t).URL
	now := dump(t, openAt(t, url("a:")), "")[0].Seq
	s := openAt(t, url("b:"))
	require.NoError(t, s.Restore(t.Context(), &store.Page{Seq: now + uint64(500*time.Millisecond/time.Microsecond)}, time.Now()))
	o, err := s.Put(t.Context(), []store.Entry{{Key: phone, Rank: store.RankNormal, Expires: time.Now().Add(time.Hour)}}, time.Now())
	require.NoError(t, err)
	assert.Greater(t, o[0].ID.Seq(), now+500_000)
	for _, seq := range []uint64{now + uint64(time.Hour/time.Microsecond), 1 << 51} {
		assert.ErrorContains(t, s.Restore(t.Context(), &store.Page{Seq: seq}, time.Now()), fmt.Sprint("sequence number ", seq, " is ahead"))
	}
}
