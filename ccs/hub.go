package ccs

import (
	"slices"
	"sync"

	"github.com/openccs/openccs/store"
)

// hub holds the sessions that are attached to one queue: at most one of a device, any number of a
// sender.
type hub struct {
	shared *sharedQueue // state that the sessions share; nil for a device

	mu        sync.Mutex
	mailboxes []*mailbox
	next      int // index of the session to wake first
}

// joinAlone adds the mailbox of a device, or returns the older one that is still in the hub.
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

// leave removes the mailbox from its hub, and reports whether it was the last.
func (r *Router) leave(m *mailbox) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hubs[m.key]
	h.mu.Lock()
	defer h.mu.Unlock()
	return r.remove(h, m)
}

// remove removes the mailbox from its hub. The caller must hold r.mu and h.mu.
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

// wake makes one session of the queue claim: the first that can, in rotation.
func (r *Router) wake(k store.Key) { r.wakeFirst(k, 0) }

// wakeFirst is wake, but it asks the session with the preferred lease first.
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

// offer gives a message that is never stored to a session that is attached now (CCS 5.2). It
// returns false if there is none, or if too many such messages wait for it.
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
