package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

var _ store.Repeats = (*Store)(nil)

// repeats decides where the marks of entries are stored. The marks of one Put are one record, in
// the batch of its entries. The records of a run belong to generations, of store.MaxRepeats marks
// or store.RepeatsFor. When a generation begins, all before the previous one are removed as a
// range. It belongs to the committer.
type repeats struct {
	run, generation uint64
	records         uint64 // of the generation
	marks           int    // in them
	began           int64  // time of the first record, in milliseconds
	buf             []byte
}

// repeatsKey returns the key of the record of a Put. The keys are in the order of time.
func repeatsKey(run, generation, record uint64) []byte {
	key := make([]byte, 0, repeatsKeyLen)
	key = append(key, prefixRepeats)
	key = binary.BigEndian.AppendUint64(key, run)
	key = binary.BigEndian.AppendUint64(key, generation)
	return binary.BigEndian.AppendUint64(key, record)
}

const markTimeLen = 8 // a record is a time in milliseconds, and marks

// stageMarks stages the marks of a Put whose entries have been staged. It stages no mark for an
// entry that was not kept. Otherwise the message would be taken for a repeat when it comes again,
// and be lost.
func (g *group) stageMarks(w *putWork) error {
	r := &g.c.repeats
	r.buf = binary.BigEndian.AppendUint64(r.buf[:0], uint64(w.now))
	for i := range w.batch {
		m := &w.batch[i].Mark
		if w.outcomes[i].ID == 0 || *m == (store.Mark{}) {
			continue
		}
		r.buf = append(r.buf, m[:]...)
	}
	marks := (len(r.buf) - markTimeLen) / len(store.Mark{})
	if marks == 0 {
		return nil
	}
	switch {
	case r.records == 0 && r.generation == 0:
		r.began = w.now
	case r.marks >= store.MaxRepeats, w.now-r.began >= store.RepeatsFor.Milliseconds():
		if err := g.batch.DeleteRange([]byte{prefixRepeats}, repeatsKey(r.run, r.generation, 0), nil); err != nil {
			return err
		}
		r.generation++
		r.records, r.marks, r.began = 0, 0, w.now
	}
	key := repeatsKey(r.run, r.generation, r.records)
	r.records++
	r.marks += marks
	return g.batch.Set(key, r.buf, nil)
}

// Remembered reads the newest marks, and removes the others.
func (s *Store) Remembered(ctx context.Context, now time.Time) ([]store.Mark, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	marks, rest, err := s.marksSince(now.Add(-store.RepeatsFor).UnixMilli())
	if err == nil && rest != nil {
		err = s.committer.do(ctx, newChange(func(g *group) error {
			return g.batch.DeleteRange([]byte{prefixRepeats}, rest, nil)
		}))
	}
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	return marks, nil
}

// marksSince collects marks from the newest record back. It returns the key before which no record
// is wanted, or nil if there is none.
func (s *Store) marksSince(since int64) (marks []store.Mark, rest []byte, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixRepeats}, UpperBound: []byte{prefixRepeats + 1}})
	if err != nil {
		return nil, nil, err
	}
	for it.Last(); it.Valid(); it.Prev() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, errors.Join(err, it.Close())
		}
		n := len(value) - markTimeLen
		if n < 0 || n%len(store.Mark{}) != 0 {
			return nil, nil, errors.Join(fmt.Errorf("key %q: %w", it.Key(), errDamaged), it.Close())
		}
		n /= len(store.Mark{})
		if int64(binary.BigEndian.Uint64(value)) <= since || len(marks)+n > 2*store.MaxRepeats {
			rest = append(append(rest, it.Key()...), 0)
			break
		}
		for n--; n >= 0; n-- { // the newest first
			marks = append(marks, store.Mark(value[markTimeLen+n*len(store.Mark{}):]))
		}
	}
	slices.Reverse(marks)
	return marks, rest, errors.Join(it.Error(), it.Close())
}
