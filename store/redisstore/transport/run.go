package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
)

// How long a call waits before it is tried again.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
)

// Run runs calls, each as soon as possible, and returns when all have ended. Each call holds its
// error; Run returns the first. The calls of one run reach each slot in order, except those that
// were tried again.
func (t *Transport) Run(ctx context.Context, calls ...*Call) error {
	if err := t.Usable(ctx); err != nil {
		return err
	}
	return t.RunClosing(ctx, calls)
}

// RunClosing is Run for a Transport that takes no more calls, until Close.
func (t *Transport) RunClosing(ctx context.Context, calls []*Call) error {
	t.Carry(ctx, calls)
	for _, c := range calls {
		if c.Err != nil {
			return fmt.Errorf("%s: %w", c.Script.name, t.Translate(c.Err))
		}
	}
	return nil
}

// Carry runs calls. Each call holds its error.
func (t *Transport) Carry(ctx context.Context, calls []*Call) {
	if len(calls) == 0 {
		return
	}
	t.send(ctx, calls)
	if failed := t.retry(calls); failed != nil {
		t.runWithRetry(ctx, failed)
	}
}

// runWithRetry tries failed calls again if they may be repeated.
func (t *Transport) runWithRetry(ctx context.Context, calls []*Call) {
	over := time.NewTimer(t.opts.Retry)
	defer over.Stop()
	for wait := firstBackoff; len(calls) > 0; wait = min(2*wait, maxBackoff) {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-time.After(wait):
		}
		for _, c := range calls {
			if untouched(c.Err) {
				continue
			}
			c.Repeated = true
			if c.Again != nil {
				c.Again()
			}
		}
		t.send(ctx, calls)
		calls = t.retry(calls)
	}
}

// retry returns the failed calls that may be repeated.
func (t *Transport) retry(calls []*Call) (again []*Call) {
	for _, c := range calls {
		if c.Err != nil && !errors.Is(c.Err, store.ErrClosed) && !errors.Is(c.Err, errStalled) && (untouched(c.Err) || c.Safe && Lost(c.Err)) {
			again = append(again, c)
		}
	}
	return again
}
