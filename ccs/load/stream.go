package load

import (
	"sync"
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

	mu      sync.Mutex // guards the rest
	got     deliveredNumbers
	refused numberRanges     // never accepted: nacked, or unanswered at the end
	taken   deliveredNumbers // acked; of upstream messages only
	proven  deliveredNumbers // numbers of receipts among those that were asked for
}

// arrived records the arrival of a message.
func (s *stream) arrived(m sequence) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.add(m.seq, m.due)
}

// accept records that the server has accepted an upstream message.
func (s *stream) accept(seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken.add(seq, 0)
}

// upstreamLost returns how many messages were accepted and have not arrived. The sender must have
// ended.
func (s *stream) upstreamLost() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for gap := range s.got.missing(s.sent, s.lastDue) {
		for seq := gap.from; seq < min(gap.to, s.taken.next); seq++ {
			if !s.taken.gaps.has(seq) {
				n++
			}
		}
	}
	return n
}

// receiptArrived records a receipt, by its number.
func (s *stream) receiptArrived(number int64) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proven.add(number, 0)
}

// refuse records that the server has not accepted a message.
func (s *stream) refuse(seq int64, due time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refused.has(seq) {
		s.refused.add(numberRange{seq, seq + 1, due})
	}
}

// census classifies the accepted messages that have not arrived.
type census struct {
	lost      int64 // for no known reason
	expired   int64 // their TTL has passed
	collapsed int64 // a later message with the same key replaced them
	untracked int64 // any of these, or refused: more than maxSpans gaps
}

// count takes the census by a plan, at now. The sender must have ended.
func (s *stream) count(p *Plan, now time.Duration) (c census) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for gap := range s.got.missing(s.sent, s.lastDue) {
		for seq := gap.from; seq < gap.to; seq++ {
			switch {
			case s.refused.has(seq):
			case p.CollapseKeys > 0 && s.superseded(seq, int64(p.CollapseKeys)):
				c.collapsed++
			case gap.due+p.TTLs.At(seq) <= now:
				c.expired++
			default:
				c.lost++
			}
		}
	}
	c.untracked = s.got.gaps.forgotten + s.refused.forgotten
	return c
}

// superseded reports whether the server accepted a later message with the same collapse key, of so
// many keys.
func (s *stream) superseded(seq, keys int64) bool {
	for later := seq + keys; later < s.sent; later += keys {
		if !s.refused.has(later) {
			return true
		}
	}
	return false
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
