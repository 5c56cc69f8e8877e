package diskstore

import (
	"cmp"
	"slices"

	"github.com/openccs/openccs/store"
)

// mark marks an entry that is not free to be claimed.
type mark struct {
	lease   store.Lease // the lease that holds the entry; 0 when it is leaving
	expires int64
	acked   bool // the entry is leaving because the peer has it
	removed bool // the entry is leaving, and its removal is already part of a group
	gone    bool // the mark was removed; owned by markList
}

// marks are the marks on the entries of a queue. Entries are nearly always claimed and
// acknowledged in the order of their IDs. So the marks of each rank are kept in that order: a new
// one is appended, and the oldest one is removed first.
type marks [laneCount]markList

// markList is the marks of one rank.
type markList struct {
	all  []marked // in the order of IDs; those before from were removed
	from int32
	gone int32 // removed marks in all[from:]
	hint int32 // index of the mark that was found last
}

type marked struct {
	id store.ID
	mark
}

const (
	markCompactFrom = 32  // a list that lacks fewer marks than this stays as it is
	maxSpareMarks   = 128 // a longer list is dropped when it is empty
)

func (ms *marks) empty() bool {
	for r := range ms {
		if len(ms[r].all) > 0 {
			return false
		}
	}
	return true
}

// list returns the list to which an ID belongs, or nil for an ID that was never given out.
func (ms *marks) list(id store.ID) *markList {
	if r := int(id.Rank()); r < laneCount {
		return &ms[r]
	}
	return nil
}

// of returns the mark of an entry, or nil. It is valid until the next set or remove.
func (ms *marks) of(id store.ID) *mark {
	l := ms.list(id)
	if l == nil {
		return nil
	}
	i, found := l.find(id)
	if !found || l.all[i].gone {
		return nil
	}
	return &l.all[i].mark
}

// set adds or replaces the mark of an entry.
func (ms *marks) set(id store.ID, m mark) {
	l := ms.list(id)
	if n := len(l.all); n == 0 || l.all[n-1].id < id {
		l.all = append(l.all, marked{id, m})
		return
	}
	i, found := l.find(id)
	if !found {
		l.all = slices.Insert(l.all, i, marked{id, m})
		return
	}
	if l.all[i].gone {
		l.gone--
	}
	l.all[i].mark = m
}

// remove removes the mark of an entry, if there is one.
func (ms *marks) remove(id store.ID) {
	l := ms.list(id)
	if l == nil {
		return
	}
	i, found := l.find(id)
	if !found || l.all[i].gone {
		return
	}
	l.all[i].gone = true
	l.gone++
	l.trim()
}

// retain removes the marks for which keep returns false, in the order of IDs. keep may change a
// mark.
func (ms *marks) retain(keep func(id store.ID, m *mark) bool) {
	for r := range ms {
		l := &ms[r]
		for i := l.from; int(i) < len(l.all); i++ {
			if m := &l.all[i]; !m.gone && !keep(m.id, &m.mark) {
				m.gone = true
				l.gone++
			}
		}
		l.trim()
	}
}

// find returns the index of the mark of an ID, or the index at which to insert it. The mark may be
// gone.
func (l *markList) find(id store.ID) (i int, found bool) {
	if from := int(l.from); from < len(l.all) && l.all[from].id == id {
		return from, true
	}
	if next := int(l.hint) + 1; next < len(l.all) && next > int(l.from) && l.all[next].id == id {
		l.hint = int32(next)
		return next, true
	}
	i, found = slices.BinarySearchFunc(l.all[l.from:], id, func(m marked, id store.ID) int { return cmp.Compare(m.id, id) })
	i += int(l.from)
	l.hint = int32(i)
	return i, found
}

// trim frees the memory of removed marks: those at the front at once, and the others when they are
// many.
func (l *markList) trim() {
	for int(l.from) < len(l.all) && l.all[l.from].gone {
		l.from++
		l.gone--
	}
	left := len(l.all) - int(l.from)
	switch {
	case left == 0:
		l.all, l.from, l.hint = l.all[:0], 0, 0
		if cap(l.all) > maxSpareMarks {
			l.all = nil
		}
	case l.gone > markCompactFrom && int(l.gone) > left/2:
		all := slices.DeleteFunc(l.all[l.from:], func(m marked) bool { return m.gone })
		l.all = l.all[:copy(l.all, all)]
		l.from, l.gone, l.hint = 0, 0, 0
	case l.from > markCompactFrom && int(l.from) > len(l.all)/2:
		l.all = l.all[:copy(l.all, l.all[l.from:])]
		l.from, l.hint = 0, 0
	}
}
