package redisstore_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/cluster"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

const (
	beat     = 400 * time.Millisecond
	back     = time.Minute
	patience = 10 * time.Second
	slack    = time.Second // of a busy machine, in tests of times
)

var (
	phone  = store.Key{Kind: store.KindDevice, ID: 7}
	server = store.Key{Kind: store.KindSender, ID: 8}
)

// node is the store of one of several processes.
type node struct {
	*redisstore.Store
	cluster *cluster.Cluster
	t       *testing.T
	heard   ear
	paused  atomic.Bool // neither sends a heartbeat nor checks its queues
}

// pausing is a node's store as its cluster sees it.
type pausing struct {
	*redisstore.Store
	node *node
}

func (p pausing) Members(ctx context.Context) (*store.Members, error) {
	if p.node.paused.Load() {
		return nil, store.ErrUnavailable
	}
	return p.Store.Members(ctx)
}

func (p pausing) CheckQueues(ctx context.Context, some []store.Attachment) ([]store.QueueState, error) {
	if p.node.paused.Load() {
		return nil, store.ErrUnavailable
	}
	return p.Store.CheckQueues(ctx, some)
}

func (n *node) Attach(ctx context.Context, k store.Key, l store.Lease) error {
	return n.cluster.Attach(ctx, k, l)
}

func (n *node) Detach(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error {
	return n.cluster.Detach(ctx, k, l, back)
}

// ear records the hints to a node.
type ear struct {
	wakes   chan store.Key
	taken   chan store.Lease
	offers  chan store.Entry
	changed chan string
}

func (e ear) Wake(k store.Key) {
	select {
	case e.wakes <- k:
	default:
	}
}
func (e ear) TakenOver(_ store.Key, l store.Lease) { e.taken <- l }
func (e ear) Offered(m store.Entry)                { e.offers <- m }
func (e ear) ProjectChanged(sender string)         { e.changed <- sender }

// join opens a store as a node.
func join(t *testing.T, url string) *node {
	t.Helper()
	s, err := redisstore.Open(t.Context(), url, redisstore.Options{Heartbeat: beat})
	require.NoError(t, err)
	return joined(t, s)
}

func joined(t *testing.T, s *redisstore.Store) *node {
	t.Helper()
	heard := ear{make(chan store.Key, 1), make(chan store.Lease, 10), make(chan store.Entry, 1000), make(chan string, 1000)}
	n := &node{Store: s, t: t, heard: heard}
	n.cluster = cluster.New(pausing{s, n}, cluster.Options{Heartbeat: beat, ComeBack: back})
	require.NoError(t, n.cluster.Join(t.Context(), heard))
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// Close ends the node as a server does.
func (n *node) Close() error {
	n.cluster.Close()
	return n.Store.Close()
}

// TestNodes runs each case with two nodes, on one Redis and on a cluster.
func TestNodes(t *testing.T) {
	t.Parallel()
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			t.Parallel()
			url := topology.start(t)
			t.Run("cases", func(t *testing.T) { // all cases end before Redis does
				for _, c := range nodeCases {
					t.Run(c.name, func(t *testing.T) {
						t.Parallel()
						prefix := nextPrefix()
						c.run(t, join(t, url(prefix)), join(t, url(prefix)))
					})
				}
			})
		})
	}
}

var nodeCases = []struct {
	name string
	run  func(t *testing.T, a, b *node)
}{
	{"put wakes the node that has the queue", testWakeUp},
	{"lost hints are made good", testLostHints},
	{"a device moves to another node", testMove},
	{"who gets a queue sees all of it", testMoveOfClaims},
	{"a queue of another node has its limit", testLimitOfAnotherNode},
	{"a dead node loses its claims", testDeadNode},
	{"messages that are never stored are offered", testOffers},
	{"projects that change are told", testProjectChanged},
	{"limits hold for all nodes", testLimitsOfAll},
	{"a device with a session on any node is not forgotten", testNewcomers},
}

// A session that has waited for a device sees the other session's entries at once. It drops those
// that the device lists, and looks for them only once.
func testMoveOfClaims(t *testing.T, a, b *node) {
	a.put(phone, "m")
	a.attach(phone, 1)
	require.Equal(t, []string{"m"}, a.claim(phone, 1))
	attached := make(chan error, 1)
	go func() { attached <- b.Attach(t.Context(), phone, 2) }()
	<-a.heard.taken
	// This is the first half of Detach.
	require.NoError(t, a.DetachStep(t.Context(), store.Attachment{Key: phone, Lease: 1}, 0))
	require.NoError(t, <-attached)
	assert.Equal(t, []string{"m"}, b.claim(phone, 2))
	require.NoError(t, a.Detach(t.Context(), phone, 1, 0))
	b.put(phone, "n")
	assert.Equal(t, []string{"n"}, b.claim(phone, 2))
}

func (n *node) attach(k store.Key, l store.Lease) {
	n.t.Helper()
	require.NoError(n.t, n.Attach(n.t.Context(), k, l))
}

func (n *node) put(k store.Key, bodies ...string) []store.Outcome {
	n.t.Helper()
	now := time.Now()
	batch := make([]store.Entry, len(bodies))
	for i := range batch {
		batch[i] = store.Entry{
			Key: k, Rank: store.RankNormal, App: "app", Accepted: now, Expires: now.Add(time.Hour), Body: []byte(bodies[i]),
			Limit: store.Limit{Messages: 100, Overflow: store.Discard, Connected: 1000},
		}
	}
	outcomes, err := n.Put(n.t.Context(), batch, now)
	require.NoError(n.t, err)
	return outcomes
}

func (n *node) claim(k store.Key, l store.Lease) (bodies []string) {
	n.t.Helper()
	entries, err := n.Claim(n.t.Context(), k, l, 10_000, time.Now())
	require.NoError(n.t, err)
	for _, e := range entries {
		bodies = append(bodies, string(e.Body))
	}
	return bodies
}

// next returns the next item of a channel within a time.
func next[T any](t *testing.T, from <-chan T, within time.Duration, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(within):
		require.FailNow(t, what+" did not come")
	}
	return v
}

func testWakeUp(t *testing.T, a, b *node) {
	b.attach(phone, 1)
	const times = 30
	start := time.Now()
	for range times {
		a.put(phone, "m-1")
		assert.Equal(t, phone, next(t, b.heard.wakes, patience, "a wake-up"))
		b.claim(phone, 1)
	}
	// Without hints a message would be found after half a second on average.
	assert.Less(t, time.Since(start), times*time.Second/4, "hints were of no use")
}

// A lost hint delays a message by a second at most.
func testLostHints(t *testing.T, a, b *node) {
	a.OnWaiting(func(store.Key, store.NodeID) {})
	b.attach(phone, 1)
	for range 3 {
		start := time.Now()
		a.put(phone, "m")
		next(t, b.heard.wakes, patience, "a wake-up")
		assert.Less(t, time.Since(start), time.Second+slack)
		assert.Len(t, b.claim(phone, 1), 1)
	}
}

// A session of another node is told to end and waited for; one that does not end loses its right to
// claim.
func testMove(t *testing.T, a, b *node) {
	a.attach(phone, 1)
	a.put(phone, "m-1", "m-2")
	require.Equal(t, []string{"m-1", "m-2"}, a.claim(phone, 1))

	attached := make(chan error, 1)
	go func() { attached <- b.Attach(t.Context(), phone, 2) }()
	require.Equal(t, store.Lease(1), next(t, a.heard.taken, patience, "the takeover"))
	select {
	case <-attached:
		t.Fatal("the newer session came in before the older had let go")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, a.Detach(t.Context(), phone, 1, 0))
	require.NoError(t, next(t, attached, patience, "the queue"))
	assert.Equal(t, []string{"m-1", "m-2"}, b.claim(phone, 2))

	// This one does not listen.
	a.attach(phone, 3)
	a.put(phone, "m-3")
	_, err := b.Claim(t.Context(), phone, 2, 10, time.Now())
	assert.ErrorIs(t, err, store.ErrTakenOver)
	assert.Equal(t, []string{"m-1", "m-2", "m-3"}, a.claim(phone, 3), "what the old one had comes again")
	require.NoError(t, b.Detach(t.Context(), phone, 2, 0))
	a.put(phone, "m-4")
	assert.Equal(t, []string{"m-4"}, a.claim(phone, 3), "the old session's end changes nothing")
}

// Only the store knows this: the device of a queue that another node has is not away.
func testLimitOfAnotherNode(t *testing.T, a, b *node) {
	b.attach(phone, 1)
	many := make([]string, 150)
	for i, o := range a.put(phone, many...) {
		require.Equal(t, store.Stored, o.Result, "%d", i)
	}
	require.NoError(t, b.Detach(t.Context(), phone, 1, time.Minute))
	assert.Equal(t, store.Stored, a.put(phone, "expected back")[0].Result)
	gone := store.Key{Kind: store.KindDevice, ID: 9}
	outcomes := a.put(gone, many[:101]...)
	assert.Equal(t, store.Discarded, outcomes[100].Result)
}

// A node that dies silently loses its claims within two heartbeats, and its later calls have no
// effect.
func testDeadNode(t *testing.T, a, b *node) {
	b.attach(phone, 1)
	b.attach(server, 2)
	a.attach(server, 3)
	a.put(phone, "d-1", "d-2")
	a.put(server, "s-1", "s-2")
	require.Len(t, b.claim(phone, 1), 2)
	require.Len(t, b.claim(server, 2), 2)
	b.paused.Store(true)
	died := time.Now()
	require.Eventually(t, func() bool { return len(a.claim(server, 3)) == 2 }, patience, time.Millisecond)
	assert.Less(t, time.Since(died), 2*beat+slack)
	a.attach(phone, 4)
	assert.Equal(t, []string{"d-1", "d-2"}, a.claim(phone, 4))
	_, err := b.Claim(t.Context(), server, 2, 10, time.Now())
	require.NoError(t, err, "nothing waits")
	a.put(server, "s-3")
	_, err = b.Claim(t.Context(), server, 2, 10, time.Now())
	assert.ErrorIs(t, err, store.ErrTakenOver)

	// It resumes, and learns what happened.
	b.paused.Store(false)
	told := []store.Lease{next(t, b.heard.taken, patience, "the end"), next(t, b.heard.taken, patience, "the end")}
	assert.ElementsMatch(t, []store.Lease{1, 2}, told)
	b.attach(server, 5)
	b.put(server, "s-4")
	assert.NotEmpty(t, b.claim(server, 5), "under another name it is a node like any other")
}

// After Redis stood still it has heard of no node, and none is declared dead.
func TestRedisThatStoodStillKillsNobody(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	a, b := join(t, redis.URL("")), join(t, redis.URL(""))
	a.attach(server, 1)
	b.attach(phone, 2)
	redis.Pause()
	time.Sleep(5 * beat)
	redis.Resume()
	time.Sleep(3 * beat)
	a.put(phone, "m-1")
	assert.Equal(t, []string{"m-1"}, b.claim(phone, 2))
	assert.Empty(t, a.heard.taken)
	assert.Empty(t, b.heard.taken)
}

// The claims of sessions that end while Redis is unreachable are released as soon as it is back.
func TestDetachIsMadeGood(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t, "--appendfsync", "always")
	a, b := join(t, redis.URL("")), join(t, redis.URL(""))
	a.attach(phone, 1)
	a.put(phone, "m-1")
	require.Len(t, a.claim(phone, 1), 1)
	redis.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, a.Detach(ctx, phone, 1, 0))
	redis.Restart()
	require.Eventually(t, func() bool {
		states, err := a.CheckQueues(t.Context(), []store.Attachment{{Key: phone, Lease: 1}})
		return err == nil && states[0].Known && !states[0].Owned
	}, patience, beat/10)
	b.attach(phone, 2)
	assert.Empty(t, a.heard.taken, "it has left already")
	assert.Equal(t, []string{"m-1"}, b.claim(phone, 2))
}

func testOffers(t *testing.T, a, b *node) {
	b.attach(phone, 1)
	now := time.Now().Truncate(time.Microsecond)
	e := store.Entry{Key: phone, Rank: store.RankHigh, App: "app", Accepted: now, Body: []byte("body")}
	require.Eventually(t, func() bool {
		taken, err := a.cluster.Offer(t.Context(), []store.Entry{e, {Key: server}})
		require.NoError(t, err)
		assert.Equal(t, []bool{true, false}, taken)
		return len(b.heard.offers) > 0
	}, patience, 50*time.Millisecond, "as soon as b listens")
	got := <-b.heard.offers
	assert.Equal(t, "body", string(got.Body))
	assert.True(t, now.Equal(got.Accepted))
	assert.Zero(t, got.ID)
}

func testProjectChanged(t *testing.T, a, b *node) {
	require.Eventually(t, func() bool {
		require.NoError(t, a.cluster.ProjectChanged(t.Context(), "1"))
		return len(b.heard.changed) > 0
	}, patience, 50*time.Millisecond, "as soon as b listens")
	assert.Equal(t, "1", <-b.heard.changed)
	assert.Empty(t, a.heard.changed)
}

// Two nodes serve one sender: a collapse key keeps one message, and the 101st leaves one marker
// (CCS 5.3, 5.5).
func testLimitsOfAll(t *testing.T, a, b *node) {
	now := time.Now()
	results := make(chan error, 2)
	for i, n := range []*node{a, b} {
		go func() {
			var err error
			for j := range 200 {
				e := store.Entry{
					Key: phone, Rank: store.RankNormal, App: "app", Collapse: "k", Accepted: now, Expires: now.Add(time.Hour),
					Body: fmt.Appendf(nil, "%d/%d", i, j), Limit: store.Limit{Messages: 100, CollapseKeys: 4, Overflow: store.Discard},
				}
				if _, err = n.Put(context.Background(), []store.Entry{e}, now); err != nil {
					break
				}
			}
			results <- err
		}()
	}
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	a.attach(phone, 1)
	assert.Len(t, a.claim(phone, 1), 1)

	gone := store.Key{Kind: store.KindDevice, ID: 9}
	for i := range 101 {
		[]*node{a, b}[i%2].put(gone, fmt.Sprint(i))
	}
	b.attach(gone, 2)
	entries, err := b.Claim(t.Context(), gone, 2, 1000, now)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Equal(t, 101, entries[0].Deleted)
}

// If a node that ends cannot release its claims, the others declare it dead and take over its
// queues.
func TestANodeThatCannotGiveBackIsTakenOver(t *testing.T) {
	t.Parallel()
	addrs, primaries := startCluster(t, "--appendonly", "yes", "--appendfsync", "always")
	open := func() *redisstore.Store {
		return sharded(addrs, "p:", redisstore.Options{Heartbeat: beat, Retry: 100 * time.Millisecond})
	}
	a, b := joined(t, open()), joined(t, open())
	at := func(k string) *redistest.Server {
		c, err := a.Client().(*redis.ClusterClient).MasterForKey(t.Context(), k)
		require.NoError(t, err)
		return primaries[slices.Index(addrs, c.Options().Addr)]
	}
	queue := server
	for at(a.KeyOf(queue, "q")) == at("p:{nodes}:live") {
		queue.ID++
	}
	b.attach(queue, 1)
	a.attach(queue, 2)
	a.put(queue, "m")
	require.Equal(t, []string{"m"}, a.claim(queue, 2))
	at(a.KeyOf(queue, "q")).Kill()
	require.NoError(t, a.Close())
	at(b.KeyOf(queue, "q")).Restart()
	require.Eventually(t, func() bool {
		entries, err := b.Claim(t.Context(), queue, 1, 10, time.Now())
		return err == nil && len(entries) == 1
	}, patience, 10*time.Millisecond)
}
