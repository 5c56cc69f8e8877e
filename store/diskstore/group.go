package diskstore

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// group is work that is applied as one batch. It belongs to the committer, and after that to the
// finisher.
type group struct {
	c       *committer
	s       *Store
	batch   *pebble.Batch
	works   []work
	waiters []waiter
	broken  error // the batch could not be applied

	// The batch makes these changes. They are kept until it is applied.
	placed  []batchEntry
	gone    []entryPosition
	dedups  map[dedupKey]int64
	records []*store.Registration
	forgot  []string // tokens

	src      source           // the queue that is being judged
	dedup    dedupKey         // the string that is being looked up
	it       *pebble.Iterator // over all applied data; nil until it is needed
	durable  bool             // a caller waits for the disk, and not for the sync of other work
	flushed  bool             // a part of the group is applied already
	unsynced bool             // the batch must be waited for
	last     uint64           // the highest sequence number given out when it was applied
	seal     bool             // write a sync mark even without other writes

	// beforeFlush stages what must be applied together with all that was staged before; nil for
	// nothing.
	beforeFlush func() error
}

// waiter is work that waits for the disk.
type waiter struct {
	work
	err error // of this work only
}

// batchEntry is an entry of the batch; it is nil if the same batch removes it again.
type batchEntry struct {
	entry *store.Entry
	id    store.ID
}

type entryPosition struct {
	key store.Key
	id  store.ID
}

func newGroup(c *committer, works []work) *group {
	return &group{c: c, s: c.s, batch: c.s.db.NewBatch(), works: works}
}

// write stages all work and applies it. The engine panics when it cannot write its log.
func (g *group) write() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("commit: %v", p)
		}
		if err != nil {
			g.closeIter()
		}
	}()
	if err := errors.Join(g.c.failure(), g.c.remembered.turn(g.s.db)); err != nil {
		return err
	}
	g.waiters = make([]waiter, 0, len(g.works))
	for _, w := range g.works {
		err := w.stage(g)
		if g.broken != nil {
			return g.broken
		}
		g.durable = g.durable || w.durable() && !w.patient()
		g.waiters = append(g.waiters, waiter{w, err})
	}
	if err := errors.Join(g.stageDedups(), g.closeIter()); err != nil {
		return err
	}
	if !g.durable || g.s.opts.NoSync {
		return g.apply()
	}
	if g.batch.Empty() && (g.flushed || len(g.c.late) > 0) {
		if err := g.batch.LogData(nil, nil); err != nil {
			return err
		}
	}
	if !g.batch.Empty() || g.seal {
		var mark [syncMarkLen]byte
		if err := g.batch.LogData(appendSyncMark(mark[:0], g.c.sealer.synced.Load()), nil); err != nil {
			return err
		}
		if err := g.s.db.ApplyNoSyncWait(g.batch, pebble.Sync); err != nil {
			return err
		}
		g.unsynced = true
	}
	g.publish()
	return nil
}

// apply applies the batch without waiting for the disk.
func (g *group) apply() error {
	if !g.batch.Empty() {
		if err := g.s.db.Apply(g.batch, pebble.NoSync); err != nil {
			return err
		}
	}
	g.publish()
	return nil
}

// flush makes all staged writes visible to reads of the database, for work that reads them.
func (g *group) flush() error {
	if g.batch.Empty() && len(g.dedups) == 0 {
		return nil
	}
	if g.beforeFlush != nil {
		if g.broken = g.beforeFlush(); g.broken != nil {
			return g.broken
		}
	}
	if g.broken = errors.Join(g.stageDedups(), g.closeIter(), g.apply()); g.broken != nil {
		return g.broken
	}
	g.flushed = true
	batch := g.batch
	g.batch = g.s.db.NewBatch()
	return batch.Close()
}

// iter returns an iterator over all that was applied before the group, or by its last flush. All
// lookups of the group share it, and each seeks its own prefix.
func (g *group) iter() (*pebble.Iterator, error) {
	if g.it != nil {
		return g.it, nil
	}
	var err error
	g.it, err = g.s.db.NewIter(nil)
	return g.it, err
}

func (g *group) closeIter() error {
	if g.it == nil {
		return nil
	}
	it := g.it
	g.it = nil
	return it.Close()
}

// dropIter closes the iterator after it has met damage, which it would report again.
func (g *group) dropIter() {
	if g.it != nil {
		_ = g.it.Close()
		g.it = nil
	}
}

// flushQueue makes the staged writes of a queue visible to reads of the database.
func (g *group) flushQueue(k store.Key) error {
	for i := range g.placed {
		if e := g.placed[i].entry; e == nil || e.Key == k {
			return g.flush()
		}
	}
	for i := range g.gone {
		if g.gone[i].key == k {
			return g.flush()
		}
	}
	return nil
}

// finishUnsynced finishes the work that does not wait for the disk, and keeps the rest.
func (g *group) finishUnsynced() {
	if g.s.opts.NoSync {
		for _, w := range g.waiters {
			w.finish(w.err)
		}
		g.waiters = nil
	}
	g.waiters = slices.DeleteFunc(g.waiters, func(w waiter) bool {
		if !w.durable() {
			w.finish(w.err)
			return true
		}
		if g.durable {
			return false
		}
		if len(g.c.late) == 0 {
			g.c.lateSince = time.Now()
		}
		g.c.late = append(g.c.late, w)
		return true
	})
	if len(g.waiters) == 0 {
		g.batch.Close()
	}
}

// sync waits until the batch is on disk. Groups are waited for in order. A group that wrote
// nothing may have overtaken earlier ones, and is answered after them.
func (g *group) sync() error {
	if !g.unsynced {
		return g.batch.Close()
	}
	err := g.batch.SyncWait()
	if err == nil {
		g.c.sealer.note(uint64(g.batch.SeqNum()) + uint64(g.batch.Count()))
	}
	return errors.Join(err, g.batch.Close())
}

// publish reports the applied changes to the queues in memory.
func (g *group) publish() {
	g.placed = slices.DeleteFunc(g.placed, func(p batchEntry) bool { return p.entry == nil })
	for run := range runs(g.placed, func(p batchEntry) store.Key { return p.entry.Key }) {
		k := run[0].entry.Key
		sh := g.s.queues.shard(k)
		sh.mu.Lock()
		if q := sh.queues[k]; q != nil {
			for _, p := range run {
				g.s.queues.arrived(q, p.entry, p.id)
			}
		}
		sh.mu.Unlock()
	}
	for run := range runs(g.gone, func(p entryPosition) store.Key { return p.key }) {
		k := run[0].key
		sh := g.s.queues.shard(k)
		sh.mu.Lock()
		if q := sh.queues[k]; q != nil {
			for _, p := range run {
				g.s.queues.removed(q, p.id)
			}
			g.s.queues.drop(sh, k, q)
		}
		sh.mu.Unlock()
	}
	g.s.records.replace(g.records, g.forgot)
	g.placed, g.gone, g.records, g.forgot = g.placed[:0], g.gone[:0], g.records[:0], g.forgot[:0]
	clear(g.dedups)
}

// runs returns the parts of a list whose elements are of the same queue.
func runs[T any](all []T, key func(T) store.Key) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n := 1
			for n < len(all) && key(all[n]) == key(all[0]) {
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// place stages an entry under a new ID. The entry must not change until the group is applied.
func (g *group) place(e *store.Entry) (store.ID, error) {
	seq, err := g.c.nextSeq()
	if err != nil {
		g.broken = err
		return 0, err
	}
	id := store.MakeID(e.Rank, seq)
	if err := g.set(e, id); err != nil {
		return 0, err
	}
	g.placed = append(g.placed, batchEntry{e, id})
	return id, nil
}

// set stages the record of an entry.
func (g *group) set(e *store.Entry, id store.ID) error {
	key := keyOf(e.Key, id)
	op := g.batch.SetDeferred(len(key), recordLen(e))
	copy(op.Key, key[:])
	putRecord(op.Value, e)
	return op.Finish()
}

// remove stages the removal of an entry that exists, and keeps it from being claimed until then.
func (g *group) remove(k store.Key, gone limits.Gone) error {
	sh := g.s.queues.shard(k)
	sh.mu.Lock()
	if q := sh.queues[k]; q != nil {
		if m := q.marks.of(gone.ID); m != nil {
			m.removed, m.expires = true, gone.Expires
		} else {
			q.marks.set(gone.ID, mark{removed: true, expires: gone.Expires})
		}
		g.s.queues.discard(q, gone.ID)
	}
	sh.mu.Unlock()
	if i, found := slices.BinarySearchFunc(g.placed, gone.ID.Seq(), func(p batchEntry, seq uint64) int {
		return int(int64(p.id.Seq()) - int64(seq))
	}); found {
		g.placed[i].entry = nil
	}
	return g.erase(k, gone)
}

// erase stages the removal of an entry that is marked already. An entry's key is written once and
// erased once, so that the engine may drop both as soon as they meet.
func (g *group) erase(k store.Key, gone limits.Gone) error {
	key := keyOf(k, gone.ID)
	if err := g.batch.SingleDelete(key[:], nil); err != nil {
		return err
	}
	g.gone = append(g.gone, entryPosition{k, gone.ID})
	if sum := g.c.summaries.peek(k); sum != nil {
		sum.Remove(gone)
	} else {
		g.c.summaries.counts.remove(k, gone)
	}
	return nil
}

// read reads an entry, if it exists.
func (g *group) read(k store.Key, id store.ID) (e store.Entry, found bool, err error) {
	if err := g.flushQueue(k); err != nil {
		return e, false, err
	}
	key := keyOf(k, id)
	value, closer, err := g.s.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	e, err = entryOf(key[:], value)
	return e, true, errors.Join(err, closer.Close())
}
