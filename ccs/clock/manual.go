package clock

import (
	"sync"
	"time"
)

// Manual stands still until it is moved. It implements ccs.Jumper. Make one with NewManual.
type Manual struct {
	moving sync.Mutex // one jump at a time, so that routers see jumps in order

	mu     sync.Mutex
	now    time.Time
	told   map[int]func(from, to time.Time)
	lastID int
}

// NewManual makes a clock that stands at a time.
func NewManual(now time.Time) *Manual {
	return &Manual{now: now, told: make(map[int]func(from, to time.Time))}
}

// Now implements ccs.Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves the clock on by d, and calls the functions given to OnJump.
func (m *Manual) Advance(d time.Duration) {
	m.jump(func(now time.Time) time.Time { return now.Add(d) })
}

// Set moves the clock to a time, which may be in the past, and calls the functions given to OnJump.
func (m *Manual) Set(to time.Time) {
	m.jump(func(time.Time) time.Time { return to })
}

func (m *Manual) jump(next func(time.Time) time.Time) {
	m.moving.Lock()
	defer m.moving.Unlock()
	m.mu.Lock()
	from := m.now
	m.now = next(from)
	to := m.now
	told := make([]func(from, to time.Time), 0, len(m.told))
	for _, f := range m.told {
		told = append(told, f)
	}
	m.mu.Unlock()
	for _, f := range told {
		f(from, to)
	}
}

// OnJump makes the clock call f after each jump, until stop is called. f must not wait and must not
// move the clock.
func (m *Manual) OnJump(f func(from, to time.Time)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastID++
	id := m.lastID
	m.told[id] = f
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.told, id)
	}
}
