package memstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// Put stores a batch.
func (s *Store) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	for i := range batch {
		if err := limits.Check(&batch[i]); err != nil {
			return nil, err
		}
	}
	outcomes := make([]store.Outcome, len(batch))
	ms := now.UnixMilli()
	var sh *shard
	for i := range batch {
		if next := s.shard(batch[i].Key); next != sh {
			if sh != nil {
				sh.mu.Unlock()
			}
			sh = next
			sh.mu.Lock()
		}
		outcomes[i] = sh.put(&batch[i], ms)
	}
	if sh != nil {
		sh.mu.Unlock()
	}
	return outcomes, nil
}

func (sh *shard) put(e *store.Entry, now int64) store.Outcome {
	var dedup dedupKey
	if e.Dedup != "" {
		dedup = dedupKey{e.Key, store.SumDedup(e.Dedup)}
		if sh.dedup.seen(dedup, now) {
			return store.Outcome{Result: store.Duplicate}
		}
	}
	q := sh.queue(e.Key)
	v, _ := q.summary.Judge(e, now, q) // a queue in memory cannot fail to be scanned
	if v.Result == store.Refused {
		return store.Outcome{Result: v.Result}
	}
	displaced := v.Displaced()
	for _, id := range displaced {
		sh.remove(q.items[id])
	}
	if e.Dedup != "" {
		sh.dedup.remember(dedup, now, now+e.DedupFor.Milliseconds())
	}
	if v.Result == store.Discarded {
		return store.Outcome{ID: sh.add(q, *limits.Marker(e, v, now)).ID, Result: v.Result, Displaced: displaced}
	}
	c := *e
	c.App, c.Collapse, c.Dedup = strings.Clone(e.App), strings.Clone(e.Collapse), strings.Clone(e.Dedup)
	c.Body = slices.Clone(e.Body)
	return store.Outcome{ID: sh.add(q, c).ID, Result: v.Result, Displaced: displaced}
}

// Has reports whether an entry is in its queue.
func (s *Store) Has(ctx context.Context, k store.Key, id store.ID) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[k]
	return q != nil && q.items[id] != nil, nil
}

// Claim gives entries to a lease.
func (s *Store) Claim(ctx context.Context, k store.Key, l store.Lease, max int, now time.Time) ([]store.Entry, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[k]
	if q == nil {
		return nil, nil
	}
	var claimed []store.Entry
	ms := now.UnixMilli()
	for r := range q.waiting {
		list := &q.waiting[r]
		for it := list.first; it != nil && len(claimed) < max; {
			next := it.next
			if it.expires > ms {
				list.remove(it)
				it.lease = l
				e := it.Entry
				e.Body = slices.Clone(e.Body)
				claimed = append(claimed, e)
			}
			it = next
		}
	}
	return claimed, nil
}

// Ack forgets entries.
func (s *Store) Ack(ctx context.Context, k store.Key, ids ...store.ID) (missing []store.ID, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[k]
	if q == nil {
		return slices.Clone(ids), nil
	}
	for _, id := range ids {
		if it := q.items[id]; it != nil {
			sh.remove(it)
		} else {
			missing = append(missing, id)
		}
	}
	sh.drop(q)
	return missing, nil
}

// Release ends a lease.
func (s *Store) Release(ctx context.Context, k store.Key, l store.Lease) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if q := sh.queues[k]; q != nil {
		q.release(l)
	}
	return nil
}

// Purge forgets the entries of an app instance, claimed ones and markers included.
func (s *Store) Purge(ctx context.Context, k store.Key, app string) (purged []store.ID, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[k]
	if q == nil {
		return nil, nil
	}
	for id, it := range q.items {
		if it.App == app {
			sh.remove(it)
			purged = append(purged, id)
		}
	}
	sh.drop(q)
	return purged, nil
}

// Expire forgets expired entries.
func (s *Store) Expire(ctx context.Context, now time.Time, max int) (expired []store.Entry, more bool, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, false, err
	}
	s.sweepMu.Lock()
	defer s.sweepMu.Unlock()
	left, ms := max, now.UnixMilli()
	for ; s.sweepAt < len(s.shards); s.sweepAt++ {
		var done bool
		if expired, done = s.shards[s.sweepAt].expire(expired, &left, ms); !done {
			return expired, true, nil
		}
	}
	s.sweepAt = 0
	return expired, false, nil
}

// expire looks at no more items than left says, and reports whether it has seen all.
func (sh *shard) expire(expired []store.Entry, left *int, now int64) ([]store.Entry, bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.dedup.forget(now, *left)
	if !sh.sweeping {
		sh.sweeping, sh.sweep = true, sh.oldest
	}
	for ; sh.sweep != nil; *left-- {
		if *left <= 0 {
			return expired, false
		}
		it := sh.sweep
		sh.sweep = it.newer
		if it.expires > now || it.lease != 0 {
			continue
		}
		sh.remove(it)
		sh.drop(it.queue)
		expired = append(expired, it.Entry)
	}
	sh.sweeping = false
	return expired, true
}
