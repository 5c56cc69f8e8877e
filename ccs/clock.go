package ccs

import "time"

// Clock returns the time for everything in a message's life: acceptance, TTL, expiry, resends.
// Sockets use wall time.
type Clock interface {
	Now() time.Time
}

// Jumper is a Clock that a test or an operator moves. After a jump, Router.Run and the sessions
// that are Tickers look at once for work that is due.
type Jumper interface {
	Clock

	// OnJump makes the clock call f after each jump, until stop is called. f must not block.
	OnJump(f func(from, to time.Time)) (stop func())
}

// Ticker is a Session with resends or time-outs that go by the clock.
type Ticker interface {
	// Tick makes the session look for due work now instead of at its next tick. It must not block.
	Tick()
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// jumps returns a channel that receives once after one or several jumps of the clock. It never
// receives for a clock that is no Jumper.
func jumps(c Clock) (jumped <-chan struct{}, stop func()) {
	j, ok := c.(Jumper)
	if !ok {
		return nil, func() {}
	}
	signal := make(chan struct{}, 1)
	stop = j.OnJump(func(time.Time, time.Time) {
		select {
		case signal <- struct{}{}:
		default:
		}
	})
	return signal, stop
}

// tickSessions makes every Ticker look for due work.
func (r *Router) tickSessions() {
	var tickers []Ticker
	r.mu.RLock()
	for _, h := range r.hubs {
		h.mu.Lock()
		for _, m := range h.mailboxes {
			if t, ok := m.session.(Ticker); ok {
				tickers = append(tickers, t)
			}
		}
		h.mu.Unlock()
	}
	r.mu.RUnlock()
	for _, t := range tickers {
		t.Tick()
	}
}
