package cluster

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
)

// maxOwed bounds the sessions that have ended while the store was away.
const maxOwed = 100_000

// leases holds the attached queues of this node's sessions, and the queues that must still be
// detached.
type leases struct {
	mu       sync.Mutex
	attached map[store.Attachment]struct{}
	// owed has the ended sessions, and how long their devices count as connected.
	owed map[store.Key]map[store.Lease]time.Duration
	owes int // number of sessions in owed
}

func (l *leases) init() {
	l.attached = make(map[store.Attachment]struct{})
	l.owed = make(map[store.Key]map[store.Lease]time.Duration)
}

// add notes that a queue was attached.
func (l *leases) add(a store.Attachment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attached[a] = struct{}{}
	l.forget(a)
}

// remove notes that the session of a queue has ended.
func (l *leases) remove(a store.Attachment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.attached, a)
}

// has reports whether a queue is attached.
func (l *leases) has(a store.Attachment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.attached[a]
	return ok
}

// all lists the attached queues.
func (l *leases) all() []store.Attachment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.attached))
}

// owe remembers that a queue must still be detached. It returns false if there are too many.
func (l *leases) owe(a store.Attachment, back time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owes >= maxOwed {
		return false
	}
	l.forget(a)
	if l.owed[a.Key] == nil {
		l.owed[a.Key] = make(map[store.Lease]time.Duration)
	}
	l.owed[a.Key][a.Lease] = back
	l.owes++
	return true
}

// forget removes a session from owed. The caller must hold l.mu.
func (l *leases) forget(a store.Attachment) {
	of := l.owed[a.Key]
	if _, ok := of[a.Lease]; !ok {
		return
	}
	l.owes--
	if delete(of, a.Lease); len(of) == 0 {
		delete(l.owed, a.Key)
	}
}

// paid notes that a queue was detached.
func (l *leases) paid(a store.Attachment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(a)
}

// owedOf lists the owed sessions of one queue.
func (l *leases) owedOf(k store.Key) map[store.Lease]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.owed[k])
}

// allOwed lists the owed sessions of all queues.
func (l *leases) allOwed() map[store.Attachment]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[store.Attachment]time.Duration, l.owes)
	for k, of := range l.owed {
		for lease, back := range of {
			all[store.Attachment{Key: k, Lease: lease}] = back
		}
	}
	return all
}

// reset forgets everything and returns the queues that were attached.
func (l *leases) reset() []store.Attachment {
	l.mu.Lock()
	defer l.mu.Unlock()
	attached := slices.Collect(maps.Keys(l.attached))
	clear(l.attached)
	clear(l.owed)
	l.owes = 0
	return attached
}
