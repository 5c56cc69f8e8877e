package ccs

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// storeHealthLog limits what the log says of a failing store. It gets one line when the store
// becomes unavailable and one when that ends, not one for each call.
type storeHealthLog struct {
	mu    sync.Mutex
	began time.Time // when the store became unavailable; zero while it is available
	last  time.Time // when a call last failed because of that
	calls int       // calls that failed because of that

	others logLimit // failures of other kinds
}

// logLimit limits the log lines about something that may happen often.
type logLimit struct {
	mu     sync.Mutex
	logged time.Time // time of the last line
	hidden int       // how often it has happened since then
}

// shouldLog reports whether to log what has happened n times, and how often it has happened since
// the last line before that. There is one line in every.
func (l *logLimit) shouldLog(now time.Time, every time.Duration, n int) (hidden int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.logged) < every {
		l.hidden += n
		return 0, false
	}
	hidden, l.hidden, l.logged = l.hidden, 0, now
	return hidden, true
}

const (
	// troubleEvery is the time between two checks of the store, and between two lines on other
	// failures.
	troubleEvery = time.Second
	troubleOver  = time.Second // recovery takes this long without a failed call
)

// StoreFailed logs a failed call of the store with the caller's logger. While the store is
// unavailable the line is for debugging only, because the log says so already. For other failures
// there is one line a second.
func (r *Router) StoreFailed(log *zap.Logger, what string, err error, fields ...zap.Field) {
	fields = append(fields, zap.Error(err))
	switch {
	case errors.Is(err, store.ErrUnavailable):
		r.unavailable(err, 1)
		log.Debug(what, fields...)
	case store.Unavailable(err): // the session or the server is ending
		log.Debug(what, fields...)
	default:
		hidden, ok := r.trouble.others.shouldLog(time.Now(), troubleEvery, 1)
		if !ok {
			log.Debug(what, fields...)
			return
		}
		if hidden > 0 {
			fields = append(fields, zap.Int("hidden", hidden))
		}
		log.Error(what, fields...)
	}
}

// unavailable records that calls failed because the store is unavailable. A store with a health
// check may fail for one queue only; then the store as a whole is not unavailable.
func (r *Router) unavailable(err error, calls int) {
	if h, ok := r.store.(store.Health); ok {
		health := h.Health()
		if health == nil {
			return
		}
		err = health
	}
	now := time.Now()
	t := &r.trouble
	t.mu.Lock()
	t.last = now
	t.calls += calls
	begins := t.began.IsZero()
	if begins {
		t.began = now
	}
	t.mu.Unlock()
	if begins {
		r.log.Error("store unavailable", zap.Error(err))
	}
}

// WatchStore logs when the store becomes unavailable and when it is available again, until ctx
// ends.
func (r *Router) WatchStore(ctx context.Context) error {
	tick := time.NewTicker(troubleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if err := r.StoreHealth(); err != nil {
				r.unavailable(err, 0)
			} else if took, calls, over := r.trouble.recovered(now); over {
				r.log.Info("store available again", zap.Duration("took", took), zap.Int("calls", calls))
			}
		}
	}
}

// recovered ends an outage after some time without a failed call.
func (t *storeHealthLog) recovered(now time.Time) (took time.Duration, calls int, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() || now.Sub(t.last) < troubleOver {
		return 0, 0, false
	}
	took, calls = now.Sub(t.began), t.calls
	t.began, t.calls = time.Time{}, 0
	return took, calls, true
}

// StoreHealth returns why the store is unavailable, or nil. It returns at once and makes no call.
func (r *Router) StoreHealth() error {
	if h, ok := r.store.(store.Health); ok {
		return h.Health()
	}
	return nil
}
