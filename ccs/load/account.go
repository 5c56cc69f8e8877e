package load

import (
	"sync"
	"time"
)

// account records what became of the messages of a stream, which are numbered from zero. It says
// which were lost and which came twice. Its methods may be called from any goroutine; the zero
// value is empty. It needs memory only for exceptions, and bounds it.
type account struct {
	mu       sync.Mutex
	got      deliveredNumbers
	refused  numberRanges     // never accepted: nacked, or unanswered at the end
	accepted deliveredNumbers // acked; of upstream messages only
	receipts deliveredNumbers // numbers of receipts among those that were asked for
}

// arrived records an arrival. due is the time at which that message was due.
func (a *account) arrived(seq int64, due time.Duration) verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got.add(seq, due)
}

// accept records that the server has accepted an upstream message.
func (a *account) accept(seq int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted.add(seq, 0)
}

// refuse records that the server has not accepted a message.
func (a *account) refuse(seq int64, due time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.refused.has(seq) {
		a.refused.add(numberRange{seq, seq + 1, due})
	}
}

// receiptArrived records a receipt, by its number.
func (a *account) receiptArrived(number int64) verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.receipts.add(number, 0)
}

// acceptedAndMissing returns how many of the sent messages accept has recorded and arrived has not.
// The last one was due at lastDue.
func (a *account) acceptedAndMissing(sent int64, lastDue time.Duration) (n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for gap := range a.got.missing(sent, lastDue) {
		for seq := gap.from; seq < min(gap.to, a.accepted.next); seq++ {
			if !a.accepted.gaps.has(seq) {
				n++
			}
		}
	}
	return n
}

// census classifies the accepted messages that have not arrived.
type census struct {
	lost      int64 // for no known reason
	expired   int64 // their TTL has passed
	collapsed int64 // a later message with the same key replaced them
	untracked int64 // any of these, or refused: more than maxSpans gaps
}

// census classifies what is missing of the sent messages, the last of which was due at lastDue. The
// messages take turns with so many collapse keys; zero for none. expired is told when a message was
// due, or a later time.
func (a *account) census(sent int64, lastDue time.Duration, keys int64, expired func(seq int64, due time.Duration) bool) (c census) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for gap := range a.got.missing(sent, lastDue) {
		for seq := gap.from; seq < gap.to; seq++ {
			switch {
			case a.refused.has(seq):
			case keys > 0 && a.superseded(seq, keys, sent):
				c.collapsed++
			case expired(seq, gap.due):
				c.expired++
			default:
				c.lost++
			}
		}
	}
	c.untracked = a.got.gaps.forgotten + a.refused.forgotten
	return c
}

// superseded reports whether the server accepted a later message with the same collapse key. The
// caller must hold a.mu.
func (a *account) superseded(seq, keys, sent int64) bool {
	for later := seq + keys; later < sent; later += keys {
		if !a.refused.has(later) {
			return true
		}
	}
	return false
}
