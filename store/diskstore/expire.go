package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// sweeper walks over all entries and remembered strings, a part of them in each call. There is no
// index of expiry, because it would cost every message a second key.
type sweeper struct {
	mu   sync.Mutex
	next []byte // key to go on from; nil at the beginning of a sweep
}

// Expire forgets expired entries and strings. Forgotten strings count as looked at, and are not
// returned. A claimed entry is left to its lease.
func (s *Store) Expire(ctx context.Context, now time.Time, max int) (expired []store.Entry, more bool, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, false, err
	}
	defer s.life.RUnlock()
	s.sweeper.mu.Lock()
	defer s.sweeper.mu.Unlock()
	w := &dropWork{now: now.UnixMilli(), sparing: true}
	next, err := s.overdue(w, s.sweeper.next, max)
	if err == nil && len(w.places)+len(w.strings) > 0 {
		err = s.drop(ctx, w)
	}
	if err != nil {
		return nil, true, fmt.Errorf("expire: %w", err)
	}
	s.sweeper.next = next
	return w.dropped, next != nil, nil
}

// overdue collects expired entries and strings, looking at no more than max keys. It returns where
// to go on.
func (s *Store) overdue(w *dropWork, from []byte, max int) (next []byte, err error) {
	if from == nil {
		from = []byte{prefixEntry}
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{sweepEnd}})
	if err != nil {
		return nil, err
	}
	var last []byte
	for it.First(); it.Valid(); it.Next() {
		key := it.Key()
		last = append(last[:0], key...)
		if max--; max < 0 {
			next = append([]byte{}, key...)
			return next, it.Close()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		if err := w.look(key, value); err != nil {
			return nil, errors.Join(err, it.Close())
		}
	}
	err = it.Error()
	if last == nil {
		last = from
	}
	if next = s.damage.after(last); pebble.IsCorruptionError(err) && next != nil {
		_ = it.Close() // it repeats the error
		return next, nil
	}
	return nil, errors.Join(err, it.Close())
}

// look adds a key to the work if it has expired.
func (w *dropWork) look(key, value []byte) error {
	switch {
	case key[0] == prefixEntry && len(key) == entryKeyLen:
		expires, err := expiresOf(value)
		if err == nil && expires <= w.now {
			k, id := parseEntryKey(key)
			w.places = append(w.places, entryPosition{k, id})
		}
		return err
	case key[0] == prefixDedup && len(key) == dedupKeyLen && len(value) == 8:
		if int64(binary.BigEndian.Uint64(value)) <= w.now {
			w.strings = append(w.strings, dedupKey(key))
		}
		return nil
	}
	return fmt.Errorf("key %q: %w", key, errDamaged)
}
