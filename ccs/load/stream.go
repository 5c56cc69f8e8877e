package load

import (
	"sync/atomic"
	"time"
)

// stream contains the messages that one connection sends to one device, in the server's order. The
// messages of a device to an app server are a stream too.
type stream struct {
	id     int
	device *device

	// Owned by the sender until it has ended.
	sent    int64 // messages made; the next one's number
	lastDue time.Duration

	account account
}

// arrived records the arrival of a message.
func (s *stream) arrived(m sequence) verdict { return s.account.arrived(m.seq, m.due) }

// upstreamLost returns how many messages were accepted and have not arrived. The sender must have
// ended.
func (s *stream) upstreamLost() int64 { return s.account.acceptedAndMissing(s.sent, s.lastDue) }

// count classifies by a plan the messages that have not arrived at now. The sender must have ended.
func (s *stream) count(p *Plan, now time.Duration) census {
	return s.account.census(s.sent, s.lastDue, int64(p.CollapseKeys), func(seq int64, due time.Duration) bool {
		return due+p.TTLs.At(seq) <= now
	})
}

// tally counts messages of one direction. Its fields may be used from any goroutine.
type tally struct {
	sent, resent, acked, nacked, delivered, duplicated, outOfOrder atomic.Int64
}

// arrived records a message and reports whether this is its first arrival.
func (t *tally) arrived(s *stream, m sequence) bool {
	switch s.arrived(m) {
	case duplicate:
		t.duplicated.Add(1)
		return false
	case late:
		if !m.again { // a repeat comes after others
			t.outOfOrder.Add(1)
		}
	}
	t.delivered.Add(1)
	return true
}
