package diskstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// A fan-out has two keys: its record, which does not change, and its progress, which changes with
// each batch of copies and in the same batch of the engine. So after a crash either both are there
// or neither, and no copy needs to be remembered.

const progressLen = placeLen + 8 + 8

func fanoutKey(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, id)
}

// fanoutRecord is the record of a fan-out on disk.
type fanoutRecord struct {
	Sender            string
	Accepted, Expires time.Time
	Body              []byte
}

func appendProgress(b []byte, f *store.Fanout, after store.Place, copied int) []byte {
	b = append(b, after[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(copied))
	return binary.BigEndian.AppendUint64(b, uint64(f.Dropped))
}

func parseProgress(f *store.Fanout, value []byte) error {
	if len(value) != progressLen {
		return fmt.Errorf("progress of fan-out %d: %w", f.ID, errDamaged)
	}
	f.After = store.Place(value)
	f.Copied = int(binary.BigEndian.Uint64(value[placeLen:]))
	f.Dropped = int(binary.BigEndian.Uint64(value[placeLen+8:]))
	return nil
}

// fanouts knows which fan-outs there are, and which leases hold them. After an error of a write it
// reads that again.
type fanouts struct {
	mu      sync.Mutex
	loaded  bool
	senders map[uint64]string
	leases  map[uint64]store.Lease

	// Projects take turns: the one whose last turn is the longest ago is next.
	served map[string]uint64
	turn   uint64
}

// load reads which fan-outs there are. The caller must hold f.mu.
func (f *fanouts) load(s *Store) error {
	if f.loaded {
		return nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixFanout}, UpperBound: []byte{prefixFanout + 1}})
	if err != nil {
		return err
	}
	f.senders = map[uint64]string{}
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		var r fanoutRecord
		if err == nil {
			err = json.Unmarshal(value, &r)
		}
		if err != nil || len(it.Key()) != 1+8 {
			return errors.Join(fmt.Errorf("fan-out: %w", errDamaged), err, it.Close())
		}
		f.senders[binary.BigEndian.Uint64(it.Key()[1:])] = r.Sender
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if f.leases == nil {
		f.leases, f.served = map[uint64]store.Lease{}, map[string]uint64{}
	}
	maps.DeleteFunc(f.leases, func(id uint64, _ store.Lease) bool { return f.senders[id] == "" })
	f.loaded = true
	return nil
}

// begin notes a fan-out, unless its project has max or more.
func (f *fanouts) begin(s *Store, o *store.Fanout, max int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(s); err != nil {
		return false, err
	}
	n := 0
	for _, sender := range f.senders {
		if sender == o.Sender {
			n++
		}
	}
	if n >= max {
		return false, nil
	}
	if f.senders[o.ID] != "" {
		return false, fmt.Errorf("fan-out %d: %w", o.ID, store.ErrExists)
	}
	f.senders[o.ID] = o.Sender
	return true, nil
}

// failed notes that a write failed, so that nobody knows what is on disk. The fan-outs become free.
func (f *fanouts) failed(ids ...uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = false
	for _, id := range ids {
		delete(f.leases, id)
	}
}

// BeginFanouts implements store.Fanouts.
func (s *Store) BeginFanouts(ctx context.Context, batch []*store.Fanout, max int, now time.Time) ([]bool, error) {
	if err := s.refusesGrowth(); err != nil {
		return nil, fmt.Errorf("begin a fan-out: %w", err)
	}
	w := &beginWork{fanouts: batch, max: max, kept: make([]bool, len(batch)), now: now.UnixMilli(), waiting: make(chan error, 1)}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if err := s.committer.do(ctx, w); err != nil {
		s.fanouts.failed()
		return nil, fmt.Errorf("begin a fan-out: %w", err)
	}
	return w.kept, nil
}

// beginWork is a call of BeginFanouts.
type beginWork struct {
	fanouts []*store.Fanout
	max     int
	now     int64
	kept    []bool
	waiting
}

func (w *beginWork) size() (entries, bytes int) {
	for _, o := range w.fanouts {
		bytes += changeWeight + len(o.Body)
	}
	return len(w.fanouts), bytes
}

func (w *beginWork) stage(g *group) error {
	marks := &putWork{now: w.now}
	for i, o := range w.fanouts {
		var err error
		if w.kept[i], err = g.s.fanouts.begin(g.s, o, w.max); err != nil {
			return err
		}
		if !w.kept[i] {
			continue
		}
		if err := g.setFanout(o); err != nil {
			return err
		}
		marks.batch = append(marks.batch, store.Entry{Mark: o.Mark})
		marks.outcomes = append(marks.outcomes, store.Outcome{ID: 1})
	}
	return g.stageMarks(marks)
}

func (g *group) setFanout(o *store.Fanout) error {
	return errors.Join(
		g.setJSON(fanoutKey(prefixFanout, o.ID), fanoutRecord{o.Sender, o.Accepted, o.Expires, o.Body}),
		g.batch.Set(fanoutKey(prefixProgress, o.ID), appendProgress(nil, o, o.After, o.Copied), nil),
	)
}

// ClaimFanouts implements store.Fanouts. No other process has the store, so a lease holds its
// fan-outs as long as this one lives.
func (s *Store) ClaimFanouts(ctx context.Context, l store.Lease, max int) (claimed []*store.Fanout, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	ids, err := s.fanouts.claim(s, l, max)
	for _, id := range ids {
		o, readErr := s.readFanout(id)
		if readErr != nil {
			err = readErr
			break
		}
		claimed = append(claimed, o)
	}
	if err != nil {
		s.fanouts.failed(ids...)
		return nil, fmt.Errorf("claim fan-outs: %w", err)
	}
	return claimed, nil
}

// claim gives free fan-outs to a lease.
func (f *fanouts) claim(s *Store, l store.Lease, max int) (claimed []uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(s); err != nil {
		return nil, err
	}
	if len(f.leases) == len(f.senders) {
		return nil, nil // most calls find nothing
	}
	oldest := map[string][]uint64{}
	for _, id := range slices.Sorted(maps.Keys(f.senders)) {
		if _, held := f.leases[id]; !held {
			oldest[f.senders[id]] = append(oldest[f.senders[id]], id)
		}
	}
	for len(claimed) < max && len(oldest) > 0 {
		next := slices.MinFunc(slices.Collect(maps.Keys(oldest)), func(a, b string) int {
			return cmp.Or(cmp.Compare(f.served[a], f.served[b]), cmp.Compare(oldest[a][0], oldest[b][0]))
		})
		id := oldest[next][0]
		if oldest[next] = oldest[next][1:]; len(oldest[next]) == 0 {
			delete(oldest, next)
		}
		f.turn++
		f.leases[id], f.served[next] = l, f.turn
		claimed = append(claimed, id)
	}
	return claimed, nil
}

func (s *Store) readFanout(id uint64) (*store.Fanout, error) {
	var r fanoutRecord
	if err := s.getJSON(fanoutKey(prefixFanout, id), &r); err != nil {
		return nil, fmt.Errorf("fan-out %d: %w", id, err)
	}
	o := &store.Fanout{ID: id, Sender: r.Sender, Accepted: r.Accepted, Expires: r.Expires, Body: r.Body}
	value, _, err := s.get(fanoutKey(prefixProgress, id))
	if err != nil {
		return nil, err
	}
	return o, parseProgress(o, value)
}

// CopyFanout implements store.Fanouts.
func (s *Store) CopyFanout(ctx context.Context, l store.Lease, o *store.Fanout, copies []store.Entry, places []store.Place, done bool, now time.Time) ([]store.Outcome, error) {
	put, err := newPutWork(copies, now)
	if err != nil {
		return nil, err
	}
	if err := s.refusesGrowth(); err != nil && len(copies) > 0 {
		return nil, fmt.Errorf("copy fan-out %d: %w", o.ID, err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if err := s.fanouts.holds(s, l, o.ID); err != nil {
		return nil, fmt.Errorf("copy fan-out %d: %w", o.ID, err)
	}
	w := &copyWork{putWork: put, fanout: o, places: places, done: done}
	if err := s.committer.do(ctx, w); err != nil {
		s.fanouts.failed(o.ID)
		return nil, fmt.Errorf("copy fan-out %d: %w", o.ID, err)
	}
	if done {
		s.fanouts.done(o)
	}
	return w.outcomes, nil
}

func (f *fanouts) done(o *store.Fanout) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.senders, o.ID)
	delete(f.leases, o.ID)
	for _, sender := range f.senders {
		if sender == o.Sender {
			return
		}
	}
	delete(f.served, o.Sender)
}

func (f *fanouts) holds(s *Store, l store.Lease, id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(s); err != nil {
		return err
	}
	if held, ok := f.leases[id]; !ok || held != l {
		return store.ErrTakenOver
	}
	return nil
}

// copyWork is a call of CopyFanout.
type copyWork struct {
	*putWork
	fanout *store.Fanout
	places []store.Place
	done   bool
}

func (w *copyWork) size() (entries, bytes int) {
	entries, bytes = w.putWork.size()
	return entries + 1, bytes + changeWeight
}

// stage puts the copies and the progress. If a queue makes the group flush what it has staged, or
// if a copy fails, the progress so far goes with the copies so far.
func (w *copyWork) stage(g *group) error {
	staged := 0
	soFar := func() error {
		if staged == 0 {
			return nil
		}
		o := w.fanout
		copied := max(0, o.Copied-len(w.batch)+staged)
		return g.batch.Set(fanoutKey(prefixProgress, o.ID), appendProgress(nil, o, w.places[staged-1], copied), nil)
	}
	g.beforeFlush = soFar
	defer func() { g.beforeFlush = nil }()
	for ; staged < len(w.batch); staged++ {
		if err := w.stageEntry(g, staged); err != nil {
			return errors.Join(err, soFar())
		}
	}
	o := w.fanout
	if w.done {
		return errors.Join(
			g.batch.Delete(fanoutKey(prefixFanout, o.ID), nil),
			g.batch.Delete(fanoutKey(prefixProgress, o.ID), nil),
		)
	}
	return g.batch.Set(fanoutKey(prefixProgress, o.ID), appendProgress(nil, o, o.After, o.Copied), nil)
}

// RenewFanouts implements store.Fanouts. Leases do not lapse.
func (s *Store) RenewFanouts(ctx context.Context, _ store.Lease) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.life.RUnlock()
	return nil
}

// ReleaseFanouts implements store.Fanouts.
func (s *Store) ReleaseFanouts(ctx context.Context, l store.Lease, ids ...uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.fanouts.mu.Lock()
	defer s.fanouts.mu.Unlock()
	maps.DeleteFunc(s.fanouts.leases, func(id uint64, held store.Lease) bool {
		return held == l && (len(ids) == 0 || slices.Contains(ids, id))
	})
	return nil
}

// Fanouts implements store.Fanouts.
func (s *Store) Fanouts(ctx context.Context, sender string) (all []*store.Fanout, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	s.fanouts.mu.Lock()
	err = s.fanouts.load(s)
	senders := maps.Clone(s.fanouts.senders)
	s.fanouts.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(senders)) {
		if err != nil {
			break
		}
		if sender != "" && senders[id] != sender {
			continue
		}
		o, readErr := s.readFanout(id)
		switch {
		case errors.Is(readErr, store.ErrNotFound): // done since
		case readErr != nil:
			err = readErr
		default:
			o.Body = nil
			all = append(all, o)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list fan-outs: %w", err)
	}
	return all, nil
}

// restoreFanout stages a fan-out, unless it exists.
func (g *group) restoreFanout(o *store.Fanout) error {
	_, found, err := g.s.get(fanoutKey(prefixFanout, o.ID))
	if err != nil || found {
		return err
	}
	g.s.fanouts.failed() // it will be read
	return g.setFanout(o)
}
