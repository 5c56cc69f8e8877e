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
type fingerprint struct {
	content uint64 // of all there is
	name    uint64 // of sender, message_id and to once more: two messages that differ in these must not meet either
}

// repeats remembers which messages were accepted, so that an app server that sends one again, after its
// connection died before the answer, gets the answer and the device no second message. It is memory alone:
// over a restart of the server a repeat is a new message, as it was at Google's.
type repeats struct {
	seeds [2]maphash.Seed

	mu         sync.Mutex
	young, old generation
	turned     time.Time            // when young was begun
	calls      map[uint32]*sendCall // under way, by number
	last       uint32               // number
}

// claim says which Send had a message first. Accepted it is once that has ended.
type claim struct{ call, index uint32 }

// sendCall is one Send, for those who meet its messages again.
type sendCall struct {
	number uint32
	ended  chan struct{} // closed when its messages are known or not
}

func newRepeats() *repeats {
	return &repeats{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		young: newGeneration(),
		old:   newGeneration(),
		calls: make(map[uint32]*sendCall),
	}
}

// generation is messages that were accepted, or claimed by a Send that is under way, in a row.
type generation struct {
	claims map[fingerprint]claim
	seen   *[1 << generationBits / 64]uint64 // two bits for each: what lacks one of them is not in claims
}

// generationBits makes eight bits for each of maxRepeats. They stay in the processor's cache, where claims do
// not, and nearly every message is new.
const generationBits = 21

func newGeneration() generation {
	return generation{make(map[fingerprint]claim), new([1 << generationBits / 64]uint64)}
}

func (g *generation) find(f fingerprint) (claim, bool) {
	if !g.bit(f.content) || !g.bit(f.name) {
		return claim{}, false
	}
	c, ok := g.claims[f]
	return c, ok
}

func (g *generation) add(f fingerprint, c claim) {
	g.claims[f] = c
	for _, h := range [...]uint64{f.content, f.name} {
		h %= 1 << generationBits
		g.seen[h/64] |= 1 << (h % 64)
	}
}

func (g *generation) bit(h uint64) bool {
	h %= 1 << generationBits
	return g.seen[h/64]&(1<<(h%64)) != 0
}

func (g *generation) clear() {
	clear(g.claims)
	clear(g.seen[:])
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
	var h maphash.Hash
	h.SetSeed(r.seeds[0])
	for _, s := range [...]string{string(from), m.MessageID, m.To, m.CollapseKey, m.RestrictedPackage, string(m.Notification)} {
		h.WriteString(s)
		h.WriteByte(0)
	}
	h.Write(numbers[:])
	h.WriteString(string(m.Data))
	f.content = h.Sum64()
	h.SetSeed(r.seeds[1])
	for _, s := range [...]string{string(from), m.MessageID, m.To} {
		h.WriteString(s)
		h.WriteByte(0)
	}
	f.name = h.Sum64()
	return f
}

// repeatState says what a message is to those that were accepted.
type repeatState struct {
	known bool      // it was accepted before
	by    *sendCall // it is under way: in the same Send, or in another, which has to be waited for
	index int       // in the batch of that
}

// begin looks a batch up and claims what is new for a Send, which calls end.
func (r *repeats) begin(fs []fingerprint, states []repeatState, now time.Time) (*sendCall, []repeatState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.last++
	call := &sendCall{number: r.last, ended: make(chan struct{})}
	r.calls[call.number] = call
	for i, f := range fs {
		var state repeatState
		if first, ok := r.find(f); !ok {
			r.young.add(f, claim{call.number, uint32(i)})
		} else if state.by = r.calls[first.call]; state.by != nil {
			state.index = int(first.index)
		} else {
			state.known = true
		}
		states = append(states, state)
	}
	return call, states
}

func (r *repeats) find(f fingerprint) (claim, bool) {
	c, ok := r.young.find(f)
	if !ok {
		c, ok = r.old.find(f)
	}
	return c, ok
}

// end forgets what was not accepted of what the Send had claimed.
func (r *repeats) end(call *sendCall, fs []fingerprint, accepted func(i int) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, f := range fs {
		if accepted(i) {
			continue
		}
		if c, ok := r.find(f); ok && c == (claim{call.number, uint32(i)}) {
			delete(r.young.claims, f)
			delete(r.old.claims, f)
		}
	}
	delete(r.calls, call.number)
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
	c, ok := r.find(f)
	return ok && r.calls[c.call] == nil
}

// turn forgets what is old enough, or too much. Under load the memory of what is forgotten is used again.
func (r *repeats) turn(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since >= 2*repeatFor:
		r.young, r.old, r.turned = newGeneration(), newGeneration(), now
	case since >= repeatFor, len(r.young.claims) >= maxRepeats:
		r.old.clear()
		r.young, r.old, r.turned = r.old, r.young, now
	}
}
