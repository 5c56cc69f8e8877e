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
	length  int
	handOff func() // nil: Next is called at once

	mu    sync.Mutex
	free  int // free turns
	lines map[K]*turnLine
	order []K // callers with a waiting goroutine; the first is served next
}

// turnLine holds the waiting goroutines of one caller.
type turnLine struct{ waiting []chan struct{} }

// NewTurns returns Turns for n goroutines. A turn lasts until length is spent; its unit is the
// caller's choice. When a turn ends and others wait, handOff is called instead of beginning the
// next turn. Next must then be called soon, from any goroutine.
func NewTurns[K comparable](n, length int, handOff func()) *Turns[K] {
	return &Turns[K]{length: length, handOff: handOff, free: n, lines: map[K]*turnLine{}}
}

// Next begins the next turn after handOff.
func (t *Turns[K]) Next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.free++
		return
	}
	k := t.order[0]
	l := t.lines[k]
	l.waiting[0] <- struct{}{}
	l.waiting = l.waiting[1:]
	t.order = t.order[1:]
	if len(l.waiting) > 0 {
		t.order = append(t.order, k)
		return
	}
	delete(t.lines, k)
}

// end gives the turn back.
func (t *Turns[K]) end() {
	t.mu.Lock()
	if len(t.order) == 0 {
		t.free++
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	if t.handOff == nil {
		t.Next()
		return
	}
	t.handOff()
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
	t.turns.mu.Lock()
	if t.turns.free > 0 {
		t.turns.free--
		t.turns.mu.Unlock()
		return
	}
	if t.ready == nil {
		t.ready = make(chan struct{}, 1)
	}
	l := t.turns.lines[t.caller]
	if l == nil {
		l = &turnLine{}
		t.turns.lines[t.caller] = l
		t.turns.order = append(t.turns.order, t.caller)
	}
	l.waiting = append(l.waiting, t.ready)
	t.turns.mu.Unlock()
	<-t.ready
}

// End ends the turn if there is one.
func (t *Turn[K]) End() {
	if t.has {
		t.has = false
		t.turns.end()
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
