package load

import "time"

// verdict is what an arrival is.
type verdict uint8

const (
	inOrder   verdict = iota
	late              // its first arrival, behind a later message of its stream
	duplicate         // it was here already
)

// deliveredNumbers knows which messages of a stream have come. A stream in order costs it nothing; each gap is a range.
type deliveredNumbers struct {
	next int64 // every message before it has come, if it is not in gaps
	gaps numberRanges
}

// add takes note of an arrival. due is when that message was due.
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

// missing yields what of a stream of so many messages, the last one due then, has not come.
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
