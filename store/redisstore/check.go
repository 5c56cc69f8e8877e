package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

var checkScript = load("check")

// Each attached queue is looked at once in checkEvery, a part of them at a time: hints may get lost, and what one
// said is late by so much at most.
const (
	checkEvery = time.Second
	checkParts = 10
)

// checkLoop looks at the attached queues until ctx ends.
func (s *Store) checkLoop(ctx context.Context) {
	tick := time.NewTicker(checkEvery / checkParts)
	defer tick.Stop()
	var mine []attachment
	for part := 0; ; part = (part + 1) % checkParts {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if part == 0 {
			var owed map[attachment]time.Duration
			mine, owed = s.peers.sessions()
			s.pay(ctx, owed)
		}
		from, to := part*len(mine)/checkParts, (part+1)*len(mine)/checkParts
		if err := s.check(ctx, mine[from:to]); err != nil && ctx.Err() == nil {
			s.log.Warn("look at the attached queues", zap.Error(err))
		}
	}
}

// Limits of paying, so that the attached queues are looked at in time though a Redis is in trouble.
const (
	payTimeout  = 100 * time.Millisecond
	payFailures = 3
)

// pay detaches the sessions that ended while Redis could not be told. Another Redis' sessions may come first the next
// time, as the order is random.
func (s *Store) pay(ctx context.Context, owed map[attachment]time.Duration) {
	failures := 0
	for a, back := range owed {
		one, cancel := context.WithTimeout(ctx, payTimeout)
		err := s.detach(one, a.key, a.lease, back)
		cancel()
		if err == nil {
			s.peers.paid(a)
		} else if failures++; failures == payFailures {
			return
		}
	}
}

// check looks at queues and wakes the sessions of those in which something waits.
func (s *Store) check(ctx context.Context, some []attachment) error {
	told := s.peers.listener()
	if told == nil || len(some) == 0 {
		return nil
	}
	calls := make([]*call, len(some))
	for i, a := range some {
		calls[i] = &call{script: checkScript, keys: s.queueKeys(a.key), args: []any{s.owner(a.lease)}, safe: true, hasty: true}
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.carry(ctx, calls)
	var failed error
	for i, c := range calls {
		if c.err != nil {
			if err := s.translate(c.err); !errors.Is(err, store.ErrUnavailable) { // the log has that
				failed = firstOf(failed, fmt.Errorf("%s: %w", c.script.name, err))
			}
			continue
		}
		a := some[i]
		parts, _ := c.reply.([]any)
		if len(parts) != 3 || !s.peers.has(a) {
			continue
		}
		mine, others, waiting := parts[0] == int64(1), parts[1] == int64(1), parts[2] == int64(1)
		switch {
		case !mine && others && a.key.Kind == store.KindDevice:
			s.peers.detached(a)
			told.TakenOver(a.key, a.lease)
		case !mine:
			// Redis has lost it, or forgotten after a day without messages.
			s.log.Info("queue attached anew", zap.Stringer("queue", a.key))
			if _, err := s.attach(ctx, a.key, a.lease, false); err != nil {
				failed = firstOf(failed, err)
			}
		}
		if waiting {
			told.Wake(a.key)
		}
	}
	return failed
}
