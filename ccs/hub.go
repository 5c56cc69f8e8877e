package ccs

import (
	"slices"
	"sync"

	"github.com/openccs/openccs/store"
)

// hub is the sessions attached to one queue. A device has one at most, a sender any number.
type hub struct {
	shared *sharedQueue // what the sessions share; nil where there is one at most

	mu        sync.Mutex
	mailboxes []*mailbox
	next      int // whose turn to be woken first
}

// joinAlone adds a mailbox that has its queue for itself, or returns the one that stands in the way.
func (r *Router) joinAlone(m *mailbox) (older *mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hubs[m.key]
	if h == nil {
		h = &hub{}
		r.hubs[m.key] = h
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mailboxes) > 0 {
		return h.mailboxes[0]
	}
	h.mailboxes = append(h.mailboxes, m)
	delete(r.returning, m.key)
	return nil
}

// leave takes the mailbox from its hub, and reports whether it was the last.
func (r *Router) leave(m *mailbox) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hubs[m.key]
	h.mu.Lock()
	defer h.mu.Unlock()
	return r.remove(h, m)
}

// remove takes the mailbox from its hub. The caller must hold r.mu and h.mu.
func (r *Router) remove(h *hub, m *mailbox) (last bool) {
	if i := slices.Index(h.mailboxes, m); i >= 0 {
		h.mailboxes = slices.Delete(h.mailboxes, i, i+1)
	}
	if len(h.mailboxes) > 0 {
		return false
	}
	delete(r.hubs, m.key)
	return true
}

func (r *Router) hub(k store.Key) *hub {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.hubs[k]
}

// wake lets one session of the queue claim: the first that can, in turn.
func (r *Router) wake(k store.Key) { r.wakeFirst(k, 0) }

// wakeFirst is wake that asks the session with the lease before the others.
func (r *Router) wakeFirst(k store.Key, preferred store.Lease) {
	h := r.hub(k)
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if preferred != 0 {
		for _, m := range h.mailboxes {
			if m.lease == preferred && m.session.Wake() {
				return
			}
		}
	}
	for range h.mailboxes {
		h.next = (h.next + 1) % len(h.mailboxes)
		if h.mailboxes[h.next].session.Wake() {
			return
		}
	}
}

// offer hands a message that is never stored to a session that is there now (CCS 5.2). False if there
// is none, or if it has too many of them to write.
func (r *Router) offer(e store.Entry) bool {
	h := r.hub(e.Key)
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for range h.mailboxes {
		h.next = (h.next + 1) % len(h.mailboxes)
		if m := h.mailboxes[h.next]; m.push(e) {
			m.session.Wake()
			return true
		}
	}
	return false
}
