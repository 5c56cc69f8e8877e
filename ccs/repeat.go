package ccs

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"

	"openccs/stanza"
)

const (
	// repeatFor is how long an identical repeat of a message is known (CCS 4.3).
	repeatFor = 10 * time.Minute
	// maxRepeats bounds the messages that are remembered, twice over. A client has at most its window of
	// messages unanswered when its connection dies, and sends those again at once: that many are enough.
	maxRepeats = 250_000
)

// fingerprint stands for a sender, a message_id and the content of a message. It has 128 bits, because a
// message that is taken for another's repeat would be lost.
type fingerprint [2]uint64

// repeats remembers which messages were accepted, so that an app server that sends one again, after its
// connection died before the answer, gets the answer and the device no second message. It is memory alone:
// over a restart of the server a repeat is a new message, as it was at Google's.
type repeats struct {
	seeds [2]maphash.Seed

	mu         sync.Mutex
	young, old map[fingerprint]struct{}
	turned     time.Time               // when young was begun
	pending    map[fingerprint]claimed // being stored
}

// claimed is a message that a Send has under way.
type claimed struct {
	by    *sendCall
	index int // in its batch
}

// sendCall is one Send, for those who meet its messages again.
type sendCall struct {
	ended chan struct{} // closed when its messages are known or not
}

func newRepeats() *repeats {
	return &repeats{
		seeds:   [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		young:   make(map[fingerprint]struct{}),
		pending: make(map[fingerprint]claimed),
	}
}

// of is the fingerprint of a message.
func (r *repeats) of(from SenderID, m *stanza.Downstream) (f fingerprint) {
	var numbers [16]byte
	binary.LittleEndian.PutUint64(numbers[:], uint64(m.TTL))
	numbers[8] = byte(m.Priority)
	for i, on := range [...]bool{m.DelayWhileIdle, m.ReceiptRequested, m.DryRun, m.ContentAvailable, m.MutableContent} {
		if on {
			numbers[9+i] = 1
		}
	}
	for i := range f {
		var h maphash.Hash
		h.SetSeed(r.seeds[i])
		for _, s := range [...]string{string(from), m.MessageID, m.To, m.CollapseKey, m.RestrictedPackage, string(m.Notification)} {
			h.WriteString(s)
			h.WriteByte(0)
		}
		h.Write(numbers[:])
		h.WriteString(string(m.Data))
		f[i] = h.Sum64()
	}
	return f
}

// repeatState says what a message is to those that were accepted.
type repeatState struct {
	known bool    // it was accepted before
	of    claimed // it is under way: in the same Send, or in another, which has to be waited for
}

// begin looks a batch up and claims what is new for a Send, which calls end.
func (r *repeats) begin(call *sendCall, fs []fingerprint, states []repeatState, now time.Time) []repeatState {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	for i, f := range fs {
		state := repeatState{known: r.has(f)}
		if under, ok := r.pending[f]; ok {
			state.of = under
		} else if !state.known {
			r.pending[f] = claimed{call, i}
		}
		states = append(states, state)
	}
	return states
}

func (r *repeats) has(f fingerprint) bool {
	_, young := r.young[f]
	_, old := r.old[f]
	return young || old
}

// end remembers what was accepted of what the Send had claimed.
func (r *repeats) end(call *sendCall, fs []fingerprint, now time.Time, accepted func(i int) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	for i, f := range fs {
		if r.pending[f] == (claimed{call, i}) {
			delete(r.pending, f)
			if accepted(i) {
				r.young[f] = struct{}{}
			}
		}
	}
	close(call.ended)
}

// accepted waits for another Send and reports whether it accepted the message.
func (r *repeats) accepted(ctx context.Context, f fingerprint, other *sendCall) bool {
	select {
	case <-other.ended:
	case <-ctx.Done():
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has(f)
}

// turn forgets what is old enough, or too much.
func (r *repeats) turn(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since >= 2*repeatFor:
		r.old, r.young, r.turned = nil, make(map[fingerprint]struct{}), now
	case since >= repeatFor, len(r.young) >= maxRepeats:
		r.old, r.young, r.turned = r.young, make(map[fingerprint]struct{}), now
	}
}
