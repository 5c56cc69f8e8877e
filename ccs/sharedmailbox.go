package ccs

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/openccs/openccs/store"
)

// The sessions of a sender share its queue (CCS 4.4). One of them at a time claims, under the lease
// of the queue, and distributes the entries. An upstream message goes to the session that its
// registration token hashes to, so that the messages of one app instance stay in order. A receipt
// goes to the session that sent the message. A session without room is skipped. The entries of a
// session that ends go to the others; the last session releases them to the store.

// sharedQueue is the state that the sessions of one queue share. It belongs to the queue's hub,
// whose mu guards it.
type sharedQueue struct {
	lease    store.Lease // all claims of the queue on this node use it
	members  []*SharedMailbox
	claiming bool // a session is claiming from the store
	again    bool // another session wanted to claim since then
}

// SharedMailbox is a Mailbox of a sender's queue, which any number of sessions share.
type SharedMailbox struct {
	mailbox
	session SharedSession
	hub     *hub // the hub of the queue

	// hub.mu guards these.
	assigned map[store.ID]*store.Entry // entries of the session that are not acknowledged
	unread   []store.Entry             // those of assigned that it has not claimed yet
}

// AttachShared gives the session of an app server the queue k of its sender. It waits until the
// last session of the queue has released its entries: those are older, and newer ones would
// overtake them.
func (r *Router) AttachShared(ctx context.Context, k store.Key, s SharedSession) (*SharedMailbox, error) {
	m := &SharedMailbox{session: s, assigned: make(map[store.ID]*store.Entry)}
	m.init(r, k, s)
	for {
		leaving := r.joinShared(m)
		if leaving == nil {
			break
		}
		if err := leaving.wait(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.attachNode(ctx, &m.mailbox); err != nil {
		m.Detach(ctx)
		return nil, err
	}
	return m, nil
}

// joinShared adds a mailbox to its hub, or returns the last mailbox of the queue that is still
// releasing its claims.
func (r *Router) joinShared(m *SharedMailbox) (leaving *mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leaving := r.leaving[m.key]; leaving != nil {
		return leaving
	}
	h := r.hubs[m.key]
	if h == nil {
		h = &hub{shared: &sharedQueue{lease: store.Lease(r.leases.Add(1))}}
		r.hubs[m.key] = h
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mailboxes = append(h.mailboxes, &m.mailbox)
	h.shared.members = append(h.shared.members, m)
	m.hub, m.claims = h, h.shared.lease
	return nil
}

// leaveShared removes the mailbox from its hub, and reports whether it was the last. Its entries go
// to the other sessions.
func (r *Router) leaveShared(m *SharedMailbox) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.shared.members, m); i >= 0 {
		h.shared.members = slices.Delete(h.shared.members, i, i+1)
	}
	if r.remove(h, &m.mailbox) {
		r.leaving[m.key] = &m.mailbox
		return true
	}
	h.shared.redistribute(m)
	return false
}

// Shared reports whether the queue has another session.
func (m *SharedMailbox) Shared() bool {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	return len(m.hub.shared.members) > 1
}

// Claim implements Mailbox.
func (m *SharedMailbox) Claim(ctx context.Context, max int) ([]store.Entry, error) {
	claimed, err := m.claimVolatile(max)
	if err != nil || len(claimed) == max {
		return claimed, err
	}
	stored, err := m.claimStored(ctx, max-len(claimed))
	return append(claimed, stored...), err
}

// Open implements Mailbox.
func (m *SharedMailbox) Open(ctx context.Context, e *store.Entry, d *Delivery) bool {
	return m.router.open(ctx, m, e, d)
}

// Ack implements Mailbox.
func (m *SharedMailbox) Ack(ctx context.Context, ids ...store.ID) error {
	return m.End(ctx, Acknowledged, ids...)
}

// End implements Mailbox.
func (m *SharedMailbox) End(ctx context.Context, how End, ids ...store.ID) error {
	if len(ids) == 0 {
		return nil
	}
	m.unassign(ids)
	return m.forget(ctx, how, ids)
}

// Forget implements Mailbox.
func (m *SharedMailbox) Forget(ctx context.Context, f *Finished) error {
	return m.router.finish(ctx, m, f)
}

// Detach implements Mailbox.
func (m *SharedMailbox) Detach(ctx context.Context) {
	ctx, cancel := m.end(ctx)
	defer cancel()
	r := m.router
	if r.leaveShared(m) {
		m.forgetAll()
		m.giveBack(ctx)
		r.mu.Lock()
		delete(r.leaving, m.key)
		r.mu.Unlock()
	}
	m.left()
}

var dealSeed = maphash.MakeSeed()

// claimStored takes at most max entries that were assigned to the session or wait in the store.
func (m *SharedMailbox) claimStored(ctx context.Context, max int) (mine []store.Entry, err error) {
	h, q := m.hub, m.hub.shared
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(max, len(m.unread))
	mine = append(mine, m.unread[:n]...)
	m.unread = slices.Delete(m.unread, 0, n)
	for len(mine) < max {
		if q.claiming {
			q.again = true // the claiming session looks once more
			return mine, nil
		}
		q.claiming, q.again = true, false
		want := max - len(mine)
		h.mu.Unlock()
		entries, err := m.router.store.Claim(ctx, m.key, q.lease, want, m.router.clock.Now())
		h.mu.Lock()
		q.claiming = false
		if err != nil {
			q.wakeAnother(m)
			return mine, fmt.Errorf("claim %s: %w", m.key, err)
		}
		mine = q.distribute(m, entries, mine)
		if len(entries) < want && !q.again {
			return mine, nil
		}
	}
	q.wakeAnother(m) // there may be more than m has room for
	return mine, nil
}

// distribute assigns entries to sessions, and appends those of m to mine. The caller must hold
// m.hub.mu.
func (q *sharedQueue) distribute(m *SharedMailbox, entries, mine []store.Entry) []store.Entry {
	if len(q.members) == 1 && len(mine) == 0 {
		mine = entries[:0]
	}
	m.router.tally.claimed(DirectionOf(m.key), len(entries))
	for i := range entries {
		t := m
		if len(q.members) > 1 {
			t = q.choose(&entries[i], m)
		}
		// mine has the entry at the same place, or in another array.
		t.assigned[entries[i].ID] = &entries[i]
		if t == m {
			mine = append(mine, entries[i])
			continue
		}
		t.unread = append(t.unread, entries[i])
		t.session.Wake()
	}
	return mine
}

// choose returns the session for an entry, or otherwise if no better one has room. The caller must
// hold m.hub.mu.
func (q *sharedQueue) choose(e *store.Entry, otherwise *SharedMailbox) *SharedMailbox {
	var msg Message
	if msg.Decode(e.Body) != nil {
		return otherwise // it logs the entry and drops it
	}
	best, bestScore := otherwise, uint64(0)
	for _, t := range q.members {
		if t != otherwise && t.session.Room() <= len(t.unread) {
			continue
		}
		if msg.Kind == ReceiptNote {
			if t.Lease() == msg.Origin {
				return t
			}
			continue
		}
		// Rendezvous hashing: when a session comes or goes, only its own share moves.
		score := maphash.Comparable(dealSeed, struct {
			token string
			lease store.Lease
		}{msg.From, t.Lease()})
		if score >= bestScore {
			best, bestScore = t, score
		}
	}
	return best
}

// redistribute assigns the unacknowledged entries of m to the other sessions. m must have no room,
// or must have left the members. The caller must hold m.hub.mu.
func (q *sharedQueue) redistribute(m *SharedMailbox) {
	rest := slices.SortedFunc(maps.Values(m.assigned), func(a, b *store.Entry) int { return cmp.Compare(a.ID, b.ID) })
	clear(m.assigned)
	m.unread = nil
	for _, e := range rest {
		otherwise := q.members[0]
		if otherwise == m {
			otherwise = q.members[len(q.members)-1]
		}
		t := q.choose(e, otherwise)
		t.assigned[e.ID] = e
		t.unread = append(t.unread, *e)
		t.session.Wake()
	}
	for _, t := range q.members {
		// Older entries go first, even if newer ones of the same device were assigned before.
		slices.SortFunc(t.unread, func(a, b store.Entry) int { return cmp.Compare(a.ID, b.ID) })
	}
}

// wakeAnother makes another session than m claim, if one can. The caller must hold m.hub.mu.
func (q *sharedQueue) wakeAnother(m *SharedMailbox) {
	for _, t := range q.members {
		if t != m && t.session.Room() > 0 && t.session.Wake() {
			return
		}
	}
}

// unassign removes acknowledged entries.
func (m *SharedMailbox) unassign(ids []store.ID) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	before := len(m.assigned)
	for _, id := range ids {
		delete(m.assigned, id)
	}
	m.router.tally.claimed(DirectionOf(m.key), len(m.assigned)-before)
}

// forgetAll removes all entries of the queue's last session.
func (m *SharedMailbox) forgetAll() {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	m.router.tally.claimed(DirectionOf(m.key), -len(m.assigned))
	clear(m.assigned)
}

// Redistribute gives the session's unacknowledged entries to the other sessions of the queue. The
// session goes on, and must have no room.
func (m *SharedMailbox) Redistribute() {
	m.hub.mu.Lock()
	others := len(m.hub.shared.members) > 1
	if others {
		m.hub.shared.redistribute(m)
	}
	m.hub.mu.Unlock()
	if others {
		m.router.tellReleased(&m.mailbox, CodePhantom)
	}
}
