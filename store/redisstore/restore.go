package redisstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var (
	restoreScript  = load("restore")
	rememberScript = load("remember")
)

const (
	restoreDevices = 64          // devices whose registrations are written at once
	clockPatience  = time.Minute // how long to wait until the clock passes a sequence number
)

// Restore stores a page of another store.
func (s *Store) Restore(ctx context.Context, p *store.Page, now time.Time) error {
	for _, step := range []func() error{
		func() error { return s.requireNoOtherNode(ctx) },
		func() error { return passSeq(ctx, p.HighestSeq()) },
		func() error { return store.RestoreAccounts(ctx, s, p) },
		func() error { return s.restoreRegistrations(ctx, p.Registrations) },
		func() error { return s.restoreSubscriptions(ctx, p.Subscriptions) },
		func() error { return s.restoreGroups(ctx, p.Groups) },
		func() error { return s.restoreFanouts(ctx, p.Fanouts) },
		func() error {
			return s.transport.Run(ctx, append(s.rememberCalls(p.Remembered, now), s.restoreCalls(p.Entries, now)...)...)
		},
	} {
		if err := step(); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	return nil
}

// passSeq waits until the clock, which sequence numbers follow, is beyond a number that another
// store has used. That store may be a little ahead, if its numbers come from a Redis too.
func passSeq(ctx context.Context, seq uint64) error {
	ahead := time.Duration(int64(seq)-clock()) * time.Microsecond
	switch {
	case seq > maxSeq || ahead > clockPatience:
		return fmt.Errorf("sequence number %d is ahead of the clock: is that right?", seq)
	case ahead < 0:
		return nil
	}
	select {
	case <-time.After(ahead + time.Microsecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restoreRegistrations stores the records of several devices at once.
func (s *Store) restoreRegistrations(ctx context.Context, all []*store.Registration) error {
	byDevice := map[uint64][]*store.Registration{}
	for _, r := range all {
		byDevice[r.Device] = append(byDevice[r.Device], r)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(restoreDevices)
	for device, records := range byDevice {
		g.Go(func() error { return s.restoreDevice(ctx, device, records) })
	}
	return g.Wait()
}

func (s *Store) restoreDevice(ctx context.Context, device uint64, records []*store.Registration) error {
	return s.changeDevice(ctx, device, func(there []*store.Registration) (changed []*store.Registration, err error) {
		for _, r := range records {
			i := slices.IndexFunc(there, func(old *store.Registration) bool { return old.Token == r.Token })
			switch {
			case i < 0:
				changed = append(changed, r)
			case !store.Alike(there[i], r):
				return nil, fmt.Errorf("registration of device %d: %w", device, store.ErrExists)
			}
			if err := s.reserve(ctx, r); err != nil {
				return nil, err
			}
		}
		return changed, nil
	})
}

func (s *Store) restoreSubscriptions(ctx context.Context, subs []*store.Subscription) error {
	const noLimit = 1 << 30
	if _, err := s.subscribe(ctx, subs, noLimit); err != nil {
		return fmt.Errorf("subscriptions: %w", err)
	}
	return nil
}

func (s *Store) restoreFanouts(ctx context.Context, all []*store.Fanout) error {
	calls := make([]*transport.Call, len(all))
	for i, f := range all {
		record, progress, err := encodeFanout(f)
		if err != nil {
			return fmt.Errorf("fan-out %d: %w", f.ID, err)
		}
		calls[i] = &transport.Call{
			Script: restoreFanout, Safe: true, Durable: true,
			Keys: append(s.fanoutsKeys("jobs", "progress", "senders", "counts", "turns"), s.fanoutsKey(freeMark+f.Sender)),
			Args: []any{fanoutText(f.ID), f.Sender, record, progress},
		}
	}
	return s.transport.Run(ctx, calls...)
}

func (s *Store) rememberCalls(all []store.Remembered, now time.Time) (calls []*transport.Call) {
	for _, r := range all {
		if left := r.Until.Sub(now); left > 0 {
			calls = append(calls, &transport.Call{
				Script: rememberScript, Keys: []string{s.dedupKey(r.Key, r.Sum)},
				Args: []any{r.Until.UnixMilli(), left.Milliseconds()}, Safe: true, Durable: true,
			})
		}
	}
	return calls
}

// restoreCalls returns the lots of entries, each of one queue. They may be put in any order.
func (s *Store) restoreCalls(entries []store.Entry, now time.Time) (calls []*transport.Call) {
	open := map[store.Key]*transport.Call{}
	for i := range entries {
		e := &entries[i]
		size := recordLen(e)
		c := open[e.Key]
		if c == nil || c.Size+size > lotBytes {
			c = &transport.Call{
				Script: restoreScript, Keys: s.queueKeys(e.Key), Args: []any{now.UnixMilli(), clock()}, Safe: true, Durable: true,
			}
			open[e.Key] = c
			calls = append(calls, c)
		}
		c.Size += size
		c.Args = append(c.Args, placeOf(e.ID), appendRecord(make([]byte, 0, size), e))
	}
	return calls
}
