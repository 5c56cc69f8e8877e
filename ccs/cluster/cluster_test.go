package cluster_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/cluster"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const heartbeat = 10 * time.Second

var (
	device = store.Key{Kind: store.KindDevice, ID: 7}
	sender = store.Key{Kind: store.KindSender, ID: 8}
)

// node is one of several processes.
type node struct {
	*cluster.Cluster
	store   *memstore.Node
	t       *testing.T
	away    atomic.Bool                  // the store does not answer
	deaf    atomic.Bool                  // hints of others get lost
	stuck   atomic.Pointer[store.NodeID] // hints to it wait, with all others of their batch
	changes atomic.Int64
	wakes   chan store.Key
	taken   chan store.Attachment
	logs    *observer.ObservedLogs
}

func (n *node) Wake(k store.Key) {
	if !n.deaf.Load() {
		n.wakes <- k
	}
}
func (n *node) TakenOver(k store.Key, l store.Lease) { n.taken <- store.Attachment{Key: k, Lease: l} }
func (n *node) Offered(store.Entry)                  {}
func (n *node) ProjectChanged(string)                { n.changes.Add(1) }

// faulty is a node's store with its faults.
type faulty struct {
	*memstore.Node
	n *node
}

func (f faulty) failure() error {
	if f.n.away.Load() {
		return store.ErrUnavailable
	}
	return nil
}

func (f faulty) Members(ctx context.Context) (*store.Members, error) {
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.Node.Members(ctx)
}

func (f faulty) CheckQueues(ctx context.Context, some []store.Attachment) ([]store.QueueState, error) {
	if err := f.failure(); err != nil {
		return make([]store.QueueState, len(some)), nil
	}
	return f.Node.CheckQueues(ctx, some)
}

func (f faulty) DetachQueue(ctx context.Context, a store.Attachment, back time.Duration) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.Node.DetachQueue(ctx, a, back)
}

func (f faulty) Publish(ctx context.Context, hints []store.Hint) error {
	if f.n.deaf.Load() {
		return nil
	}
	for i := range hints {
		for {
			stuck := f.n.stuck.Load()
			if stuck == nil || *stuck != hints[i].To || ctx.Err() != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return f.Node.Publish(ctx, hints)
}

func join(t *testing.T, shared *memstore.Shared) *node {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	n := &node{
		t: t, store: shared.Node(), wakes: make(chan store.Key, 1000), taken: make(chan store.Attachment, 1000), logs: logs,
	}
	n.Cluster = cluster.New(faulty{n.store, n}, cluster.Options{Heartbeat: heartbeat, ComeBack: time.Minute, Logger: zap.New(core)})
	require.NoError(t, n.Join(t.Context(), n))
	t.Cleanup(n.Close)
	return n
}

// inBubble runs a test with two nodes in a synctest bubble.
func inBubble(t *testing.T, run func(t *testing.T, a, b *node)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.Share(memstore.New())
		a, b := join(t, shared), join(t, shared)
		synctest.Wait()
		run(t, a, b)
	})
}

func (n *node) attach(k store.Key, l store.Lease) {
	n.t.Helper()
	require.NoError(n.t, n.Attach(n.t.Context(), k, l))
}

func (n *node) put(k store.Key, body string) {
	n.t.Helper()
	now := time.Now()
	e := store.Entry{Key: k, Rank: store.RankNormal, App: "app", Accepted: now, Expires: now.Add(time.Hour), Body: []byte(body)}
	_, err := n.store.Put(n.t.Context(), []store.Entry{e}, now)
	require.NoError(n.t, err)
}

func (n *node) claim(k store.Key, l store.Lease) (bodies []string) {
	n.t.Helper()
	entries, err := n.store.Claim(n.t.Context(), k, l, 100, time.Now())
	require.NoError(n.t, err)
	for _, e := range entries {
		bodies = append(bodies, string(e.Body))
	}
	return bodies
}

func (n *node) members() *store.Members {
	n.t.Helper()
	m, err := n.store.Members(n.t.Context())
	require.NoError(n.t, err)
	return m
}

func TestASilentNodeIsTakenOverWithinTwoHeartbeats(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		b.attach(device, 1)
		b.attach(sender, 2)
		a.put(device, "d")
		a.put(sender, "s")
		require.Equal(t, []string{"d"}, b.claim(device, 1))
		require.Equal(t, []string{"s"}, b.claim(sender, 2))
		b.away.Store(true)
		time.Sleep(heartbeat)
		assert.Len(t, a.members().Live, 2, "it has one and a half")
		time.Sleep(heartbeat + time.Millisecond)
		synctest.Wait()
		m := a.members()
		assert.Len(t, m.Live, 1)
		assert.Empty(t, m.Dead)
		assert.Len(t, m.Released, 1)
		require.Equal(t, 1, a.logs.FilterMessage("queues of a dead node taken over").Len())
		assert.EqualValues(t, 2, a.logs.All()[0].ContextMap()["queues"])
		a.attach(device, 3)
		a.attach(sender, 4)
		assert.Equal(t, []string{"d"}, a.claim(device, 3))
		assert.Equal(t, []string{"s"}, a.claim(sender, 4))
		assert.Empty(t, b.taken)

		b.away.Store(false)
		time.Sleep(heartbeat / 2)
		synctest.Wait()
		assert.ElementsMatch(t, []store.Attachment{{Key: device, Lease: 1}, {Key: sender, Lease: 2}},
			[]store.Attachment{<-b.taken, <-b.taken})
		time.Sleep(heartbeat / 2)
		assert.Len(t, a.members().Live, 2, "it goes on under another ID")
		b.attach(sender, 5)
		a.put(sender, "s-2")
		assert.Equal(t, []string{"s-2"}, b.claim(sender, 5))
	})
}

func TestAStoreThatStoodStillKillsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		a.attach(sender, 1)
		b.attach(device, 2)
		a.away.Store(true)
		b.away.Store(true)
		time.Sleep(10 * heartbeat)
		a.away.Store(false)
		time.Sleep(heartbeat)
		b.away.Store(false)
		time.Sleep(3 * heartbeat)
		m := a.members()
		assert.Len(t, m.Live, 2)
		assert.Empty(t, m.Dead)
		assert.Empty(t, m.Released)
		assert.Empty(t, a.taken)
		assert.Empty(t, b.taken)
	})
}

// The node that has the task to take over a dead one may die itself.
func TestADeadNodeBecomesTheTaskOfAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		m := a.members()
		to := m.Clone()
		to.Dead["node0"] = m.Now.Add(2 * heartbeat) // the task of a failed node
		to.Released["old"] = m.Now.Add(-25 * time.Hour)
		ok, err := a.store.UpdateMembers(t.Context(), m, to)
		require.NoError(t, err)
		require.True(t, ok)
		time.Sleep(heartbeat)
		assert.Contains(t, a.members().Dead, store.NodeID("node0"))
		time.Sleep(heartbeat * 3 / 2)
		assert.Empty(t, a.members().Dead)
		assert.Contains(t, a.members().Released, store.NodeID("node0"))
		assert.NotContains(t, a.members().Released, store.NodeID("old"), "it would have learned so by now")
		assert.Equal(t, 1, a.logs.Len()+b.logs.Len(), "one of them did it")
	})
}

func TestALostHintDelaysByASecondAtMost(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		a.deaf.Store(true) // so that it publishes nothing
		b.attach(device, 1)
		for range 5 {
			time.Sleep(730 * time.Millisecond)
			put := time.Now()
			a.put(device, "m")
			assert.Equal(t, device, <-b.wakes)
			assert.LessOrEqual(t, time.Since(put), 1100*time.Millisecond)
			for b.claim(device, 1) == nil {
				synctest.Wait()
			}
			for len(b.wakes) > 0 {
				<-b.wakes
			}
		}
	})
}

func TestADeviceIsTakenFromANodeThatDoesNotLetGo(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		a.attach(device, 1)
		a.put(device, "m")
		require.Equal(t, []string{"m"}, a.claim(device, 1))
		began := time.Now()
		b.attach(device, 2)
		assert.Equal(t, store.Attachment{Key: device, Lease: 1}, <-a.taken)
		assert.InDelta(t, 2, time.Since(began).Seconds(), 0.2)
		assert.Equal(t, []string{"m"}, b.claim(device, 2))
		require.NoError(t, a.Detach(t.Context(), device, 1, 0))
		time.Sleep(2 * time.Second)
		assert.Empty(t, b.taken, "the end of the older session changes nothing")
	})
}

// If the hint is lost too, the older session ends when its node checks the queue.
func TestANodeFindsOutThatItHasLostADevice(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		b.deaf.Store(true)
		a.attach(device, 1)
		b.attach(device, 2)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		require.Len(t, a.taken, 1)
		assert.Equal(t, store.Attachment{Key: device, Lease: 1}, <-a.taken)
	})
}

func TestADetachWhileTheStoreIsAwayIsMadeUpFor(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		a.attach(device, 1)
		a.put(device, "m-1")
		require.Equal(t, []string{"m-1"}, a.claim(device, 1))
		a.away.Store(true)
		require.ErrorIs(t, a.Detach(t.Context(), device, 1, 0), store.ErrUnavailable)
		a.away.Store(false)
		time.Sleep(1100 * time.Millisecond)
		began := time.Now()
		b.attach(device, 2)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, []string{"m-1"}, b.claim(device, 2))

		b.away.Store(true)
		require.Error(t, b.Detach(t.Context(), device, 2, 0))
		b.away.Store(false)
		b.attach(device, 3) // at once: the earlier session comes first
		assert.Equal(t, []string{"m-1"}, b.claim(device, 3))
	})
}

func TestAQueueThatTheStoreHasForgottenIsAttachedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		a.attach(device, 1)
		// This has the same effect.
		require.NoError(t, a.store.DetachQueue(t.Context(), store.Attachment{Key: device, Lease: 1}, 0))
		time.Sleep(1100 * time.Millisecond)
		b.put(device, "m")
		assert.Equal(t, device, <-a.wakes)
		assert.Equal(t, []string{"m"}, a.claim(device, 1))
		assert.Equal(t, 1, a.logs.FilterMessage("queue attached again").Len())
	})
}

func TestAHintOfAProjectReachesTheOtherNodesOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *node) {
		require.NoError(t, a.Cluster.ProjectChanged(t.Context(), "8"))
		synctest.Wait()
		assert.EqualValues(t, 1, b.changes.Load())
		assert.Zero(t, a.changes.Load())
	})
}

// A part of the store that is in trouble must hold up only the hints that go through it.
func TestANodeThatCannotBeReachedHoldsUpNoHintsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.Share(memstore.New())
		a, b, c := join(t, shared), join(t, shared), join(t, shared)
		synctest.Wait()
		a.stuck.Store(&[]store.NodeID{b.Self()}[0])
		require.NoError(t, a.Cluster.ProjectChanged(t.Context(), "1"))
		synctest.Wait()
		require.NoError(t, a.Cluster.ProjectChanged(t.Context(), "2"))
		synctest.Wait()
		assert.EqualValues(t, 0, b.changes.Load())
		assert.EqualValues(t, 2, c.changes.Load())
		for range cluster.MaxHints { // those to b are dropped in the end, those to c are not
			require.NoError(t, a.Cluster.ProjectChanged(t.Context(), "3"))
			synctest.Wait()
		}
		assert.EqualValues(t, 2+cluster.MaxHints, c.changes.Load())
		a.stuck.Store(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1+cluster.MaxHints, b.changes.Load())
	})
}
