package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// Shared is the store of one node among several.
type Shared interface {
	store.Store
	store.Coordinator
}

// RunNodes tests a store that several nodes share against store.Coordinator. open returns a
// function that opens the same new store for one more node. RunNodes closes the stores that this
// returns.
func RunNodes(t *testing.T, open func(t *testing.T) (node func() Shared)) {
	t.Helper()
	for _, c := range nodeCases {
		t.Run(c.name, func(t *testing.T) {
			another := open(t)
			c.run(nodesFixture{t, func() *sharedNode {
				n := &sharedNode{Shared: another(), t: t, told: make(chan told, 1000)}
				t.Cleanup(func() { require.NoError(t, n.Close()) })
				n.id = n.Enter(func(k store.Key, id store.NodeID) { n.told <- told{k, id} })
				return n
			}})
		})
	}
}

type nodesFixture struct {
	*testing.T
	node func() *sharedNode // opens the store for one more node, which enters
}

// told is a call of a node's waiting function.
type told struct {
	key  store.Key
	node store.NodeID
}

type sharedNode struct {
	Shared
	t    *testing.T
	id   store.NodeID
	told chan told
}

func (n *sharedNode) attach(k store.Key, l store.Lease, force bool) (other, taken store.Owner) {
	n.t.Helper()
	other, taken, err := n.AttachQueue(context.Background(), store.Attachment{Key: k, Lease: l}, force)
	require.NoError(n.t, err)
	return other, taken
}

func (n *sharedNode) detach(k store.Key, l store.Lease, back time.Duration) {
	n.t.Helper()
	require.NoError(n.t, n.DetachQueue(context.Background(), store.Attachment{Key: k, Lease: l}, back))
}

func (n *sharedNode) put(k store.Key, bodies ...string) []store.Outcome {
	n.t.Helper()
	batch := make([]store.Entry, len(bodies))
	for i, body := range bodies {
		batch[i] = store.Entry{
			Key: k, Rank: store.RankNormal, App: "app", Accepted: start, Expires: start.Add(day), Body: []byte(body),
			Limit: store.Limit{Messages: 2, Overflow: store.Discard, Connected: 4},
		}
	}
	outcomes, err := n.Put(context.Background(), batch, start)
	require.NoError(n.t, err)
	return outcomes
}

func (n *sharedNode) claim(k store.Key, l store.Lease, max int) []string {
	n.t.Helper()
	entries, err := n.Claim(context.Background(), k, l, max, start)
	require.NoError(n.t, err)
	bodies := []string{}
	for _, e := range entries {
		bodies = append(bodies, string(e.Body))
	}
	return bodies
}

func (n *sharedNode) mayNotClaim(k store.Key, l store.Lease) {
	n.t.Helper()
	entries, err := n.Claim(context.Background(), k, l, 10, start)
	require.ErrorIs(n.t, err, store.ErrTakenOver)
	assert.Empty(n.t, entries)
}

func (n *sharedNode) members() *store.Members {
	n.t.Helper()
	m, err := n.Members(context.Background())
	require.NoError(n.t, err)
	return m
}

func (n *sharedNode) update(from, to *store.Members) bool {
	n.t.Helper()
	ok, err := n.UpdateMembers(context.Background(), from, to)
	require.NoError(n.t, err)
	return ok
}

func (n *sharedNode) takeOver(from store.NodeID, max int, back time.Duration) int {
	n.t.Helper()
	queues, err := n.TakeOver(context.Background(), from, max, back)
	require.NoError(n.t, err)
	return queues
}

func (n *sharedNode) check(k store.Key, l store.Lease) store.QueueState {
	n.t.Helper()
	states, err := n.CheckQueues(context.Background(), []store.Attachment{{Key: k, Lease: l}})
	require.NoError(n.t, err)
	require.Len(n.t, states, 1)
	return states[0]
}

// toldOf returns which owners of which queues a node was told of.
func (n *sharedNode) toldOf() map[told]int {
	all := map[told]int{}
	for len(n.told) > 0 {
		all[<-n.told]++
	}
	return all
}

var nodeCases = []struct {
	name string
	run  func(f nodesFixture)
}{
	{"each node has another ID, and a new one whenever it enters", func(f nodesFixture) {
		a, b := f.node(), f.node()
		assert.NotEqual(f, a.id, b.id)
		assert.NotEqual(f, a.id, a.Enter(func(store.Key, store.NodeID) {}))
	}},
	{"the membership is as it was written", func(f nodesFixture) {
		a, b := f.node(), f.node()
		was := a.members()
		assert.Empty(f, was.Live)
		assert.Empty(f, was.Dead)
		assert.Empty(f, was.Released)
		now := was.Now
		to := was.Clone()
		to.Live[a.id], to.Dead["old"], to.Released["older"] = now, time.UnixMilli(0), now.Add(-time.Hour)
		require.True(f, a.update(was, to))
		is := b.members()
		assert.False(f, is.Now.Before(now))
		require.Len(f, is.Live, 1)
		assert.True(f, is.Live[a.id].Equal(now))
		require.Len(f, is.Dead, 1)
		assert.True(f, is.Dead["old"].Equal(time.UnixMilli(0)))
		require.Len(f, is.Released, 1)
		assert.True(f, is.Released["older"].Equal(now.Add(-time.Hour)))

		to = is.Clone()
		delete(to.Dead, "old")
		to.Released["old"] = now
		require.True(f, b.update(is, to))
		is = a.members()
		assert.Empty(f, is.Dead)
		assert.Len(f, is.Released, 2)
	}},
	{"a change of a node's record that another node has changed is not written", func(f nodesFixture) {
		a, b := f.node(), f.node()
		was := a.members()
		first, second, elsewhere := was.Clone(), was.Clone(), was.Clone()
		first.Live["x"] = was.Now
		second.Live["x"], second.Dead["y"] = was.Now.Add(time.Second), was.Now
		elsewhere.Live["z"] = was.Now
		require.True(f, a.update(was, first))
		assert.False(f, b.update(was, second))
		assert.NotContains(f, a.members().Dead, store.NodeID("y"), "nothing of it is written")
		assert.True(f, b.update(was, elsewhere), "the record of another node does not matter")
		dead := was.Clone()
		dead.Dead["x"] = was.Now
		assert.False(f, b.update(was, dead), "x is live by now")
	}},
	{"only a lease that is attached claims", func(f nodesFixture) {
		a, b := f.node(), f.node()
		a.put(device, "m")
		a.mayNotClaim(device, 1)
		a.attach(device, 1, false)
		b.mayNotClaim(device, 1)
		a.mayNotClaim(device, 2)
		assert.Equal(f, []string{"m"}, a.claim(device, 1, 10))
	}},
	{"what a node held under an older ID is not its own", func(f nodesFixture) {
		a := f.node()
		a.put(device, "m")
		a.attach(device, 1, false)
		old := a.id
		a.id = a.Enter(func(store.Key, store.NodeID) {})
		a.mayNotClaim(device, 1)
		other, _ := a.attach(device, 1, false)
		assert.Equal(f, store.Owner{Node: old, Lease: 1}, other)
	}},
	{"a device has one owner, from which it can be taken", func(f nodesFixture) {
		a, b := f.node(), f.node()
		a.attach(device, 1, false)
		a.put(device, "m-1", "m-2")
		require.Equal(f, []string{"m-1"}, a.claim(device, 1, 1))
		other, taken := a.attach(device, 1, false)
		assert.Zero(f, other, "to attach again changes nothing")
		assert.Zero(f, taken)
		other, _ = b.attach(device, 1, false)
		assert.Equal(f, store.Owner{Node: a.id, Lease: 1}, other)
		b.mayNotClaim(device, 1)
		other, taken = b.attach(device, 1, true)
		assert.Zero(f, other)
		assert.Equal(f, store.Owner{Node: a.id, Lease: 1}, taken)
		a.mayNotClaim(device, 1)
		assert.Equal(f, []string{"m-1", "m-2"}, b.claim(device, 1, 10))
		a.detach(device, 1, 0)
		assert.True(f, b.check(device, 1).Owned, "the end of the former owner changes nothing")
	}},
	{"a sender may have several owners, and each keeps what it has claimed", func(f nodesFixture) {
		a, b := f.node(), f.node()
		a.put(sender, "m-1", "m-2")
		for _, n := range []*sharedNode{a, b} {
			other, _ := n.attach(sender, 1, false)
			assert.Zero(f, other)
		}
		assert.Equal(f, []string{"m-1"}, a.claim(sender, 1, 1))
		assert.Equal(f, []string{"m-2"}, b.claim(sender, 1, 1))
		owners, err := a.Owners(context.Background(), []store.Key{sender, device})
		require.NoError(f, err)
		require.Len(f, owners, 2)
		assert.ElementsMatch(f, []store.NodeID{a.id, b.id}, owners[0])
		assert.Empty(f, owners[1])
		a.detach(sender, 1, 0)
		assert.Equal(f, []string{"m-1"}, b.claim(sender, 1, 10))
	}},
	{"a queue that is detached has all its entries again", func(f nodesFixture) {
		a, b := f.node(), f.node()
		a.attach(device, 1, false)
		a.put(device, "m-1", "m-2", "m-3")
		require.Equal(f, []string{"m-1", "m-2"}, a.claim(device, 1, 2))
		a.detach(device, 1, 0)
		a.detach(device, 1, 0)
		other, _ := b.attach(device, 2, false)
		assert.Zero(f, other)
		assert.Equal(f, []string{"m-1", "m-2", "m-3"}, b.claim(device, 2, 10))
	}},
	{"a device that any node has is limited as connected", func(f nodesFixture) {
		a, b := f.node(), f.node()
		results := func(k store.Key) (all []store.Result) {
			for _, o := range b.put(k, "1", "2", "3", "4", "5") {
				all = append(all, o.Result)
			}
			return all
		}
		connected := []store.Result{store.Stored, store.Stored, store.Stored, store.Stored, store.Refused}
		a.attach(device, 1, false)
		assert.Equal(f, connected, results(device))
		a.attach(another, 2, false)
		a.detach(another, 2, time.Minute)
		assert.Equal(f, connected, results(another), "it may be back in a moment")
		third := store.Key{Kind: store.KindDevice, ID: 3}
		a.attach(third, 3, false)
		a.detach(third, 3, 0)
		assert.Equal(f, store.Discarded, results(third)[2])
	}},
	{"a node's queues are taken over in batches, and nothing else is", func(f nodesFixture) {
		dead, alive, heir := f.node(), f.node(), f.node()
		const devices = 5
		for i := range devices {
			k := store.Key{Kind: store.KindDevice, ID: uint64(100 + i)}
			dead.attach(k, 1, false)
			heir.put(k, "m")
			require.Equal(f, []string{"m"}, dead.claim(k, 1, 1))
		}
		heir.put(sender, "1", "2")
		for _, n := range []*sharedNode{dead, alive} {
			n.attach(sender, 7, false)
			require.Len(f, n.claim(sender, 7, 1), 1)
		}
		queues, batches := 0, 0
		for {
			n := heir.takeOver(dead.id, 2, time.Minute)
			if n == 0 {
				break
			}
			assert.LessOrEqual(f, n, 2)
			queues, batches = queues+n, batches+1
		}
		assert.Equal(f, devices+1, queues)
		assert.Equal(f, devices/2+1, batches)
		owners, err := heir.Owners(context.Background(), []store.Key{sender, {Kind: store.KindDevice, ID: 100}})
		require.NoError(f, err)
		assert.Equal(f, []store.NodeID{alive.id}, owners[0])
		assert.Empty(f, owners[1])
		for i := range devices {
			k := store.Key{Kind: store.KindDevice, ID: uint64(100 + i)}
			for _, o := range heir.put(k, "n", "n") {
				assert.Equal(f, store.Stored, o.Result, "the device may be back in a moment")
			}
			heir.attach(k, 2, false)
			assert.Equal(f, []string{"m", "n", "n"}, heir.claim(k, 2, 10))
			dead.mayNotClaimOrNothing(k, 1)
		}
		heir.attach(sender, 8, false)
		assert.Equal(f, []string{"1"}, heir.claim(sender, 8, 10), "what the node that is alive has claimed stays with it")
	}},
	{"a check says whose a queue is and whether it has entries", func(f nodesFixture) {
		a, b := f.node(), f.node()
		a.attach(device, 1, false)
		assert.Equal(f, store.QueueState{Known: true, Owned: true}, a.check(device, 1))
		assert.Equal(f, store.QueueState{Known: true, Other: true}, b.check(device, 1))
		a.put(device, "m")
		assert.Equal(f, store.QueueState{Known: true, Owned: true, Waiting: true}, a.check(device, 1))
		a.claim(device, 1, 1)
		assert.Equal(f, store.QueueState{Known: true, Owned: true}, a.check(device, 1))
		assert.Equal(f, store.QueueState{Known: true}, a.check(another, 1))
	}},
	{"the owners of a queue that has more are named", func(f nodesFixture) {
		a, b := f.node(), f.node()
		a.put(sender, "m-1")
		assert.Empty(f, a.toldOf())
		a.attach(sender, 1, false)
		b.attach(sender, 2, false)
		a.put(sender, "m-2")
		both := map[told]int{{sender, a.id}: 1, {sender, b.id}: 1}
		assert.Equal(f, both, a.toldOf())
		require.Len(f, a.claim(sender, 1, 10), 2)
		a.detach(sender, 1, 0)
		assert.Contains(f, a.toldOf(), told{sender, b.id}, "what a was given is b's now")
		assert.Empty(f, b.toldOf(), "it has put nothing")
	}},
	{"hints reach the node that they are for", func(f nodesFixture) {
		a, b := f.node(), f.node()
		ctx, cancel := context.WithCancel(context.Background())
		heard, ended := make(chan store.Hint, 1000), make(chan error, 1)
		go func() { ended <- b.Subscribe(ctx, b.id, func(h store.Hint) { heard <- h }) }()
		entry := store.Entry{Key: device, Rank: store.RankHigh, App: "app", Accepted: start, Body: []byte("body")}
		hints := []store.Hint{
			{To: b.id, Kind: store.HintWaiting, Keys: []store.Key{device, sender}},
			{To: b.id, Kind: store.HintTakeOver, Keys: []store.Key{device}, Lease: 1 << 63},
			{To: b.id, Kind: store.HintOffer, Entry: entry},
			{To: b.id, Kind: store.HintProjectChanged, Project: "126200347933"},
			{To: a.id, Kind: store.HintProjectChanged, Project: "not for b"},
		}
		require.Eventually(f, func() bool { // as soon as b listens
			require.NoError(f, a.Publish(context.Background(), hints))
			return len(heard) >= len(hints)-1
		}, 10*time.Second, 20*time.Millisecond)
		for i := range hints[:len(hints)-1] {
			got, want := <-heard, hints[i]
			assert.Equal(f, want.Kind, got.Kind, "%d", i)
			assert.Equal(f, want.Lease, got.Lease, "%d", i)
			assert.Equal(f, want.Project, got.Project, "%d", i)
			if want.Kind != store.HintOffer {
				assert.Equal(f, want.Keys, got.Keys, "%d", i)
				continue
			}
			assert.Equal(f, want.Entry.Key, got.Entry.Key)
			assert.Equal(f, string(want.Entry.Body), string(got.Entry.Body))
			assert.True(f, want.Entry.Accepted.Equal(got.Entry.Accepted))
			assert.Zero(f, got.Entry.ID)
		}
		cancel()
		require.Error(f, <-ended)
	}},
	{"changes of the membership from all sides are all written", func(f nodesFixture) {
		const each = 20
		nodes := []*sharedNode{f.node(), f.node()}
		done := make(chan error, len(nodes))
		for i, n := range nodes {
			go func() {
				for j := range each {
					for {
						from, err := n.Members(context.Background())
						if err != nil {
							done <- err
							return
						}
						to := from.Clone()
						to.Live["shared"] = time.UnixMilli(from.Live["shared"].UnixMilli() + 1)
						to.Live[store.NodeID(fmt.Sprint(i, j))] = from.Now
						if from.Live["shared"].IsZero() {
							to.Live["shared"] = time.UnixMilli(1)
						}
						ok, err := n.UpdateMembers(context.Background(), from, to)
						if err != nil {
							done <- err
							return
						}
						if ok {
							break
						}
					}
				}
				done <- nil
			}()
		}
		for range nodes {
			require.NoError(f, <-done)
		}
		m := nodes[0].members()
		assert.Len(f, m.Live, len(nodes)*each+1)
		assert.EqualValues(f, len(nodes)*each, m.Live["shared"].UnixMilli())
	}},
}

// mayNotClaimOrNothing fails the test if a lease that has lost its queue claims an entry.
func (n *sharedNode) mayNotClaimOrNothing(k store.Key, l store.Lease) {
	n.t.Helper()
	entries, err := n.Claim(context.Background(), k, l, 10, start)
	if err != nil {
		require.ErrorIs(n.t, err, store.ErrTakenOver)
	}
	assert.Empty(n.t, entries)
}
