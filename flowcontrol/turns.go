package flowcontrol

import (
	"runtime"
	"sync"
)

// Turns lets a bounded number of goroutines do long work at the same time. It serves callers in
// rotation, whatever number of goroutines work for each. Short work needs no turn, so it never
// waits for the long work of others.
//
// A goroutine must end its turn before it waits for anything else.
type Turns[K comparable] struct {
	n       int
	length  int
	handOff func() // nil: Next is called at once

	mu    sync.Mutex
	has   int             // goroutines that have a turn
	lines map[K]*turnLine // callers with such a goroutine or a waiting one
	order []K             // callers with a waiting goroutine; the first is served next
	spare []*turnLine     // for reuse
}

// turnLine holds the goroutines of one caller.
type turnLine struct {
	has     int
	waiting []chan struct{}
}

const maxSpareLines = 16

// NewTurns returns Turns for n goroutines, or for n/2 while there are more than n callers. A turn
// lasts until length is spent; its unit is the caller's choice. When a turn ends and others wait,
// handOff is called instead of beginning the next turn. Next must then be called soon, from any
// goroutine.
func NewTurns[K comparable](n, length int, handOff func()) *Turns[K] {
	return &Turns[K]{n: n, length: length, handOff: handOff, lines: map[K]*turnLine{}}
}

// free reports whether a turn may begin. The caller must hold t.mu.
func (t *Turns[K]) free() bool {
	if len(t.lines) > t.n {
		return t.has < max(1, t.n/2)
	}
	return t.has < t.n
}

// line returns the line of a caller, and makes it if there is none. The caller must hold t.mu.
func (t *Turns[K]) line(k K) *turnLine {
	l := t.lines[k]
	if l == nil {
		if n := len(t.spare); n > 0 {
			l, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			l = &turnLine{}
		}
		t.lines[k] = l
	}
	return l
}

// Next begins turns after handOff.
func (t *Turns[K]) Next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.order) > 0 && t.free() {
		k := t.order[0]
		t.order = t.order[1:]
		l := t.lines[k]
		t.has++
		l.has++
		l.waiting[0] <- struct{}{}
		if l.waiting = l.waiting[1:]; len(l.waiting) > 0 {
			t.order = append(t.order, k)
		}
	}
}

// begin begins a turn, or returns false. In that case the turn begins when its ready receives a
// value.
func (t *Turns[K]) begin(turn *Turn[K]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.line(turn.caller)
	if len(t.order) == 0 && t.free() {
		t.has++
		l.has++
		return true
	}
	if turn.ready == nil {
		turn.ready = make(chan struct{}, 1)
	}
	if len(l.waiting) == 0 {
		t.order = append(t.order, turn.caller)
	}
	l.waiting = append(l.waiting, turn.ready)
	return false
}

// end gives a turn of a caller back.
func (t *Turns[K]) end(k K) {
	t.mu.Lock()
	l := t.lines[k]
	t.has--
	if l.has--; l.has == 0 && len(l.waiting) == 0 {
		delete(t.lines, k)
		if len(t.spare) < maxSpareLines {
			t.spare = append(t.spare, l)
		}
	}
	next := len(t.order) > 0 && t.free()
	t.mu.Unlock()
	switch {
	case !next:
	case t.handOff == nil:
		t.Next()
	default:
		t.handOff()
	}
}

func (t *Turns[K]) crowded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines) > t.n
}

// contended reports whether a goroutine waits for a turn.
func (t *Turns[K]) contended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.order) > 0
}

// Turn is the turn of one goroutine. The zero value belongs to no Turns and only yields.
type Turn[K comparable] struct {
	turns  *Turns[K]
	caller K
	ready  chan struct{} // capacity 1; nil until it is needed
	spent  int
	has    bool
}

// Of returns a Turn of a caller, which has not begun. The Turns may be nil.
func (t *Turns[K]) Of(caller K) Turn[K] { return Turn[K]{turns: t, caller: caller} }

// Begin waits for a turn unless there is one.
func (t *Turn[K]) Begin() {
	if t.turns == nil || t.has {
		return
	}
	t.has, t.spent = true, 0
	if !t.turns.begin(t) {
		<-t.ready
	}
}

// BeginIfCrowded waits for a turn if there are more callers than turns. It is for work that runs
// without a turn as long as few callers have long work, because to wait costs throughput.
func (t *Turn[K]) BeginIfCrowded() {
	if t.turns != nil && t.turns.crowded() {
		t.Begin()
	}
}

// End ends the turn if there is one.
func (t *Turn[K]) End() {
	if t.has {
		t.has = false
		t.turns.end(t.caller)
	}
}

// defaultLength is the length of the turns of the zero Turn.
const defaultLength = 32 << 10

// Spend counts n units of finished work. After each length of a turn other goroutines run first,
// and the following work has a turn. The first length needs none.
func (t *Turn[K]) Spend(n int) {
	length := defaultLength
	if t.turns != nil {
		length = t.turns.length
	}
	if t.spent += n; t.spent < length {
		return
	}
	t.spent = 0
	switch {
	case t.turns == nil:
		runtime.Gosched()
	case !t.has:
		t.Begin()
	case t.turns.contended():
		t.End()
		t.Begin()
	default:
		runtime.Gosched()
	}
}
