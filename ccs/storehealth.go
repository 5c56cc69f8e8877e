package ccs

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// storeHealthLog is what the log is told of a store that fails: a line when it becomes unavailable and one when that is
// over, and not one for each call.
type storeHealthLog struct {
	mu     sync.Mutex
	began  time.Time // when the store became unavailable; zero while it is not
	last   time.Time // when a call last failed for that
	calls  int       // that failed for that
	logged time.Time // when another failure was last logged
	hidden int       // other failures since
}

const (
	troubleEvery = time.Second // between two looks at the store, and between two lines on failures of other kinds
	troubleOver  = time.Second // no call must have failed for so long
)

// StoreFailed logs that a call of the store has failed, to the logger of the caller. If the store is unavailable, the
// log has that already and the line is for debugging only; of other failures there is one line a second.
func (r *Router) StoreFailed(log *zap.Logger, what string, err error, fields ...zap.Field) {
	fields = append(fields, zap.Error(err))
	switch {
	case errors.Is(err, store.ErrUnavailable):
		r.unavailable(err, 1)
		log.Debug(what, fields...)
	case store.Unavailable(err): // the session or the server ends
		log.Debug(what, fields...)
	default:
		hidden, ok := r.trouble.shouldLog(time.Now())
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

// shouldLog reports whether a failure is to be logged, and how many were not since the last.
func (t *storeHealthLog) shouldLog(now time.Time) (hidden int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.logged) < troubleEvery {
		t.hidden++
		return 0, false
	}
	hidden, t.hidden, t.logged = t.hidden, 0, now
	return hidden, true
}

// unavailable notes that the store is unavailable, and how many calls failed for that. A store that tells its health may be so for
// one queue and not for others; then it is not in trouble as a whole.
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

// WatchStore logs when the store becomes unavailable and when it is available again, until ctx ends.
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
				r.log.Info("store available again", zap.Duration("took", took), zap.Int("failed_calls", calls))
			}
		}
	}
}

// recovered ends what began if no call has failed for some time.
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

// StoreHealth returns why the store is unavailable, or nil. It asks nobody and returns at once.
func (r *Router) StoreHealth() error {
	if h, ok := r.store.(store.Health); ok {
		return h.Health()
	}
	return nil
}
