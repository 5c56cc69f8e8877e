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

// A sender's queue is shared by its sessions (CCS 4.4). One of them at a time claims, under the lease of the
// hub, and deals what it got: an upstream message to the session that its registration hashes to, so that the
// messages of one app instance stay in order; a receipt to the session that sent the message. Who has no room
// is passed over. What a session leaves behind is dealt to the others, and goes back to the store with the
// last of them.

// isShared reports whether a queue may have several sessions.
func isShared(k store.Key) bool { return k.Kind != store.KindDevice }

var dealSeed = maphash.MakeSeed()

// claimShared is Claim for a shared queue.
func (m *Mailbox) claimShared(ctx context.Context, max int) (mine []store.Entry, err error) {
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(max, len(m.handed))
	mine = append(mine, m.handed[:n]...)
	m.handed = slices.Delete(m.handed, 0, n)
	for len(mine) < max {
		if h.claiming {
			h.again = true // the one that claims looks once more
			return mine, nil
		}
		h.claiming, h.again = true, false
		want := max - len(mine)
		h.mu.Unlock()
		entries, err := m.router.store.Claim(ctx, m.key, h.lease, want, m.router.clock.Now())
		h.mu.Lock()
		h.claiming = false
		if err != nil {
			h.wakeOther(m)
			return mine, fmt.Errorf("claim %s: %w", m.key, err)
		}
		mine = h.deal(m, entries, mine)
		if len(entries) < want && !h.again {
			return mine, nil
		}
	}
	h.wakeOther(m) // there may be more than m has room for
	return mine, nil
}

// deal shares entries out, and appends those of m to mine. To be called with h.mu held.
func (h *hub) deal(m *Mailbox, entries, mine []store.Entry) []store.Entry {
	if len(h.mailboxes) == 1 && len(mine) == 0 {
		mine = entries[:0]
	}
	m.router.tally.claimed(DirectionOf(m.key), len(entries))
	for i := range entries {
		t := m
		if len(h.mailboxes) > 1 {
			t = h.pick(&entries[i], m)
		}
		t.held[entries[i].ID] = &entries[i] // mine has it at the same place, or in another array
		if t == m {
			mine = append(mine, entries[i])
			continue
		}
		t.handed = append(t.handed, entries[i])
		t.session.Wake()
	}
	return mine
}

// pick chooses the session for an entry; otherwise is who gets it if no better one has room. To be called
// with h.mu held.
func (h *hub) pick(e *store.Entry, otherwise *Mailbox) *Mailbox {
	var msg Message
	if msg.Decode(e.Body) != nil {
		return otherwise // which says so in its log, and drops it
	}
	best, bestScore := otherwise, uint64(0)
	for _, t := range h.mailboxes {
		if t != otherwise && t.session.Room() <= len(t.handed) {
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

// leaveBehind deals what m has and is not acknowledged to the other sessions. To be called with h.mu held, and
// m no longer among them or without room.
func (h *hub) leaveBehind(m *Mailbox) {
	rest := slices.SortedFunc(maps.Values(m.held), func(a, b *store.Entry) int { return cmp.Compare(a.ID, b.ID) })
	clear(m.held)
	m.handed = nil
	for _, e := range rest {
		otherwise := h.mailboxes[0]
		if otherwise == m {
			otherwise = h.mailboxes[len(h.mailboxes)-1]
		}
		t := h.pick(e, otherwise)
		t.held[e.ID] = e
		t.handed = append(t.handed, *e)
		t.session.Wake()
	}
	for _, t := range h.mailboxes {
		// What is older goes first, also where newer messages of the same device were dealt already.
		slices.SortFunc(t.handed, func(a, b store.Entry) int { return cmp.Compare(a.ID, b.ID) })
	}
}

// wakeOther has another session than m claim, if one can. To be called with h.mu held.
func (h *hub) wakeOther(m *Mailbox) {
	for _, t := range h.mailboxes {
		if t != m && t.session.Room() > 0 && t.session.Wake() {
			return
		}
	}
}

// forgetHeld notes that entries were acknowledged.
func (m *Mailbox) forgetHeld(ids []store.ID) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	before := len(m.held)
	for _, id := range ids {
		delete(m.held, id)
	}
	m.router.tally.claimed(DirectionOf(m.key), len(m.held)-before)
}

// forgetAll notes that the last session of the queue leaves what it had.
func (m *Mailbox) forgetAll() {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	m.router.tally.claimed(DirectionOf(m.key), -len(m.held))
	clear(m.held)
}

// Yield leaves what the session has and did not acknowledge to the other sessions of the queue. The session
// goes on, and has to have no room.
func (m *Mailbox) Yield() {
	m.hub.mu.Lock()
	others := len(m.hub.mailboxes) > 1
	if others {
		m.hub.leaveBehind(m)
	}
	m.hub.mu.Unlock()
	if others {
		m.router.tellReleased(m, CodePhantom)
	}
}
