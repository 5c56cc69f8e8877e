package ccs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// fingerprint stands for a sender, a message_id and the content of a message. It has 128 bits
// because a collision would lose a message. It is zero for a message that
// repeats none.
type fingerprint struct{ hi, lo uint64 }

func (f fingerprint) mark() (m store.Mark) {
	binary.LittleEndian.PutUint64(m[:8], f.hi)
	binary.LittleEndian.PutUint64(m[8:], f.lo)
	return m
}

func fingerprintOf(m store.Mark) fingerprint {
	return fingerprint{binary.LittleEndian.Uint64(m[:8]), binary.LittleEndian.Uint64(m[8:])}
}

// dedup remembers which messages were accepted. An app server whose connection died before the
// answer sends a message again: it gets the answer, and the device gets no second message
// (CCS 4.3). If the store can, it keeps the fingerprints with the messages, so that repeats are
// known after a restart too.
type dedup struct {
	seed uint64 // the same in all runs and on all nodes

	mu         sync.Mutex
	young, old generation
	turned     time.Time            // when young was started
	calls      map[uint32]*sendCall // the running ones, by number
	last       uint32               // number of the newest call
}

// firstSeen names the Send that had a message first. The message is accepted once that call has
// ended. The zero value stands for an earlier run of the server.
type firstSeen struct{ call, index uint32 }

// sendCall is one Send, for other calls that get the same messages.
type sendCall struct {
	number uint32
	ended  chan struct{} // closed when the fate of its messages is known
}

// secretRepeats is the name of the seed among the store's secrets.
const secretRepeats = "repeats"

// newDedup returns the memory of repeats, with the fingerprints that the store remembers.
func newDedup(ctx context.Context, st store.Store, now time.Time, log *zap.Logger) (*dedup, error) {
	var fresh [8]byte
	rand.Read(fresh[:])
	seed, err := st.Secret(ctx, secretRepeats, fresh[:])
	if err != nil {
		return nil, fmt.Errorf("read the seed of fingerprints: %w", err)
	}
	if len(seed) != len(fresh) {
		return nil, fmt.Errorf("the seed of fingerprints has %d bytes", len(seed))
	}
	r := &dedup{
		seed:   binary.LittleEndian.Uint64(seed),
		young:  newGeneration(),
		old:    newGeneration(),
		turned: now,
		calls:  make(map[uint32]*sendCall),
	}
	keeper, ok := st.(store.Repeats)
	if !ok {
		return r, nil
	}
	marks, err := keeper.Remembered(ctx, now)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		// Serving without them is better than not starting.
		log.Warn("messages of the last minutes are not known as repeats", zap.Error(err))
	}
	for _, m := range marks {
		r.rotate(now)
		r.young.insert(fingerprintOf(m), firstSeen{})
	}
	return r, nil
}

// generation is a run of messages that were accepted, or claimed by a Send that is running. Nearly
// every message is new. The filter bits and the heads of the chains therefore stay in the
// processor's cache, and the log is only appended to, so that a new message never waits for main
// memory.
type generation struct {
	// A filter of two bits for each message: a message that lacks one of them is not in the log.
	seen *[1 << generationBits / 64]uint64
	// For each head of a fingerprint the index of the newest record, plus one.
	heads *[1 << headBits]uint32
	log   []seenEntry
}

// seenEntry is one message of a generation.
type seenEntry struct {
	fingerprint
	firstSeen
	next uint32 // index of the previous record with the same head, plus one
	gone bool
}

const (
	generationBits = 21 // eight bits for each of store.MaxRepeats
	headBits       = 18
)

func newGeneration() generation {
	return generation{seen: new([1 << generationBits / 64]uint64), heads: new([1 << headBits]uint32)}
}

func (g *generation) lookup(f fingerprint) (firstSeen, bool) {
	if k := g.slot(f); k != nil {
		return k.firstSeen, true
	}
	return firstSeen{}, false
}

// slot returns the record of a message, or nil.
func (g *generation) slot(f fingerprint) *seenEntry {
	if !g.mayContain(f.hi) || !g.mayContain(f.lo) {
		return nil
	}
	for i := g.heads[f.hi>>(64-headBits)]; i != 0; i = g.log[i-1].next {
		if k := &g.log[i-1]; k.fingerprint == f && !k.gone {
			return k
		}
	}
	return nil
}

func (g *generation) insert(f fingerprint, c firstSeen) {
	head := &g.heads[f.hi>>(64-headBits)]
	g.log = append(g.log, seenEntry{fingerprint: f, firstSeen: c, next: *head})
	*head = uint32(len(g.log))
	for _, h := range [...]uint64{f.hi, f.lo} {
		h %= 1 << generationBits
		g.seen[h/64] |= 1 << (h % 64)
	}
}

func (g *generation) remove(f fingerprint) {
	if k := g.slot(f); k != nil {
		k.gone = true
	}
}

func (g *generation) mayContain(h uint64) bool {
	h %= 1 << generationBits
	return g.seen[h/64]&(1<<(h%64)) != 0
}

func (g *generation) clear() {
	g.log = g.log[:0]
	clear(g.seen[:])
	clear(g.heads[:])
}

// of returns the fingerprint of a message. It uses buf's memory, and returns it.
func (r *dedup) of(buf []byte, from SenderID, m *Downstream) (fingerprint, []byte) {
	buf = buf[:0]
	for _, s := range [...]string{string(from), m.ID, m.To, m.Condition, m.CollapseKey, m.RestrictedPackage} {
		buf = append(append(buf, s...), 0)
	}
	buf = append(binary.AppendUvarint(buf, uint64(len(m.Notification))), m.Notification...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(m.TTL))
	buf = append(buf, byte(m.Priority))
	for _, on := range [...]bool{m.DelayWhileIdle, m.ReceiptRequested, m.DryRun, m.ContentAvailable, m.MutableContent, m.Notification != nil} {
		if on {
			buf = append(buf, 1)
		} else {
			buf = append(buf, 0)
		}
	}
	buf = append(buf, m.Data...)
	sum := xxh3.Hash128Seed(buf, r.seed)
	return fingerprint{sum.Hi, sum.Lo}, buf
}

// dedupState says what is known of a message when its batch begins.
type dedupState struct {
	known bool      // it was accepted before
	by    *sendCall // the call that has the message and is running: this one or another
	index int       // index in that call's batch
}

// begin looks up a batch and claims its new messages for a Send. The Send must call end.
//
// begin returns no sendCall if no message can be a repeat.
func (r *dedup) begin(fs []fingerprint, states []dedupState, now time.Time) (*sendCall, []dedupState) {
	if !slices.ContainsFunc(fs, func(f fingerprint) bool { return f != (fingerprint{}) }) {
		return nil, append(states, make([]dedupState, len(fs))...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotate(now)
	r.last++
	call := &sendCall{number: r.last, ended: make(chan struct{})}
	r.calls[call.number] = call
	for i, f := range fs {
		var state dedupState
		if f == (fingerprint{}) {
			// the message repeats none
		} else if first, ok := r.find(f); !ok {
			r.young.insert(f, firstSeen{call.number, uint32(i)})
		} else if state.by = r.calls[first.call]; state.by != nil {
			state.index = int(first.index)
		} else {
			state.known = true
		}
		states = append(states, state)
	}
	return call, states
}

func (r *dedup) find(f fingerprint) (firstSeen, bool) {
	c, ok := r.young.lookup(f)
	if !ok {
		c, ok = r.old.lookup(f)
	}
	return c, ok
}

// end forgets the claimed messages that were not accepted.
func (r *dedup) end(call *sendCall, fs []fingerprint, accepted func(i int) bool) {
	if call == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, f := range fs {
		if f == (fingerprint{}) || accepted(i) {
			continue
		}
		if c, ok := r.find(f); ok && c == (firstSeen{call.number, uint32(i)}) {
			r.young.remove(f)
			r.old.remove(f)
		}
	}
	delete(r.calls, call.number)
	close(call.ended)
}

// accepted waits for another Send and reports whether it accepted the message.
func (r *dedup) accepted(ctx context.Context, f fingerprint, other *sendCall) bool {
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

// rotate forgets the older generation once the younger one is old or full. Under load it reuses the
// memory.
func (r *dedup) rotate(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since >= 2*store.RepeatsFor:
		r.young, r.old, r.turned = newGeneration(), newGeneration(), now
	case since >= store.RepeatsFor, len(r.young.log) >= store.MaxRepeats:
		r.old.clear()
		r.young, r.old, r.turned = r.old, r.young, now
	}
}
