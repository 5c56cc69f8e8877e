package diskstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// SetPresent notes that a queue has a session. It does not wait for the disk.
func (s *Store) SetPresent(ctx context.Context, k store.Key, present bool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if err := s.health.refusal(stalled); err != nil {
		return fmt.Errorf("set present %s: %w", k, err)
	}
	if err := s.committer.room.Acquire(ctx, ackWeight); err != nil {
		return fmt.Errorf("set present %s: %w", k, err)
	}
	s.committer.push(store.Key{}, &presentWork{key: presentKey(s.run, k), present: present, committer: &s.committer})
	return nil
}

// presentWork is a call of SetPresent.
type presentWork struct {
	key       []byte
	present   bool
	committer *committer
}

func (w *presentWork) size() (entries, bytes int) { return 1, ackWeight }
func (w *presentWork) durable() bool              { return false }
func (w *presentWork) patient() bool              { return false }
func (w *presentWork) finish(error)               { w.committer.room.Release(ackWeight) }

func (w *presentWork) stage(g *group) error {
	if w.present {
		return g.batch.Set(w.key, nil, nil)
	}
	return g.batch.Delete(w.key, nil)
}

// Present lists the queues that had a session when the store was last used, and adopts them for
// this run. It does not list the notes of SetPresent since Open.
func (s *Store) Present(ctx context.Context) (keys []store.Key, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	first, end := []byte{prefixPresent}, presentKey(s.run, store.Key{})
	seen := map[store.Key]bool{}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: end})
	if err != nil {
		return nil, fmt.Errorf("present: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		if k := parsePresentKey(it.Key()); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("present: %w", err)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	takeOver := func(g *group) error {
		for _, k := range keys {
			if err := g.batch.Set(presentKey(s.run, k), nil, nil); err != nil {
				return err
			}
		}
		return g.batch.DeleteRange(first, end, nil)
	}
	if err := s.committer.do(ctx, newChange(takeOver)); err != nil {
		return nil, fmt.Errorf("present: %w", err)
	}
	return keys, nil
}

// change is work of the rarer kinds, for which a caller waits.
type change struct {
	fn func(g *group) error
	waiting
}

// changeWeight is the weight of a change in bytes.
const changeWeight = 1 << 10

func newChange(fn func(g *group) error) *change {
	return &change{fn: fn, waiting: make(chan error, 1)}
}

func (w *change) size() (entries, bytes int) { return 1, changeWeight }
func (w *change) stage(g *group) error       { return w.fn(g) }
