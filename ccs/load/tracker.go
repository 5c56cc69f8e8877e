package load

import "time"

// verdict is what an arrival is.
type verdict uint8

const (
	inOrder   verdict = iota
	late              // its first arrival, behind a later message of its stream
	duplicate         // it was here already
)

// tracker knows which messages of a stream have come. A stream in order costs it nothing; each gap is a span.
type tracker struct {
	next int64 // every message before it has come, if it is not in gaps
	gaps spans
}

// add takes note of an arrival. due is when that message was due.
func (t *tracker) add(seq int64, due time.Duration) verdict {
	switch {
	case seq == t.next:
		t.next++
		return inOrder
	case seq > t.next:
		t.gaps.add(span{t.next, seq, due})
		t.next = seq + 1
		return inOrder
	case t.gaps.remove(seq):
		return late
	}
	return duplicate
}

// missing yields what of a stream of so many messages, the last one due then, has not come.
func (t *tracker) missing(sent int64, lastDue time.Duration) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		for _, gap := range t.gaps.list {
			if !yield(gap) {
				return
			}
		}
		if t.next < sent {
			yield(span{t.next, sent, lastDue})
		}
	}
}
