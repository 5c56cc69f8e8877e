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

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/pages"
)

var _ store.Movable = (*Store)(nil)

// dumped lists what a dump reads, in its order. The other keys follow from these, or belong to
// this store only.
var dumped = []byte{prefixSecret, prefixProject, prefixClient, prefixRefresh, prefixApp, prefixUser, prefixChannel, prefixDaily, prefixToken, prefixSubscriber, prefixGroup, prefixFanout, prefixDedup, prefixEntry}

// Dump reads the whole store as it is at the beginning of the dump. A page's Next is its last key.
func (s *Store) Dump(ctx context.Context, from string, now time.Time) iter.Seq2[*store.Page, error] {
	return pages.Of(ctx, func(w *pages.Writer) error {
		if err := s.enter(ctx); err != nil {
			return err
		}
		defer s.life.RUnlock()
		last, err := hex.DecodeString(from)
		if err != nil {
			return fmt.Errorf("%q is no place to go on from: %w", from, err)
		}
		return s.dump(&dump{Writer: w, last: last, now: now.UnixMilli()})
	})
}

// dump is a call of Dump.
type dump struct {
	*pages.Writer
	last []byte // the last key that was read, empty before the first
	now  int64

	snapshot *pebble.Snapshot
}

func (s *Store) dump(d *dump) (err error) {
	if d.Seq, _, err = s.getNumber(metaSeq); err != nil {
		return err
	}
	d.snapshot = s.db.NewSnapshot()
	defer func() { err = errors.Join(err, d.snapshot.Close()) }()
	rest := dumped
	if len(d.last) > 0 {
		rest = dumped[max(0, slices.Index(dumped, d.last[0])):]
	}
	for _, prefix := range rest {
		if err := d.section(prefix); err != nil {
			return err
		}
	}
	return nil
}

// section reads the keys with one prefix, after the last key that was read.
func (d *dump) section(prefix byte) (err error) {
	first := []byte{prefix}
	if len(d.last) > 0 && d.last[0] == prefix {
		first = append(slices.Clone(d.last), 0)
	}
	it, err := d.snapshot.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if err := d.Room(); err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := d.add(it.Key(), value); err != nil {
			return fmt.Errorf("key %q: %w", it.Key(), err)
		}
		d.last = append(d.last[:0], it.Key()...)
		d.Next = hex.EncodeToString(d.last)
	}
	return it.Error()
}

// add adds a record to the page, unless it has expired.
func (d *dump) add(key, value []byte) error {
	p := d.Page
	switch key[0] {
	case prefixSecret:
		p.Secrets = append(p.Secrets, store.Secret{Name: string(key[1:]), Value: slices.Clone(value)})
	case prefixProject:
		return addJSON(&p.Projects, value)
	case prefixClient:
		return addJSON(&p.Clients, value)
	case prefixRefresh:
		return addJSON(&p.RefreshTokens, value)
	case prefixApp:
		return addJSON(&p.Apps, value)
	case prefixUser:
		p.Users = append(p.Users, string(key[1:]))
	case prefixChannel:
		c, err := parseChannel(key, value)
		p.Channels = append(p.Channels, c)
		return err
	case prefixDaily:
		c, err := parseDaily(string(key[1:]), value)
		p.DailyCounts = append(p.DailyCounts, c)
		return err
	case prefixToken:
		return addJSON(&p.Registrations, value)
	case prefixSubscriber:
		return d.addSubscription(key, value)
	case prefixGroup:
		return addJSON(&p.Groups, value)
	case prefixFanout:
		return d.addFanout(key, value)
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

func (d *dump) addSubscription(key, value []byte) error {
	t, p, err := parseSubscriber(key)
	if err != nil {
		return err
	}
	sub, err := subscriptionOf(t, p, value)
	d.Subscriptions = append(d.Subscriptions, &sub)
	return err
}

func (d *dump) addFanout(key, value []byte) error {
	var r fanoutRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	o := &store.Fanout{ID: binary.BigEndian.Uint64(key[1:]), Sender: r.Sender, Accepted: r.Accepted, Expires: r.Expires, Body: r.Body}
	progress, closer, err := d.snapshot.Get(fanoutKey(prefixProgress, o.ID))
	if err != nil {
		return err
	}
	d.Fanouts = append(d.Fanouts, o)
	return errors.Join(parseProgress(o, progress), closer.Close())
}

func (d *dump) addRemembered(key, value []byte) error {
	if len(key) != dedupKeyLen || len(value) != 8 {
		return errDamaged
	}
	if until := int64(binary.BigEndian.Uint64(value)); until > d.now {
		d.Remembered = append(d.Remembered, store.Remembered{
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
	d.Entries = append(d.Entries, e)
	return nil
}
