package redisstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
)

var (
	start   = time.UnixMilli(1_400_000_000_000).UTC()
	device  = store.Key{Kind: store.KindDevice, ID: 4611686018427387904}
	another = store.Key{Kind: store.KindDevice, ID: 4611686018427387905}
	sender  = store.Key{Kind: store.KindSender, ID: 4611686018427387904}
	away    = store.Limit{Messages: 100, CollapseKeys: 4, Overflow: store.Discard}
)

func message(body string, change ...func(*store.Entry)) store.Entry {
	e := store.Entry{
		Key: device, Rank: store.RankNormal, App: "com.example.app",
		Accepted: start, Expires: start.Add(28 * 24 * time.Hour), Body: []byte(body),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func in(k store.Key) func(*store.Entry)        { return func(e *store.Entry) { e.Key = k } }
func limited(l store.Limit) func(*store.Entry) { return func(e *store.Entry) { e.Limit = l } }

// nodes opens several stores that share a Redis.
func nodes(t *testing.T, addr string, n int) []*redisstore.Store {
	prefix := rand.Text() + ":"
	var all []*redisstore.Store
	for range n {
		s := single(addr, prefix, redisstore.Options{})
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		all = append(all, s)
	}
	return all
}

func put(t *testing.T, s *redisstore.Store, batch ...store.Entry) []store.Outcome {
	t.Helper()
	outcomes, err := s.Put(t.Context(), batch, start)
	require.NoError(t, err)
	return outcomes
}

func claim(t *testing.T, s *redisstore.Store, k store.Key, l store.Lease) []string {
	t.Helper()
	entries, err := s.Claim(t.Context(), k, l, 1000, start)
	require.NoError(t, err)
	bodies := []string{}
	for _, e := range entries {
		if e.Deleted > 0 {
			bodies = append(bodies, fmt.Sprintf("marker %d", e.Deleted))
			continue
		}
		bodies = append(bodies, string(e.Body))
	}
	return bodies
}

func TestTwoNodesThatSendWithOneCollapseKeyLeaveOneMessage(t *testing.T) {
	all := nodes(t, startRedis(t), 2)
	for round := range 20 {
		k := store.Key{Kind: store.KindDevice, ID: uint64(round)}
		var g errgroup.Group
		for n, s := range all {
			for i := range 4 {
				g.Go(func() error {
					e := message(fmt.Sprint(n, i), in(k))
					e.Collapse = "score"
					_, err := s.Put(context.Background(), []store.Entry{e}, start)
					return err
				})
			}
		}
		require.NoError(t, g.Wait())
		assert.Len(t, claim(t, all[0], k, 1), 1)
	}
}

func TestTheHundredAndFirstMessageOfTwoNodesLeavesOneMarker(t *testing.T) {
	all := nodes(t, startRedis(t), 2)
	results := make([][]store.Outcome, 101)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range results {
		g.Go(func() (err error) {
			results[i], err = all[i%2].Put(context.Background(), []store.Entry{message(fmt.Sprint(i), limited(away))}, start)
			return err
		})
	}
	require.NoError(t, g.Wait())
	discarded := 0
	for _, o := range results {
		if o[0].Result == store.Discarded {
			discarded++
		}
	}
	assert.Equal(t, 1, discarded)
	assert.Equal(t, []string{"marker 101"}, claim(t, all[1], device, 1))
}

func TestATakeoverGivesBackWhatADeadNodeHeldAndNothingElse(t *testing.T) {
	all := nodes(t, startRedis(t), 3)
	dead, alive, heir := all[0], all[1], all[2]
	for i := range 6 {
		put(t, alive, message(fmt.Sprint(i), in(sender)))
	}
	_, err := dead.Claim(t.Context(), sender, 1, 2, start)
	require.NoError(t, err)
	_, err = alive.Claim(t.Context(), sender, 1, 2, start) // the same number, another lease
	require.NoError(t, err)
	_, err = dead.Claim(t.Context(), sender, 2, 1, start)
	require.NoError(t, err)
	own(t, alive, sender, dead.Owner(1)+" "+alive.Owner(1)+" "+dead.Owner(2))

	n, err := heir.TakeOver(t.Context(), dead.Node(), 10, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, alive.Owner(1), alive.Client().HGet(t.Context(), alive.KeyOf(sender, "q"), "o").Val())
	assert.Equal(t, []string{"0", "1", "4", "5"}, claim(t, heir, sender, 1))

	n, err = heir.TakeOver(t.Context(), dead.Node(), 10, 0)
	require.NoError(t, err)
	assert.Zero(t, n, "the second time there is nothing")
}

// own makes leases the owners of a queue.
func own(t *testing.T, s *redisstore.Store, k store.Key, owners string) {
	t.Helper()
	require.NoError(t, s.Client().HSet(t.Context(), s.KeyOf(k, "q"), "o", owners).Err())
}

func TestANodeNotesTheQueuesFromWhichItHasClaimed(t *testing.T) {
	s := nodes(t, startRedis(t), 1)[0]
	noted := func() []string { return s.Client().ZRange(t.Context(), s.NotesKey(), 0, -1).Val() }
	claim(t, s, device, 1)
	claim(t, s, device, 2)
	claim(t, s, sender, 3)
	assert.ElementsMatch(t, []string{device.String(), sender.String()}, noted())
	require.NoError(t, s.Release(t.Context(), device, 1))
	require.NoError(t, s.Release(t.Context(), sender, 3))
	assert.Equal(t, []string{device.String()}, noted(), "the other lease of the device's queue goes on")
	require.NoError(t, s.Release(t.Context(), device, 2))
	assert.Empty(t, noted())
}

func TestOnlyTheOwnerClaimsFromADevicesQueue(t *testing.T) {
	all := nodes(t, startRedis(t), 2)
	put(t, all[0], message("a"), message("s", in(sender)))
	own(t, all[0], device, all[1].Owner(7))
	own(t, all[0], sender, all[1].Owner(7))
	_, err := all[0].Claim(t.Context(), device, 7, 10, start)
	require.ErrorIs(t, err, store.ErrTakenOver)
	assert.Equal(t, []string{"s"}, claim(t, all[0], sender, 7), "the other queues may have many")
	assert.Equal(t, []string{"a"}, claim(t, all[1], device, 7))
}

func TestADeviceOfAnotherNodeIsLimitedAsConnected(t *testing.T) {
	all := nodes(t, startRedis(t), 2)
	two := limited(store.Limit{Messages: 2, Overflow: store.Discard, Connected: 4})
	put(t, all[0], message("0", two))
	own(t, all[0], device, all[1].Owner(1))
	for i := range 3 {
		assert.Equal(t, store.Stored, put(t, all[0], message(fmt.Sprint(i+1), two))[0].Result)
	}
	assert.Equal(t, store.Refused, put(t, all[0], message("x", two))[0].Result)

	_, err := all[1].Claim(t.Context(), device, 1, 0, start) // so that it has a note of the queue
	require.NoError(t, err)
	_, err = all[0].TakeOver(t.Context(), all[1].Node(), 10, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, store.Refused, put(t, all[0], message("x", two))[0].Result, "it may be back in a moment")

	require.NoError(t, all[0].Client().HSet(t.Context(), all[0].KeyOf(device, "q"), "b", 1).Err())
	assert.Equal(t, store.Stored, put(t, all[0], message("4", two))[0].Result)
	assert.Equal(t, store.Discarded, put(t, all[0], message("x", two))[0].Result)
	assert.Equal(t, []string{"marker 3", "1", "2", "3"}, claim(t, all[1], device, 1), "what came while it was connected does not count")
}

func TestThoseWhoHaveAQueueAreNamedWhenItHasMore(t *testing.T) {
	s := nodes(t, startRedis(t), 1)[0]
	var hints []string
	s.OnWaiting(func(k store.Key, n store.NodeID) { hints = append(hints, k.String()+" "+string(n)) })
	put(t, s, message("a", in(sender)))
	assert.Empty(t, hints)
	own(t, s, sender, s.Owner(1)+" n/1 m/2")
	put(t, s, message("b", in(sender)), message("c", in(another)))
	claim(t, s, sender, 1)
	require.NoError(t, s.Release(t.Context(), sender, 1))
	require.NoError(t, s.Release(t.Context(), sender, 1))
	var want []string
	for _, n := range []string{string(s.Node()), "n", "m"} {
		want = append(want, sender.String()+" "+n)
	}
	assert.Equal(t, slices.Concat(want, want), hints, "the second release gives nothing back")
}

func TestIDsDoNotComeAgainAfterAllIsLost(t *testing.T) {
	s := nodes(t, startRedis(t), 1)[0]
	last := put(t, s, message("a"))[0].ID
	for range 5 {
		require.NoError(t, s.Client().FlushAll(t.Context()).Err())
		id := put(t, s, message("a"))[0].ID
		assert.Greater(t, id, last)
		last = id
	}
}

func TestKeysLastAsLongAsWhatTheyHold(t *testing.T) {
	s := nodes(t, startRedis(t), 1)[0]
	ttl := func() time.Duration {
		w := s.Client().PTTL(t.Context(), s.KeyOf(device, "w")).Val()
		assert.InDelta(t, w.Seconds(), s.Client().PTTL(t.Context(), s.KeyOf(device, "q")).Val().Seconds(), 5)
		return w
	}
	short := message("a")
	short.Expires = start.Add(time.Minute)
	id := put(t, s, short)[0].ID
	assert.Greater(t, ttl(), time.Minute)
	assert.Less(t, ttl(), 4*time.Hour)
	_, err := s.Ack(t.Context(), device, id)
	require.NoError(t, err)
	assert.Less(t, ttl(), 4*time.Hour, "an empty queue's order still expires")
	put(t, s, message("b"))
	long := ttl()
	assert.Greater(t, long, 28*24*time.Hour)
	put(t, s, short)
	assert.Greater(t, ttl(), 28*24*time.Hour, "b is still there")
}
