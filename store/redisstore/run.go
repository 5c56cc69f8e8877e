package redisstore

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
	s.carry(ctx, calls)
	for _, c := range calls {
		if c.err != nil {
			return fmt.Errorf("%s: %w", c.script.name, s.translate(c.err))
		}
	}
	return nil
}

// carry runs calls. The error of each is in it.
func (s *Store) carry(ctx context.Context, calls []*call) {
	if len(calls) == 0 {
		return
	}
	s.send(ctx, calls)
	if failed := s.retry(calls); failed != nil {
		s.insist(ctx, failed)
	}
}

// insist tries calls again that have failed and may be repeated.
func (s *Store) insist(ctx context.Context, calls []*call) {
	over := time.NewTimer(s.opts.Retry)
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
			if untouched(c.err) {
				continue
			}
			c.repeated = true
			if c.again != nil {
				c.again()
			}
		}
		s.send(ctx, calls)
		calls = s.retry(calls)
	}
}

// retry is those calls that have failed and may be repeated.
func (s *Store) retry(calls []*call) (again []*call) {
	for _, c := range calls {
		if c.err != nil && !errors.Is(c.err, store.ErrClosed) && !errors.Is(c.err, errStalled) && (untouched(c.err) || c.safe && lost(c.err)) {
			again = append(again, c)
		}
	}
	return again
}
