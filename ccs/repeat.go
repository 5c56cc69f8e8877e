package ccs

import (
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
	turned     time.Time // when young was begun
}

func newRepeats() *repeats {
	return &repeats{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		young: make(map[fingerprint]struct{}),
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

// known reports for each fingerprint whether it was accepted before.
func (r *repeats) known(fs []fingerprint, now time.Time, yes func(i int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	for i, f := range fs {
		_, young := r.young[f]
		_, old := r.old[f]
		if young || old {
			yes(i)
		}
	}
}

// add remembers a message that was accepted.
func (r *repeats) add(fs []fingerprint, now time.Time, accepted func(i int) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	for i, f := range fs {
		if accepted(i) {
			r.young[f] = struct{}{}
		}
	}
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
