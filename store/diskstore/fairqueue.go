package diskstore

import "github.com/openccs/openccs/store"

// fairQueue holds the work that waits for the committer, in a line for each caller. Its callers
// bound it: each waits until its work is done. SetPresent does not wait for that, but for room.
// Groups are filled by deficit round robin: each line in turn may spend turnBytes more. A caller
// with little work is in the next group, however much work the others have.
type fairQueue struct {
	lines map[store.Key]*callerQueue // those with work
	order []*callerQueue             // the same, in the order in which they are served
	spare []*callerQueue             // empty ones, for reuse
}

// callerQueue is the work of one caller, in order.
type callerQueue struct {
	caller store.Key
	works  []work
	next   int // index in works; earlier ones were taken
	credit int // bytes that it may still spend
}

const (
	turnBytes  = 16 << 10
	spareLines = 64 // kept empty lines
	spareWorks = 64 // capacity of a kept line
)

func (t *fairQueue) init() { t.lines = map[store.Key]*callerQueue{} }

func (t *fairQueue) empty() bool { return len(t.order) == 0 }

func (t *fairQueue) push(caller store.Key, w work) {
	l := t.lines[caller]
	if l == nil {
		if n := len(t.spare); n > 0 {
			l, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			l = &callerQueue{}
		}
		l.caller = caller
		t.lines[caller] = l
		t.order = append(t.order, l)
	}
	if l.next > len(l.works)/2 { // a line that is never empty must not grow
		n := copy(l.works, l.works[l.next:])
		clear(l.works[n:])
		l.works, l.next = l.works[:n], 0
	}
	l.works = append(l.works, w)
}

// next appends the work of the next group to dst.
func (t *fairQueue) next(dst []work) []work {
	entries, bytes := 0, 0
	for len(t.order) > 0 {
		l := t.order[0]
		alone := len(t.order) == 1
		if !alone {
			l.credit += turnBytes
		}
		for l.next < len(l.works) {
			e, b := l.works[l.next].size()
			if !alone && b > l.credit {
				break
			}
			if len(dst) > 0 && (entries+e > groupEntries || bytes+b > groupBytes) {
				return dst // the next call goes on here
			}
			entries, bytes = entries+e, bytes+b
			l.credit = max(0, l.credit-b)
			dst = append(dst, l.works[l.next])
			l.works[l.next] = nil
			l.next++
		}
		t.order = t.order[1:]
		if l.next < len(l.works) {
			t.order = append(t.order, l)
			continue
		}
		t.retire(l)
	}
	return dst
}

// retire removes an empty line.
func (t *fairQueue) retire(l *callerQueue) {
	delete(t.lines, l.caller)
	if len(t.spare) < spareLines && cap(l.works) <= spareWorks {
		*l = callerQueue{works: l.works[:0]}
		t.spare = append(t.spare, l)
	}
}
