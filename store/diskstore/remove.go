package diskstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// purgeStep is how many entries of an app instance are removed at a time.
const purgeStep = 1000

// Ack forgets entries. It hides entries that a lease holds at once, without a read from disk. The
// call returns when they are gone from disk too.
func (s *Store) Ack(ctx context.Context, k store.Key, ids ...store.ID) (missing []store.ID, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if len(ids) == 0 {
		return nil, nil
	}
	held, others := s.acknowledge(k, ids)
	if err := s.health.refusal(failed); err != nil {
		return nil, fmt.Errorf("ack %s: %w", k, err) // claimed entries go after the reopening
	}
	var errs [2]error
	if len(held) > 0 {
		w := &ackWork{key: k, ids: held, waiting: make(chan error, 1)}
		s.committer.push(store.Key{}, w) // all acks share a turn: they are small, and often many
		if errs[0] = w.wait(s); errs[0] == nil {
			missing = w.missing
		}
	}
	if len(others) > 0 {
		w := &dropWork{places: others}
		if errs[1] = s.drop(ctx, w); errs[1] == nil {
			missing = append(missing, w.missing...)
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("ack %s: %w", k, err)
	}
	return missing, nil
}

// AckAsync implements store.AsyncAcker. The removal is on disk with the next sync, or lateSync
// later. A session that does not wait for it need not cause a sync.
func (s *Store) AckAsync(k store.Key, ids []store.ID, done func(missing []store.ID, err error)) bool {
	if err := s.enter(context.Background()); err != nil {
		return false
	}
	defer s.life.RUnlock()
	if s.health.refusal(failed) != nil {
		return false
	}
	weight := int64(len(ids) * ackWeight)
	if !s.committer.room.TryAcquire(weight) {
		return false
	}
	held, others := s.acknowledge(k, ids)
	s.committer.push(store.Key{}, &asyncAck{
		ackWork: ackWork{key: k, ids: held}, others: dropWork{places: others},
		committer: &s.committer, weight: weight, done: done,
	})
	return true
}

// asyncAck is a call of AckAsync.
type asyncAck struct {
	ackWork
	others    dropWork // entries that no lease held
	committer *committer
	weight    int64 // share of the committer's room
	done      func(missing []store.ID, err error)
}

func (w *asyncAck) patient() bool { return true }

func (w *asyncAck) size() (entries, bytes int) {
	entries, bytes = w.ackWork.size()
	more, moreBytes := w.others.size()
	return entries + more, bytes + moreBytes
}

func (w *asyncAck) stage(g *group) error {
	if err := w.ackWork.stage(g); err != nil {
		return err
	}
	return w.others.stage(g)
}

func (w *asyncAck) finish(err error) {
	w.committer.room.Release(w.weight)
	if err != nil {
		w.done(nil, err)
		return
	}
	w.done(append(w.missing, w.others.missing...), nil)
}

// acknowledge marks the entries that a lease holds as leaving. The others are not in memory.
func (s *Store) acknowledge(k store.Key, ids []store.ID) (held []store.ID, others []entryPosition) {
	sh := s.queues.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[k]
	held = make([]store.ID, 0, len(ids))
	for _, id := range ids {
		var m *mark
		if q != nil {
			m = q.marks.of(id)
		}
		switch {
		case m == nil:
			others = append(others, entryPosition{k, id})
		case m.lease != 0:
			m.lease, m.acked = 0, true
			held = append(held, id)
		case m.acked: // again: the call before may have failed
			held = append(held, id)
		}
	}
	return held, others
}

// ackWork is the removal of entries that are marked as leaving.
type ackWork struct {
	key     store.Key
	ids     []store.ID
	missing []store.ID // those of ids that were removed before by other work
	waiting
}

func (w *ackWork) size() (entries, bytes int) { return len(w.ids), len(w.ids) * ackWeight }

func (w *ackWork) stage(g *group) error {
	leaving := g.c.leaving[:0]
	sh := g.s.queues.shard(w.key)
	sh.mu.Lock()
	if q := sh.queues[w.key]; q != nil {
		for _, id := range w.ids {
			// Other work, such as a replacement, may have removed it before.
			m := q.marks.of(id)
			if m == nil || m.removed {
				w.missing = append(w.missing, id)
				continue
			}
			m.removed = true
			leaving = append(leaving, limits.Gone{ID: id, Expires: m.expires})
		}
	} else {
		w.missing = w.ids
	}
	sh.mu.Unlock()
	g.c.leaving = leaving
	for _, gone := range leaving {
		if err := g.erase(w.key, gone); err != nil {
			return err
		}
	}
	return nil
}

// undo marks the entries as leaving again. Their removal may have been published already.
func (w *ackWork) undo(s *Store) {
	sh := s.queues.shard(w.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[w.key]
	if q == nil {
		q = &queue{}
		sh.queues[w.key] = q
	}
	for _, id := range w.ids {
		q.marks.set(id, mark{acked: true})
	}
}

// dropWork is the removal of entries that may exist.
type dropWork struct {
	places  []entryPosition
	strings []dedupKey // remembered strings to forget if they are over
	now     int64      // for strings
	sparing bool       // spare entries that a lease holds

	dropped []store.Entry // removed entries
	missing []store.ID    // entries that did not exist
	waiting
}

func (w *dropWork) size() (entries, bytes int) {
	n := len(w.places) + len(w.strings)
	return n, n * ackWeight
}

func (w *dropWork) stage(g *group) error {
	for _, p := range w.places {
		if w.sparing && (source{g, p.key}).Claimed(p.id) {
			continue
		}
		e, found, err := g.read(p.key, p.id)
		if err != nil {
			return err
		}
		if !found {
			w.missing = append(w.missing, p.id)
			continue
		}
		if err := g.remove(p.key, limits.Gone{ID: p.id, Expires: e.Expires.UnixMilli()}); err != nil {
			return err
		}
		w.dropped = append(w.dropped, e)
	}
	for i := range w.strings {
		key := &w.strings[i]
		seen, err := g.seen(key, w.now)
		if err != nil {
			return err
		}
		if !seen {
			if err := g.batch.Delete(key[:], nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) drop(ctx context.Context, w *dropWork) error {
	w.waiting = make(chan error, 1)
	return s.committer.do(ctx, w)
}

// Purge forgets the entries of an app instance, claimed ones and markers included.
func (s *Store) Purge(ctx context.Context, k store.Key, app string) (purged []store.ID, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	for next := store.ID(0); ; {
		w := &dropWork{}
		var err error
		if next, err = s.entriesOf(k, app, next, w); err == nil && len(w.places) > 0 {
			err = s.drop(ctx, w)
		}
		if err != nil {
			return purged, fmt.Errorf("purge %s: %w", k, err)
		}
		for i := range w.dropped {
			purged = append(purged, w.dropped[i].ID)
		}
		if next == 0 {
			return purged, nil
		}
	}
}

// entriesOf collects entries of an app instance, and returns where to go on, or 0 at the end.
func (s *Store) entriesOf(k store.Key, app string, from store.ID, w *dropWork) (next store.ID, err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	first := keyOf(k, from)
	for it.SeekPrefixGE(first[:]); it.Valid(); it.Next() {
		_, id := parseEntryKey(it.Key())
		if len(w.places) == purgeStep {
			return id, it.Close()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return 0, errors.Join(err, it.Close())
		}
		r, err := parseRecord(value)
		if err != nil {
			return 0, errors.Join(err, it.Close())
		}
		if string(r.app) == app {
			w.places = append(w.places, entryPosition{k, id})
		}
	}
	return 0, errors.Join(it.Error(), it.Close())
}
