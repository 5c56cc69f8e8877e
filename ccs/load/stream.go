package load

import (
	"sync"
	"sync/atomic"
	"time"
)

// stream is what one connection sends to one device, in the server's order. Those of devices to app servers
// are streams too.
type stream struct {
	id     int
	device *device

	// Owned by who sends, until that has ended.
	sent    int64 // messages made; the next one's number
	lastDue time.Duration

	mu      sync.Mutex // guards the rest
	got     deliveredNumbers
	refused numberRanges     // never accepted: nacked, or unanswered at the end
	taken   deliveredNumbers // acked; of upstream messages only
	proven  deliveredNumbers // receipts, by their numbers among those that were asked for
}

// arrived takes note of a message.
func (s *stream) arrived(m sequence) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.add(m.seq, m.due)
}

// accept takes note that the server has accepted an upstream message.
func (s *stream) accept(seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken.add(seq, 0)
}

// upstreamLost is how many messages were accepted and have not come. The sender must have ended.
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

// receiptArrived takes note of a receipt, by its number.
func (s *stream) receiptArrived(number int64) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proven.add(number, 0)
}

// refuse takes note that the server has not accepted a message.
func (s *stream) refuse(seq int64, due time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refused.has(seq) {
		s.refused.add(numberRange{seq, seq + 1, due})
	}
}

// census is what became of the messages that were accepted and have not come.
type census struct {
	lost      int64 // nobody knows
	expired   int64 // their time to live has passed
	collapsed int64 // a later message with the same key took their place
	untracked int64 // may be either of these, or refused: there were more than maxSpans gaps
}

// count takes the census, by a plan, at a time. The sender must have ended.
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

// superseded reports whether the server accepted a later message with the same of so many collapse keys.
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

// arrived takes note of a message and reports whether it is here for the first time.
func (t *tally) arrived(s *stream, m sequence) bool {
	switch s.arrived(m) {
	case duplicate:
		t.duplicated.Add(1)
		return false
	case late:
		if !m.again { // what was sent twice was sent behind others
			t.outOfOrder.Add(1)
		}
	}
	t.delivered.Add(1)
	return true
}
