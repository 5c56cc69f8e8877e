package load

import (
	"slices"
	"time"
)

// maxSpans bounds the exceptions that are recorded for one stream.
const maxSpans = 1024

// numberRange contains the messages of a stream from from up to, not including, to.
type numberRange struct {
	from, to int64
	due      time.Duration // none of them was due later
}

// numberRanges is a set of message numbers. It is cheap if the numbers are few or consecutive. It
// holds maxSpans ranges; beyond that it forgets the oldest and counts its numbers.
type numberRanges struct {
	list      []numberRange // ascending, not adjacent
	forgotten int64
}

// add adds the numbers of a range. The set must contain none of them.
func (s *numberRanges) add(new numberRange) {
	i, _ := slices.BinarySearchFunc(s.list, new.from, func(e numberRange, from int64) int { return int(e.from - from) })
	joinsLeft := i > 0 && s.list[i-1].to == new.from
	joinsRight := i < len(s.list) && s.list[i].from == new.to
	switch {
	case joinsLeft && joinsRight:
		s.list[i-1] = numberRange{s.list[i-1].from, s.list[i].to, max(s.list[i-1].due, s.list[i].due, new.due)}
		s.list = slices.Delete(s.list, i, i+1)
	case joinsLeft:
		s.list[i-1] = numberRange{s.list[i-1].from, new.to, max(s.list[i-1].due, new.due)}
	case joinsRight:
		s.list[i] = numberRange{new.from, s.list[i].to, max(s.list[i].due, new.due)}
	default:
		s.list = slices.Insert(s.list, i, new)
		s.bound()
	}
}

// remove removes a number and reports whether the set contained it.
func (s *numberRanges) remove(n int64) bool {
	i := s.find(n)
	if i < 0 {
		return false
	}
	e := s.list[i]
	switch {
	case e.to-e.from == 1:
		s.list = slices.Delete(s.list, i, i+1)
	case n == e.from:
		s.list[i].from++
	case n == e.to-1:
		s.list[i].to--
	default:
		s.list[i].to = n
		s.list = slices.Insert(s.list, i+1, numberRange{n + 1, e.to, e.due})
		s.bound()
	}
	return true
}

func (s *numberRanges) has(n int64) bool { return s.find(n) >= 0 }

// find returns the index of the range that contains n, or -1.
func (s *numberRanges) find(n int64) int {
	i, found := slices.BinarySearchFunc(s.list, n, func(e numberRange, n int64) int { return int(e.from - n) })
	if found {
		return i
	}
	if i > 0 && n < s.list[i-1].to {
		return i - 1
	}
	return -1
}

func (s *numberRanges) bound() {
	if len(s.list) > maxSpans {
		s.forgotten += s.list[0].to - s.list[0].from
		s.list = slices.Delete(s.list, 0, 1)
	}
}
