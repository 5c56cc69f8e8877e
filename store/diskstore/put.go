package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

const (
	entryWeight = 64 // weight of an entry in bytes, besides its record
	ackWeight   = 32 // weight of an acknowledgement in bytes
)

// Put stores a batch and returns when it is on disk.
func (s *Store) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	w, err := newPutWork(batch, now)
	if err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if len(batch) == 0 {
		return nil, nil
	}
	if err := s.refusesGrowth(); err != nil && !allReceipts(batch) {
		return nil, fmt.Errorf("put: %w", err)
	}
	// The committer reads the batch in place, so from here on the call cannot be cut short.
	if err := s.committer.do(ctx, w); err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	return w.outcomes, nil
}

// allReceipts reports whether a batch has only receipts. They are accepted when little space is
// left, because each comes with the acknowledgement of a message, which frees more space.
func allReceipts(batch []store.Entry) bool {
	return !slices.ContainsFunc(batch, func(e store.Entry) bool { return e.Key.Kind != store.KindReceipts })
}

// putWork is a call of Put.
type putWork struct {
	batch    []store.Entry
	now      int64
	bytes    int
	marked   bool // an entry has a Mark
	outcomes []store.Outcome
	waiting
}

func newPutWork(batch []store.Entry, now time.Time) (*putWork, error) {
	w := &putWork{
		batch: batch, now: now.UnixMilli(), outcomes: make([]store.Outcome, len(batch)), waiting: make(chan error, 1),
	}
	for i := range batch {
		if err := limits.Check(&batch[i]); err != nil {
			return nil, err
		}
		w.bytes += entryWeight + recordLen(&batch[i])
		w.marked = w.marked || batch[i].Mark != (store.Mark{})
	}
	return w, nil
}

func (w *putWork) size() (entries, bytes int) { return len(w.batch), w.bytes }

func (w *putWork) stage(g *group) error {
	for i := range w.batch {
		if err := w.stageEntry(g, i); err != nil {
			return err
		}
	}
	if w.marked {
		return g.stageMarks(w)
	}
	return nil
}

func (w *putWork) stageEntry(g *group, i int) error {
	if g.s.damage.hits(w.batch[i].Key) {
		w.outcomes[i] = store.Outcome{Result: store.Damaged}
		return nil
	}
	var err error
	if w.outcomes[i], err = g.put(&w.batch[i], w.now); err != nil {
		if g.broken != nil || !pebble.IsCorruptionError(err) {
			return err
		}
		g.dropIter()
		w.outcomes[i] = store.Outcome{Result: store.Damaged}
	}
	return nil
}

// put judges an entry and stages it.
func (g *group) put(e *store.Entry, now int64) (store.Outcome, error) {
	if e.Dedup != "" {
		g.dedup = dedupKeyOf(e.Key, store.SumDedup(e.Dedup))
		if seen, err := g.seen(&g.dedup, now); err != nil || seen {
			return store.Outcome{Result: store.Duplicate}, err
		}
	}
	g.src = source{g, e.Key}
	// A queue without limits needs no summary, but an existing summary must stay correct.
	sum := g.c.summaries.peek(e.Key)
	switch {
	case sum == nil && g.c.summaries.counts.admits(e):
	case e.Limit != (store.Limit{}) || e.Collapse != "":
		var err error
		if sum, err = g.c.summaries.of(e.Key, now, &g.src); err != nil {
			return store.Outcome{}, err
		}
	}
	var v limits.Verdict
	if sum != nil {
		var err error
		if v, err = sum.Judge(e, now, &g.src); err != nil || v.Result == store.Refused {
			return store.Outcome{Result: v.Result}, err
		}
		for _, gone := range v.Remove {
			if err := g.remove(e.Key, gone); err != nil {
				return store.Outcome{}, err
			}
		}
	}
	if e.Dedup != "" {
		g.remember(&g.dedup, now+e.DedupFor.Milliseconds())
	}
	if v.Result == store.Discarded {
		e = limits.Marker(e, v, now)
	}
	id, err := g.place(e)
	if err != nil {
		return store.Outcome{}, err
	}
	if sum != nil {
		sum.Add(limits.HeadOf(e, id))
		g.c.summaries.weigh(sum)
	}
	return store.Outcome{ID: id, Result: v.Result, Displaced: v.Displaced()}, nil
}

// remember notes a string that is remembered until a time in milliseconds.
func (g *group) remember(key *dedupKey, until int64) {
	if g.dedups == nil {
		g.dedups = map[dedupKey]int64{}
	}
	g.dedups[*key] = until
	g.c.remembered.add(key)
}

// stageDedups stages the strings that remember has noted, in order and after the entries. For the
// engine, a key that follows the one before it costs the least.
func (g *group) stageDedups() error {
	for _, key := range slices.SortedFunc(maps.Keys(g.dedups), func(a, b dedupKey) int { return bytes.Compare(a[:], b[:]) }) {
		op := g.batch.SetDeferred(len(key), 8)
		copy(op.Key, key[:])
		binary.BigEndian.PutUint64(op.Value, uint64(g.dedups[key]))
		if err := op.Finish(); err != nil {
			return err
		}
	}
	return nil
}

// seen reports whether a string is remembered.
func (g *group) seen(key *dedupKey, now int64) (bool, error) {
	if !g.c.remembered.may(key) {
		return false, nil
	}
	if until, ok := g.dedups[*key]; ok {
		return now < until, nil
	}
	it, err := g.iter()
	if err != nil {
		return false, err
	}
	if !it.SeekPrefixGE(key[:]) {
		return false, it.Error()
	}
	value, err := it.ValueAndErr()
	if err != nil || len(value) != 8 {
		return false, errors.Join(err, errDamaged)
	}
	return now < int64(binary.BigEndian.Uint64(value)), nil
}
