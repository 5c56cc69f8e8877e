package diskstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// Restore stores a page of another store, and returns when it is on disk.
func (s *Store) Restore(ctx context.Context, p *store.Page, _ time.Time) error {
	err := s.refusesGrowth()
	if err == nil {
		err = store.RestoreAccounts(ctx, s, p)
	}
	if err == nil {
		err = s.changeInOrder(ctx, func(g *group) error { return g.restore(p) })
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func (g *group) restore(p *store.Page) error {
	if err := g.c.skipSeqs(p.HighestSeq()); err != nil {
		g.broken = err
		return err
	}
	for _, r := range p.Registrations {
		if err := g.restoreRegistration(r); err != nil {
			return err
		}
	}
	if len(p.Subscriptions) > 0 { // their registrations may be in this page
		if err := g.flush(); err != nil {
			return err
		}
	}
	for _, sub := range p.Subscriptions {
		if err := g.restoreSubscription(sub); err != nil {
			return err
		}
	}
	for _, d := range p.Groups {
		if err := g.restoreGroup(d); err != nil {
			return err
		}
	}
	for _, o := range p.Fanouts {
		if err := g.restoreFanout(o); err != nil {
			return err
		}
	}
	for _, r := range p.Remembered {
		g.dedup = dedupKeyOf(r.Key, r.Sum)
		g.remember(&g.dedup, r.Until.UnixMilli())
	}
	restored := make(map[entryKey]struct{}, len(p.Entries))
	for i := range p.Entries {
		e := &p.Entries[i]
		key := keyOf(e.Key, e.ID)
		if _, twice := restored[key]; twice {
			continue
		}
		restored[key] = struct{}{}
		if err := g.restoreEntry(key, e); err != nil {
			return err
		}
	}
	return g.flush() // the queues in memory do not have these entries, so later work must read them
}

// restoreEntry stages an entry under its ID, unless it exists: a key is written once.
func (g *group) restoreEntry(key entryKey, e *store.Entry) error {
	_, found, err := g.s.get(key[:])
	if err != nil || found {
		return err
	}
	if err := g.set(e, e.ID); err != nil {
		return err
	}
	sum := g.c.summaries.peek(e.Key)
	if sum == nil {
		delete(g.c.summaries.counts, e.Key) // the count would be too low
		return nil
	}
	sum.Add(limits.HeadOf(e, e.ID))
	g.c.summaries.weigh(sum)
	return nil
}

func (g *group) restoreRegistration(r *store.Registration) error {
	old, err := g.s.readRegistration(r.Token)
	switch {
	case err != nil:
		return err
	case old != nil && store.Alike(old, r):
		return nil
	case old != nil:
		return fmt.Errorf("registration of device %d: %w", r.Device, store.ErrExists)
	}
	if r.Living() {
		err = g.batch.Set(textKey(prefixSlot, r.Slot()), []byte(r.Token), nil)
	}
	return errors.Join(err, g.setRegistration(r), g.batch.Set(deviceKey(r.Device, r.Token), nil, nil))
}
