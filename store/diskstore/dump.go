package diskstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"openccs/store"
)

var _ store.Movable = (*Store)(nil)

// dumped is what a dump reads, in its order. The other keys follow from these, or belong to this store alone.
var dumped = []byte{prefixSecret, prefixProject, prefixClient, prefixRefresh, prefixToken, prefixDedup, prefixEntry}

// Dump reads everything as it is at its beginning. A page's Next is its last key.
func (s *Store) Dump(ctx context.Context, from string, now time.Time) iter.Seq2[*store.Page, error] {
	return func(yield func(*store.Page, error) bool) {
		d := &dump{ctx: ctx, now: now.UnixMilli(), yield: yield, page: &store.Page{}}
		if err := s.dump(d, from); err != nil && !errors.Is(err, errEnough) {
			yield(nil, fmt.Errorf("dump: %w", err))
		}
	}
}

// dump is a call of Dump.
type dump struct {
	ctx   context.Context
	now   int64
	yield func(*store.Page, error) bool
	page  *store.Page
	last  []byte // the key that was read last, nil before the first
}

// errEnough says that the caller of Dump wants no more pages.
var errEnough = errors.New("no more pages wanted")

func (s *Store) dump(d *dump, from string) (err error) {
	if err := s.enter(d.ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if d.last, err = hex.DecodeString(from); err != nil {
		return fmt.Errorf("%q is no place to go on from: %w", from, err)
	}
	if d.page.Seq, _, err = s.getNumber(metaSeq); err != nil {
		return err
	}
	snapshot := s.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	rest := dumped
	if len(d.last) > 0 {
		rest = dumped[max(0, slices.Index(dumped, d.last[0])):]
	}
	for _, prefix := range rest {
		if err := d.section(snapshot, prefix); err != nil {
			return err
		}
	}
	return d.turn()
}

// section reads what has one prefix, behind the key that was read last.
func (d *dump) section(snapshot *pebble.Snapshot, prefix byte) (err error) {
	first := []byte{prefix}
	if len(d.last) > 0 && d.last[0] == prefix {
		first = append(slices.Clone(d.last), 0)
	}
	it, err := snapshot.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if d.page.Len() == store.PageSize {
			if err := d.turn(); err != nil {
				return err
			}
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := d.add(it.Key(), value); err != nil {
			return fmt.Errorf("key %q: %w", it.Key(), err)
		}
		d.last = append(d.last[:0], it.Key()...)
	}
	return it.Error()
}

// turn hands the page over and begins the next.
func (d *dump) turn() error {
	d.page.Next = hex.EncodeToString(d.last)
	if !d.yield(d.page, nil) {
		return errEnough
	}
	d.page = &store.Page{Seq: d.page.Seq}
	return d.ctx.Err()
}

// add takes a record into the page, unless it has expired.
func (d *dump) add(key, value []byte) error {
	p := d.page
	switch key[0] {
	case prefixSecret:
		p.Secrets = append(p.Secrets, store.Secret{Name: string(key[1:]), Value: slices.Clone(value)})
	case prefixProject:
		return addJSON(&p.Projects, value)
	case prefixClient:
		return addJSON(&p.Clients, value)
	case prefixRefresh:
		return addJSON(&p.RefreshTokens, value)
	case prefixToken:
		return addJSON(&p.Registrations, value)
	case prefixDedup:
		return d.addRemembered(key, value)
	case prefixEntry:
		return d.addEntry(key, value)
	}
	return nil
}

func addJSON[T any](records *[]*T, value []byte) error {
	r := new(T)
	*records = append(*records, r)
	return json.Unmarshal(value, r)
}

func (d *dump) addRemembered(key, value []byte) error {
	if len(key) != dedupKeyLen || len(value) != 8 {
		return errDamaged
	}
	if until := int64(binary.BigEndian.Uint64(value)); until > d.now {
		d.page.Remembered = append(d.page.Remembered, store.Remembered{
			Key: parseQueueKey(key), Sum: store.DedupSum(key[queueKeyLen:]), Until: time.UnixMilli(until),
		})
	}
	return nil
}

func (d *dump) addEntry(key, value []byte) error {
	if len(key) != entryKeyLen {
		return errDamaged
	}
	r, err := parseRecord(value)
	if err != nil || r.expires <= d.now {
		return err
	}
	e := r.entry(parseEntryKey(key))
	if r.flags&flagAway != 0 {
		e.Limit.Overflow = store.Discard
	}
	d.page.Entries = append(d.page.Entries, e)
	return nil
}
