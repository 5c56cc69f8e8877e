package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// notesKept is how long Redis keeps the note of the queues that a node has claimed from. A live
// node renews it.
const notesKept = 24 * time.Hour

var (
	noteScript   = load("note")
	unnoteScript = load("unnote")
)

// leases records which leases may hold entries of which queues.
type leases struct {
	mu     sync.Mutex
	queues map[store.Key]*leasedQueue
}

// leasedQueue is a queue from which leases have claimed. held.mu guards its fields.
type leasedQueue struct {
	leases []leaseState
	note   uint64 // number of its newest note
}

type leaseState struct {
	lease store.Lease
	noted bool // the note is known to be in Redis
	doubt bool // a claim that no call waits for may still arrive in Redis

	lost string // number of the last claim whose reply was lost, or ""
}

// find returns a lease, or nil if it holds nothing. The caller must hold h.mu.
func (h *leases) find(k store.Key, l store.Lease) *leaseState {
	q := h.queues[k]
	if q == nil {
		return nil
	}
	for i := range q.leases {
		if q.leases[i].lease == l {
			return &q.leases[i]
		}
	}
	return nil
}

// nodeQueuesKey returns the key of the queues from which a node has claimed, each with the number
// of its note.
func (s *Store) nodeQueuesKey(node store.NodeID) string { return s.key(nodeTag(node), "q") }

// noteLease notes in Redis that a lease may hold entries of a queue, unless the note is known to be
// there.
func (s *Store) noteLease(ctx context.Context, k store.Key, l store.Lease) error {
	h := &s.leases
	h.mu.Lock()
	known := h.find(k, l)
	if known != nil && known.noted {
		h.mu.Unlock()
		return nil
	}
	q := h.queues[k]
	if q == nil {
		q = &leasedQueue{}
		h.queues[k] = q
	}
	if known == nil {
		q.leases = append(q.leases, leaseState{lease: l})
	}
	q.note = s.number.Add(1)
	note := q.note
	h.mu.Unlock()

	c := &transport.Call{
		Script: noteScript, Keys: []string{s.nodeQueuesKey(s.node())}, Safe: true,
		Args: []any{k.String(), note, notesKept.Milliseconds()}, Hasty: !isShared(k),
	}
	err := s.transport.Run(ctx, c)
	if !isShared(k) && errors.Is(err, store.ErrUnavailable) {
		// The device's next session gives these entries back even without the note, and the next
		// claim tries to note again.
		return nil
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		known.noted = true
	}
	return nil
}

// dropLease forgets a released lease, and the note if the queue has no other lease. A note that was
// made since then has a higher number and stays.
func (s *Store) dropLease(ctx context.Context, k store.Key, l store.Lease) error {
	h := &s.leases
	h.mu.Lock()
	q := h.queues[k]
	if q == nil {
		h.mu.Unlock()
		return nil
	}
	for i := range q.leases {
		if q.leases[i].lease == l {
			q.leases = append(q.leases[:i], q.leases[i+1:]...)
			break
		}
	}
	last := len(q.leases) == 0
	if last {
		delete(h.queues, k)
	}
	note := q.note
	h.mu.Unlock()
	if !last {
		return nil
	}
	c := &transport.Call{Script: unnoteScript, Keys: []string{s.nodeQueuesKey(s.node())}, Args: []any{k.String(), note}, Safe: true}
	return s.transport.RunClosing(ctx, []*transport.Call{c})
}

// markLost records that the reply to the claim with that number was lost.
func (h *leases) markLost(k store.Key, l store.Lease, number string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		known.doubt, known.lost = true, number
	}
}

// lostCall returns the number of the claim whose reply was lost, or "".
func (h *leases) lostCall(k store.Key, l store.Lease) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		return known.lost
	}
	return ""
}

// recovered records that the entries of that claim were claimed again.
func (h *leases) recovered(k store.Key, l store.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		known.lost = ""
	}
}

func (h *leases) isLost(k store.Key, l store.Lease) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.find(k, l)
	return known != nil && known.doubt
}

// releaseAll ends all leases.
func (s *Store) releaseAll(ctx context.Context) error {
	type one struct {
		key   store.Key
		lease store.Lease
	}
	var all []one
	s.leases.mu.Lock()
	for k, q := range s.leases.queues {
		for _, l := range q.leases {
			all = append(all, one{k, l.lease})
		}
	}
	s.leases.mu.Unlock()

	next := make(chan one)
	var errs [releasers]error
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for o := range next {
				errs[i] = firstOf(errs[i], s.release(ctx, o.key, o.lease))
			}
		})
	}
	for _, o := range all {
		next <- o
	}
	close(next)
	workers.Wait()
	return errors.Join(errs[:]...)
}

// releasers is how many leases are released at once.
const releasers = 64

// forgetLeases forgets all leases, because other nodes give back their entries.
func (s *Store) forgetLeases() {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	clear(s.leases.queues)
}
