package ccs

import "time"

// Clock tells the time that a message's life goes by: acceptance, TTL, expiry, resends. Sockets go by the wall.
type Clock interface {
	Now() time.Time
}

// Jumper is a Clock that a test or an operator moves. After a jump, Router.Run looks at once for what is due, and so do the
// sessions that are Tickers.
type Jumper interface {
	Clock

	// OnJump makes the clock call f after each jump, until stop is called. f does not wait.
	OnJump(f func(from, to time.Time)) (stop func())
}

// Ticker is a Session that goes by the clock: it has resends or time-outs of its own.
type Ticker interface {
	// Tick makes the session look for what is due now instead of at its next tick. It does not wait.
	Tick()
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// jumps receives once after each jump of a clock, or after several; never for a clock that nobody moves.
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

// tickSessions makes every session that goes by the clock look for what is due.
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
