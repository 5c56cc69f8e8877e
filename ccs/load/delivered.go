package load

import "time"

// verdict classifies an arrival.
type verdict uint8

const (
	inOrder   verdict = iota
	late              // its first arrival, after a later message of its stream
	duplicate         // it has arrived before
)

// deliveredNumbers records which messages of a stream have arrived. A stream in order needs no
// memory; each gap is a range.
type deliveredNumbers struct {
	next int64 // every message before it has arrived, if it is not in gaps
	gaps numberRanges
}

// add records an arrival. due is the time at which that message was due.
func (t *deliveredNumbers) add(seq int64, due time.Duration) verdict {
	switch {
	case seq == t.next:
		t.next++
		return inOrder
	case seq > t.next:
		t.gaps.add(numberRange{t.next, seq, due})
		t.next = seq + 1
		return inOrder
	case t.gaps.remove(seq):
		return late
	}
	return duplicate
}

// missing yields the ranges that have not arrived, of a stream of sent messages whose last one was
// due at lastDue.
func (t *deliveredNumbers) missing(sent int64, lastDue time.Duration) func(yield func(numberRange) bool) {
	return func(yield func(numberRange) bool) {
		for _, gap := range t.gaps.list {
			if !yield(gap) {
				return
			}
		}
		if t.next < sent {
			yield(numberRange{t.next, sent, lastDue})
		}
	}
}
