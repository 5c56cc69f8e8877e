package memstore

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
)

// Shared is a Store that several nodes of one process use, for tests of nodes. Use Share.
type Shared struct {
	store *Store

	mu      sync.Mutex // taken before a shard's lock
	entered uint64     // number of IDs given out
	leases  uint64     // number of leases of the Store given out
	members store.Members
	queues  map[store.Key]*sharedQueue
	ears    map[store.NodeID]map[*hintListener]struct{}
}

// sharedQueue is the state of a queue that the nodes share.
type sharedQueue struct {
	owners []store.Owner // attached leases
	// held has the leases that may have claimed, each with its lease in the Store.
	held map[store.Owner]store.Lease
	back time.Time // until when a device without an owner counts as connected
}

// hintListener is a subscription.
type hintListener struct{ heard func(store.Hint) }

// Share lets several nodes use a store. After that only the nodes may use it.
func Share(s *Store) *Shared {
	return &Shared{
		store: s,
		members: store.Members{
			Live: map[store.NodeID]time.Time{}, Dead: map[store.NodeID]time.Time{}, Released: map[store.NodeID]time.Time{},
		},
		queues: map[store.Key]*sharedQueue{},
		ears:   map[store.NodeID]map[*hintListener]struct{}{},
	}
}

// calls has the methods that a node takes from the Store unchanged. Presence is not among them,
// because it belongs to a store with only one process.
type calls interface {
	store.Store
	store.Forgetter
	store.NewDevices
}

// Node is one node's view of a Shared.
type Node struct {
	calls
	shared *Shared

	// Under shared.mu.
	id      store.NodeID
	waiting func(store.Key, store.NodeID) // nil before Enter
}

var (
	_ store.Store       = (*Node)(nil)
	_ store.Coordinator = (*Node)(nil)
)

// Node returns the store for one more node.
func (s *Shared) Node() *Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &Node{calls: s.store, shared: s}
	n.rename()
	return n
}

// rename gives the node an ID. The caller must hold shared.mu.
func (n *Node) rename() {
	n.shared.entered++
	n.id = store.NodeID("node" + strconv.FormatUint(n.shared.entered, 10))
}

// Close releases the claims of the node and removes it from the live nodes. The store of the other
// nodes stays open.
func (n *Node) Close() error {
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	for k, q := range n.shared.queues {
		n.shared.takeFrom(k, q, n.id)
		n.shared.forget(k, q)
	}
	delete(n.shared.members.Live, n.id)
	return nil
}

// queue returns the state of a queue. The caller must hold s.mu.
func (s *Shared) queue(k store.Key) *sharedQueue {
	q := s.queues[k]
	if q == nil {
		q = &sharedQueue{held: map[store.Owner]store.Lease{}}
		s.queues[k] = q
	}
	return q
}

// forget forgets a queue whose state is empty. The caller must hold s.mu.
func (s *Shared) forget(k store.Key, q *sharedQueue) {
	if len(q.owners)+len(q.held) == 0 && !time.Now().Before(q.back) {
		delete(s.queues, k)
	}
}

// release makes the claims of an owner available again. The caller must hold s.mu.
func (s *Shared) release(k store.Key, q *sharedQueue, o store.Owner) error {
	l, ok := q.held[o]
	if !ok {
		return nil
	}
	delete(q.held, o)
	return s.store.Release(context.Background(), k, l)
}

// takeFrom takes a queue from a node, and reports whether there was anything to take. The caller
// must hold s.mu.
func (s *Shared) takeFrom(k store.Key, q *sharedQueue, n store.NodeID) (any, owned bool) {
	of := func(o store.Owner) bool { return o.Node == n }
	for o := range q.held {
		if of(o) {
			any = true
			_ = s.release(k, q, o) // fails only when the store is closed
		}
	}
	owned = slices.ContainsFunc(q.owners, of)
	q.owners = slices.DeleteFunc(q.owners, of)
	return any || owned, owned
}

// tell calls waiting for each owner of the queues, without a lock.
func (n *Node) tell(keys ...store.Key) {
	type hint struct {
		k store.Key
		n store.NodeID
	}
	var hints []hint
	n.shared.mu.Lock()
	waiting := n.waiting
	for _, k := range keys {
		if q := n.shared.queues[k]; q != nil {
			for _, o := range q.owners {
				hints = append(hints, hint{k, o.Node})
			}
		}
	}
	n.shared.mu.Unlock()
	if waiting != nil {
		for _, h := range hints {
			waiting(h.k, h.n)
		}
	}
}

// Put stores a batch. If a node has a queue, or had it a moment ago, the limits of a connected
// device apply.
func (n *Node) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	batch = slices.Clone(batch)
	n.shared.mu.Lock()
	for i := range batch {
		e := &batch[i]
		q := n.shared.queues[e.Key]
		if e.Limit.Connected > 0 && q != nil && (len(q.owners) > 0 || time.Now().Before(q.back)) {
			e.Limit.Messages, e.Limit.Overflow = e.Limit.Connected, store.Refuse
		}
	}
	outcomes, err := n.shared.store.Put(ctx, batch, now)
	n.shared.mu.Unlock()
	for i := range outcomes {
		if i == 0 || batch[i].Key != batch[i-1].Key {
			n.tell(batch[i].Key)
		}
	}
	return outcomes, err
}

// CopyFanout puts copies as Put does.
func (n *Node) CopyFanout(ctx context.Context, l store.Lease, o *store.Fanout, copies []store.Entry, _ []store.Place, done bool, now time.Time) ([]store.Outcome, error) {
	return n.shared.store.copyFanout(ctx, l, o, done, func() ([]store.Outcome, error) { return n.Put(ctx, copies, now) })
}

// Claim gives entries to a lease of the node.
func (n *Node) Claim(ctx context.Context, k store.Key, l store.Lease, max int, now time.Time) ([]store.Entry, error) {
	s := n.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	me, q := store.Owner{Node: n.id, Lease: l}, s.queue(k)
	defer s.forget(k, q)
	if n.waiting != nil && !slices.Contains(q.owners, me) {
		return nil, store.ErrTakenOver
	}
	held, ok := q.held[me]
	if !ok {
		s.leases++
		held = store.Lease(s.leases)
		q.held[me] = held
	}
	return n.shared.store.Claim(ctx, k, held, max, now)
}

// Release ends a lease of the node.
func (n *Node) Release(_ context.Context, k store.Key, l store.Lease) error {
	n.shared.mu.Lock()
	q := n.shared.queue(k)
	err := n.shared.release(k, q, store.Owner{Node: n.id, Lease: l})
	n.shared.forget(k, q)
	n.shared.mu.Unlock()
	n.tell(k)
	return err
}

// Enter implements store.Membership.
func (n *Node) Enter(waiting func(k store.Key, n store.NodeID)) store.NodeID {
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	n.rename()
	n.waiting = waiting
	return n.id
}

// Members implements store.Membership.
func (n *Node) Members(ctx context.Context) (*store.Members, error) {
	if err := n.shared.store.usable(ctx); err != nil {
		return nil, err
	}
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	m := n.shared.members.Clone()
	m.Now = time.Now().Truncate(time.Millisecond)
	return m, nil
}

// UpdateMembers implements store.Membership.
func (n *Node) UpdateMembers(ctx context.Context, from, to *store.Members) (bool, error) {
	if err := n.shared.store.usable(ctx); err != nil {
		return false, err
	}
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	has := &n.shared.members
	changed := map[store.NodeID]struct{}{}
	for i, was := range times(from) {
		is := times(to)[i]
		for node := range union(was, is) {
			if !sameTime(was, is, node) {
				changed[node] = struct{}{}
			}
		}
	}
	for node := range changed {
		for i, was := range times(from) {
			if !sameTime(was, times(has)[i], node) {
				return false, nil
			}
		}
	}
	for node := range changed {
		for i, is := range times(to) {
			if t, ok := is[node]; ok {
				times(has)[i][node] = t
			} else {
				delete(times(has)[i], node)
			}
		}
	}
	return true, nil
}

func times(m *store.Members) [3]map[store.NodeID]time.Time {
	return [...]map[store.NodeID]time.Time{m.Live, m.Dead, m.Released}
}

func union(a, b map[store.NodeID]time.Time) map[store.NodeID]time.Time {
	all := maps.Clone(b)
	if all == nil {
		all = map[store.NodeID]time.Time{}
	}
	maps.Copy(all, a)
	return all
}

func sameTime(a, b map[store.NodeID]time.Time, n store.NodeID) bool {
	at, aok := a[n]
	bt, bok := b[n]
	return aok == bok && at.Equal(bt)
}

// AttachQueue implements store.Ownership.
func (n *Node) AttachQueue(ctx context.Context, a store.Attachment, force bool) (other, taken store.Owner, err error) {
	if err := n.shared.store.usable(ctx); err != nil {
		return other, taken, err
	}
	s := n.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	me, q := store.Owner{Node: n.id, Lease: a.Lease}, s.queue(a.Key)
	if slices.Contains(q.owners, me) {
		return other, taken, nil
	}
	if a.Key.Kind == store.KindDevice && len(q.owners) > 0 {
		if !force {
			return q.owners[0], taken, nil
		}
		taken = q.owners[0]
		q.owners = nil
		err = s.release(a.Key, q, taken)
	}
	q.owners, q.back = append(q.owners, me), time.Time{}
	return other, taken, err
}

// DetachQueue implements store.Ownership.
func (n *Node) DetachQueue(ctx context.Context, a store.Attachment, back time.Duration) error {
	if err := n.shared.store.usable(ctx); err != nil {
		return err
	}
	s := n.shared
	s.mu.Lock()
	me, q := store.Owner{Node: n.id, Lease: a.Lease}, s.queue(a.Key)
	err := s.release(a.Key, q, me)
	owners := len(q.owners)
	q.owners = slices.DeleteFunc(q.owners, func(o store.Owner) bool { return o == me })
	if owners > 0 && len(q.owners) == 0 {
		q.back = time.Now().Add(back)
	}
	s.forget(a.Key, q)
	s.mu.Unlock()
	n.tell(a.Key)
	return err
}

// CheckQueues implements store.Ownership.
func (n *Node) CheckQueues(ctx context.Context, attached []store.Attachment) ([]store.QueueState, error) {
	if err := n.shared.store.usable(ctx); err != nil {
		return nil, err
	}
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	states := make([]store.QueueState, len(attached))
	for i, a := range attached {
		q := n.shared.queue(a.Key)
		n.shared.forget(a.Key, q)
		owned := slices.Contains(q.owners, store.Owner{Node: n.id, Lease: a.Lease})
		states[i] = store.QueueState{Known: true, Owned: owned, Other: !owned && len(q.owners) > 0, Waiting: n.shared.store.waits(a.Key)}
	}
	return states, nil
}

// waits reports whether an entry of a queue may be claimed.
func (s *Store) waits(k store.Key) bool {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[k]
	return q != nil && slices.ContainsFunc(q.waiting[:], func(l list) bool { return l.first != nil })
}

// Owners implements store.Ownership.
func (n *Node) Owners(ctx context.Context, keys []store.Key) ([][]store.NodeID, error) {
	if err := n.shared.store.usable(ctx); err != nil {
		return nil, err
	}
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	owners := make([][]store.NodeID, len(keys))
	for i, k := range keys {
		if q := n.shared.queues[k]; q != nil {
			for _, o := range q.owners {
				owners[i] = append(owners[i], o.Node)
			}
		}
	}
	return owners, nil
}

// TakeOver implements store.Ownership.
func (n *Node) TakeOver(ctx context.Context, from store.NodeID, max int, back time.Duration) (queues int, err error) {
	if err := n.shared.store.usable(ctx); err != nil {
		return 0, err
	}
	n.shared.mu.Lock()
	defer n.shared.mu.Unlock()
	for k, q := range n.shared.queues {
		if queues == max {
			break
		}
		any, owned := n.shared.takeFrom(k, q, from)
		if any {
			queues++
		}
		if owned {
			q.back = time.Now().Add(back)
		}
		n.shared.forget(k, q)
	}
	return queues, nil
}

// Publish implements store.Hints.
func (n *Node) Publish(ctx context.Context, hints []store.Hint) error {
	if err := n.shared.store.usable(ctx); err != nil {
		return err
	}
	for _, h := range hints {
		n.shared.mu.Lock()
		ears := slices.Collect(maps.Keys(n.shared.ears[h.To]))
		n.shared.mu.Unlock()
		for _, e := range ears {
			e.heard(h)
		}
	}
	return nil
}

// Subscribe implements store.Hints.
func (n *Node) Subscribe(ctx context.Context, id store.NodeID, heard func(store.Hint)) error {
	e := &hintListener{heard}
	n.shared.mu.Lock()
	if n.shared.ears[id] == nil {
		n.shared.ears[id] = map[*hintListener]struct{}{}
	}
	n.shared.ears[id][e] = struct{}{}
	n.shared.mu.Unlock()
	defer func() {
		n.shared.mu.Lock()
		defer n.shared.mu.Unlock()
		if delete(n.shared.ears[id], e); len(n.shared.ears[id]) == 0 {
			delete(n.shared.ears, id)
		}
	}()
	<-ctx.Done()
	return ctx.Err()
}
