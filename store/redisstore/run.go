package redisstore

import (
	"context"
	"fmt"
	"time"

	"openccs/store"
)

// How long a call waits before it is tried again.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
)

// run runs calls, each as soon as it can, and returns when all have ended. The error of each is in it; run
// returns the first. The calls of one run reach each slot in order, but for those that had to be tried again.
func (s *Store) run(ctx context.Context, calls ...*call) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.carryOut(ctx, calls)
}

// carryOut is run for a store that may be closing.
func (s *Store) carryOut(ctx context.Context, calls []*call) error {
	s.send(ctx, calls)
	if s.retry(calls) != nil {
		s.insist(ctx, calls)
	}
	for _, c := range calls {
		if c.err != nil {
			return fmt.Errorf("%s: %w", c.script.name, s.translate(c.err))
		}
	}
	return nil
}

// insist tries calls again that have failed and may be repeated.
func (s *Store) insist(ctx context.Context, calls []*call) {
	over := time.NewTimer(s.opts.Retry)
	defer over.Stop()
	for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
		next := time.NewTimer(wait)
		defer next.Stop()
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-next.C:
		}
		calls = s.retry(calls)
		for _, c := range calls {
			if c.again != nil && !untouched(c.err) {
				c.again()
			}
		}
		if len(calls) == 0 {
			return
		}
		s.send(ctx, calls)
	}
}

// retry is those calls that have failed and may be repeated.
func (s *Store) retry(calls []*call) (again []*call) {
	for _, c := range calls {
		if c.err != nil && c.err != store.ErrClosed && (untouched(c.err) || c.safe && lost(c.err)) {
			again = append(again, c)
		}
	}
	return again
}
