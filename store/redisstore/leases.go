package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// notesKept is how long Redis remembers from which queues a node has claimed. A node that lives renews it.
const notesKept = 24 * time.Hour

var (
	noteScript   = load("note")
	unnoteScript = load("unnote")
)

// held is which leases may hold entries of which queues.
type held struct {
	mu     sync.Mutex
	queues map[store.Key]*heldQueue
}

// heldQueue is a queue from which leases have claimed. Its fields belong to whoever holds the lock.
type heldQueue struct {
	leases []heldLease
	note   uint64 // the number of the last note of it
}

type heldLease struct {
	lease store.Lease
	noted bool // and the note is known to be in Redis
	doubt bool // a claim may still arrive there that nobody waits for

	lost string // the number of the last claim whose reply was lost, "" for none
}

// find returns a lease, nil if it holds nothing. It is called under the lock.
func (h *held) find(k store.Key, l store.Lease) *heldLease {
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

// notesKey is the key of the queues from which a node has claimed, each with the number of its note.
func (s *Store) notesKey(node store.NodeID) string { return s.key(nodeTag(node), "q") }

// hold notes in Redis that a lease may hold entries of a queue, if that is not known.
func (s *Store) hold(ctx context.Context, k store.Key, l store.Lease) error {
	h := &s.held
	h.mu.Lock()
	known := h.find(k, l)
	if known != nil && known.noted {
		h.mu.Unlock()
		return nil
	}
	q := h.queues[k]
	if q == nil {
		q = &heldQueue{}
		h.queues[k] = q
	}
	if known == nil {
		q.leases = append(q.leases, heldLease{lease: l})
	}
	q.note = s.number.Add(1)
	note := q.note
	h.mu.Unlock()

	c := &transport.Call{
		Script: noteScript, Keys: []string{s.notesKey(s.node())}, Safe: true,
		Args: []any{k.String(), note, notesKept.Milliseconds()}, Hasty: !isShared(k),
	}
	err := s.transport.Run(ctx, c)
	if !isShared(k) && errors.Is(err, store.ErrUnavailable) {
		return nil // a device's next session gives back what this one holds, note or not; the next claim tries again
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

// letGo forgets a lease that was released, and the note if the queue has no other. A note that was made
// meanwhile has a higher number, and stays.
func (s *Store) letGo(ctx context.Context, k store.Key, l store.Lease) error {
	h := &s.held
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
	c := &transport.Call{Script: unnoteScript, Keys: []string{s.notesKey(s.node())}, Args: []any{k.String(), note}, Safe: true}
	return s.transport.RunClosing(ctx, []*transport.Call{c})
}

// doubt notes that the reply to a claim of that number was lost.
func (h *held) doubt(k store.Key, l store.Lease, number string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		known.doubt, known.lost = true, number
	}
}

// lostCall is the number of the claim whose reply was lost, "" for none.
func (h *held) lostCall(k store.Key, l store.Lease) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		return known.lost
	}
	return ""
}

// found notes that what that claim had taken was claimed again.
func (h *held) found(k store.Key, l store.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.find(k, l); known != nil {
		known.lost = ""
	}
}

func (h *held) doubtful(k store.Key, l store.Lease) bool {
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
	s.held.mu.Lock()
	for k, q := range s.held.queues {
		for _, l := range q.leases {
			all = append(all, one{k, l.lease})
		}
	}
	s.held.mu.Unlock()

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

// forgetHeld forgets all leases: others give back what they hold.
func (s *Store) forgetHeld() {
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	clear(s.held.queues)
}
