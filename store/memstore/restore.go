package memstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openccs/openccs/store"
)

// Restore keeps a page of another store.
func (s *Store) Restore(ctx context.Context, p *store.Page, _ time.Time) error {
	if err := store.RestoreAccounts(ctx, s, p); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.registry.restore(p.Registrations); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	s.registry.restoreSubscriptions(p.Subscriptions)
	if err := s.registry.restoreGroups(p.Groups); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	s.fanouts.restore(p.Fanouts)
	seq := p.HighestSeq()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.seq = max(sh.seq, seq)
		sh.mu.Unlock()
	}
	for _, r := range p.Remembered {
		sh := s.shard(r.Key)
		sh.mu.Lock()
		sh.dedup.restore(dedupKey{r.Key, r.Sum}, r.Until.UnixMilli())
		sh.mu.Unlock()
	}
	for i := range p.Entries {
		sh := s.shard(p.Entries[i].Key)
		sh.mu.Lock()
		sh.restore(&p.Entries[i])
		sh.mu.Unlock()
	}
	return nil
}

func (g *registry) restore(records []*store.Registration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, reg := range records {
		old := g.byToken[reg.Token]
		switch {
		case old != nil && store.Alike(old, reg):
			continue
		case old != nil:
			return fmt.Errorf("registration of device %d: %w", reg.Device, store.ErrExists)
		}
		g.byToken[reg.Token] = reg
		g.byDevice[reg.Device] = append(g.byDevice[reg.Device], reg.Token)
	}
	return nil
}

func (g *registry) restoreSubscriptions(subs []*store.Subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, sub := range subs {
		if g.topics.byPlace[sub.Place][sub.Topic] == nil {
			g.topics.add(sub)
		}
	}
}

func (g *registry) restoreGroups(groups []*store.Group) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, group := range groups {
		switch old := g.groups.byID[group.ID()]; {
		case old == nil:
			g.groups.set(nil, group)
		case !store.Alike(old, group):
			return fmt.Errorf("group %s: %w", group.ID(), store.ErrExists)
		}
	}
	return nil
}

func (d *dedup) restore(k dedupKey, until int64) {
	if _, known := d.until[k]; !known {
		d.order = append(d.order, k)
	}
	d.until[k] = until
}

func (sh *shard) restore(e *store.Entry) {
	q := sh.queue(e.Key)
	if q.items[e.ID] != nil {
		return
	}
	c := *e
	c.Body = slices.Clone(e.Body)
	list := &q.waiting[e.Rank]
	after := list.last // mostly: a page has the entries of a queue in order
	for after != nil && after.ID > e.ID {
		after = after.prev
	}
	list.insert(sh.keep(q, c), after)
}
