package redisstore

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// All fan-outs in progress are in one slot, so that a node finds free ones, and counts those of a
// project, in one step. That slot sees one script for each message to a topic and one for each
// batch of copies.
//
// The copies are in the slots of their devices. So they are put first, under dedup strings, and
// then the progress is stored: a copy that is put again after a crash is a duplicate.

var (
	beginFanouts   = load("begin_fanouts")
	claimFanouts   = load("claim_fanouts")
	advanceFanout  = load("advance_fanout")
	releaseFanouts = load("release_fanouts")
	restoreFanout  = load("restore_fanout")
	keepMarks      = load("keep_marks")
)

const (
	fanoutsTag  = "fanouts"
	progressLen = placeLen + 8 + 8
	listFanouts = 100 // records that Fanouts reads at once
)

// The keys of fan-outs.
func (s *Store) fanoutsKey(what string) string { return s.key(fanoutsTag, what) }

func (s *Store) heldKey(l store.Lease) string { return s.fanoutsKey(heldMark + leaseText(l)) }

func (s *Store) fanoutsKeys(whats ...string) []string {
	keys := make([]string, len(whats), len(whats)+1)
	for i, what := range whats {
		keys[i] = s.fanoutsKey(what)
	}
	return keys
}

const (
	heldMark = "held:" // begins what the key of a lease's fan-outs is
	freeMark = "free:" // begins what the key of a project's fan-outs is that nobody holds
)

// leastFanoutLease is for a router that renews its lease once a second.
const leastFanoutLease = 4 * time.Second

// fanoutLease is how long after its last call a node holds fan-outs. It is declared dead after two
// heartbeats.
func (s *Store) fanoutLease() time.Duration {
	return min(max(3*s.opts.Heartbeat, leastFanoutLease), store.FanoutLease)
}

func leaseText(l store.Lease) string { return strconv.FormatUint(uint64(l), 10) }

func fanoutText(id uint64) string { return strconv.FormatUint(id, 10) }

// fanoutRecord is the record of a fan-out.
type fanoutRecord struct {
	Sender            string
	Accepted, Expires time.Time
	Body              []byte
}

func encodeFanout(f *store.Fanout) (record, progress []byte, err error) {
	if record, err = json.Marshal(fanoutRecord{f.Sender, f.Accepted, f.Expires, f.Body}); err != nil {
		return nil, nil, err
	}
	return record, encodeProgress(f), nil
}

func encodeProgress(f *store.Fanout) []byte {
	b := append(make([]byte, 0, progressLen), f.After[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.Copied))
	return binary.BigEndian.AppendUint64(b, uint64(f.Dropped))
}

func decodeFanout(id, record, progress any) (*store.Fanout, error) {
	text, _ := id.(string)
	raw, ok := record.(string)
	at, _ := progress.(string)
	n, err := strconv.ParseUint(text, 10, 64)
	var r fanoutRecord
	if err == nil && ok {
		err = json.Unmarshal([]byte(raw), &r)
	}
	if err != nil || !ok || len(at) != progressLen {
		return nil, fmt.Errorf("fan-out %s: %w", text, errDamaged)
	}
	b := []byte(at)
	return &store.Fanout{
		ID: n, Sender: r.Sender, Accepted: r.Accepted, Expires: r.Expires, Body: r.Body,
		After:  store.Place(b),
		Copied: int(binary.BigEndian.Uint64(b[placeLen:])), Dropped: int(binary.BigEndian.Uint64(b[placeLen+8:])),
	}, nil
}

// givenFanouts are the fan-outs that this process works on, by lease. A lease may hold more of
// them, if a reply was lost.
type givenFanouts struct {
	mu  sync.Mutex
	all map[store.Lease]map[uint64]struct{}
}

func (g *givenFanouts) add(l store.Lease, ids ...uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[store.Lease]map[uint64]struct{}{}
	}
	if g.all[l] == nil {
		g.all[l] = map[uint64]struct{}{}
	}
	for _, id := range ids {
		g.all[l][id] = struct{}{}
	}
}

func (g *givenFanouts) remove(l store.Lease, ids ...uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.all[l], id)
	}
	if len(ids) == 0 {
		delete(g.all, l)
	}
}

func (g *givenFanouts) list(l store.Lease) []uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.all[l]))
}

// BeginFanouts implements store.Fanouts.
func (s *Store) BeginFanouts(ctx context.Context, batch []*store.Fanout, max int, now time.Time) ([]bool, error) {
	c := &transport.Call{
		Script: beginFanouts, Safe: true, Durable: true, Hasty: true,
		Keys: s.fanoutsKeys("jobs", "progress", "senders", "counts", "turns"),
		Args: []any{s.fanoutsKey(freeMark), max},
	}
	for _, f := range batch {
		record, progress, err := encodeFanout(f)
		if err != nil {
			return nil, fmt.Errorf("begin a fan-out: %w", err)
		}
		c.Args = append(c.Args, fanoutText(f.ID), f.Sender, record, progress)
	}
	if err := s.transport.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("begin a fan-out: %w", err)
	}
	reply, _ := c.Reply.([]any)
	if len(reply) != len(batch) {
		return nil, fmt.Errorf("begin a fan-out: %w %v", errReply, c.Reply)
	}
	kept := make([]bool, len(batch))
	var marks []byte
	for i, r := range reply {
		switch r {
		case int64(1):
			kept[i] = true
			marks = append(marks, batch[i].Mark[:]...)
		case int64(-1):
			return nil, fmt.Errorf("fan-out %d: %w", batch[i].ID, store.ErrExists)
		}
	}
	return kept, s.keepFanoutMarks(ctx, marks, now)
}

// keepFanoutMarks stores the marks of fan-outs that were begun. After a crash before that, a repeat
// of the message counts as new; after that, it is recognised.
func (s *Store) keepFanoutMarks(ctx context.Context, marks []byte, now time.Time) error {
	if !s.keepsRepeats() || len(marks) == 0 {
		return nil
	}
	slot, lasts := s.repeats.add(now, len(marks)/len(store.Mark{}))
	return s.transport.Run(ctx, &transport.Call{
		Script: keepMarks, Keys: []string{s.repeatsKey(slot)}, Args: []any{lasts.Milliseconds(), marks}, Safe: true, Durable: true, Hasty: true,
	})
}

// ClaimFanouts implements store.Fanouts.
func (s *Store) ClaimFanouts(ctx context.Context, l store.Lease, max int) ([]*store.Fanout, error) {
	c := &transport.Call{
		Script: claimFanouts, Safe: true,
		Keys: append(s.fanoutsKeys("jobs", "progress", "senders", "holders", "leases", "turns"), s.heldKey(l)),
		Args: []any{leaseText(l), s.fanoutLease().Milliseconds(), max, s.fanoutsKey(freeMark), s.fanoutsKey(heldMark)},
	}
	for _, id := range s.fanouts.list(l) {
		c.Args = append(c.Args, fanoutText(id))
	}
	if err := s.transport.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("claim fan-outs: %w", err)
	}
	values, _ := c.Reply.([]any)
	var claimed []*store.Fanout
	for i := 0; i+2 < len(values); i += 3 {
		f, err := decodeFanout(values[i], values[i+1], values[i+2])
		if err != nil {
			return nil, fmt.Errorf("claim fan-outs: %w", err)
		}
		s.fanouts.add(l, f.ID)
		claimed = append(claimed, f)
	}
	return claimed, nil
}

// CopyFanout implements store.Fanouts. It changes the Dedup of the copies.
func (s *Store) CopyFanout(ctx context.Context, l store.Lease, f *store.Fanout, copies []store.Entry, places []store.Place, done bool, now time.Time) ([]store.Outcome, error) {
	var outcomes []store.Outcome
	if len(copies) > 0 {
		for i := range copies {
			copies[i].Dedup = "fan-out " + fanoutText(f.ID) + " " + string(places[i][devicePartLen:])
			copies[i].DedupFor = store.CopyDedupFor
		}
		var err error
		if outcomes, err = s.Put(ctx, copies, now); err != nil {
			return nil, fmt.Errorf("copy fan-out %d: %w", f.ID, err)
		}
	}
	progress := []byte{}
	if !done {
		progress = encodeProgress(f)
	}
	c := &transport.Call{
		Script: advanceFanout, Safe: true, Durable: true,
		Keys: append(s.fanoutsKeys("jobs", "progress", "senders", "holders", "leases", "counts"), s.heldKey(l)),
		Args: []any{leaseText(l), s.fanoutLease().Milliseconds(), fanoutText(f.ID), f.Sender, progress},
	}
	if err := s.transport.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("copy fan-out %d: %w", f.ID, err)
	}
	if c.Reply != int64(1) && !(done && c.Repeated) {
		s.fanouts.remove(l, f.ID)
		return nil, fmt.Errorf("copy fan-out %d: %w", f.ID, store.ErrTakenOver)
	}
	if done {
		s.fanouts.remove(l, f.ID)
	}
	return outcomes, nil
}

// RenewFanouts implements store.Fanouts.
func (s *Store) RenewFanouts(ctx context.Context, l store.Lease) error {
	return s.releaseFanouts(ctx, l, s.fanoutLease())
}

// ReleaseFanouts implements store.Fanouts.
func (s *Store) ReleaseFanouts(ctx context.Context, l store.Lease, ids ...uint64) error {
	lasts := s.fanoutLease()
	if len(ids) == 0 {
		lasts = 0
	}
	s.fanouts.remove(l, ids...)
	return s.releaseFanouts(ctx, l, lasts, ids...)
}

func (s *Store) releaseFanouts(ctx context.Context, l store.Lease, lasts time.Duration, ids ...uint64) error {
	c := &transport.Call{
		Script: releaseFanouts, Safe: true,
		Keys: append(s.fanoutsKeys("senders", "holders", "leases", "turns"), s.heldKey(l)),
		Args: []any{leaseText(l), lasts.Milliseconds(), s.fanoutsKey(freeMark)},
	}
	for _, id := range ids {
		c.Args = append(c.Args, fanoutText(id))
	}
	if err := s.transport.Run(ctx, c); err != nil {
		return fmt.Errorf("lease of fan-outs: %w", err)
	}
	return nil
}

// Fanouts implements store.Fanouts.
func (s *Store) Fanouts(ctx context.Context, sender string) ([]*store.Fanout, error) {
	all, err := s.readFanouts(ctx, func(f *store.Fanout) bool { return sender == "" || f.Sender == sender })
	if err != nil {
		return nil, fmt.Errorf("list fan-outs: %w", err)
	}
	for _, f := range all {
		f.Body = nil
	}
	return all, nil
}

// readFanouts reads the fan-outs that pass a test, in order.
func (s *Store) readFanouts(ctx context.Context, want func(*store.Fanout) bool) (all []*store.Fanout, err error) {
	var keys *redis.StringSliceCmd
	if err := s.transport.Read(ctx, func(p redis.Pipeliner) { keys = p.HKeys(ctx, s.fanoutsKey("jobs")) }); err != nil {
		return nil, err
	}
	ids := keys.Val()
	slices.SortFunc(ids, func(a, b string) int { // as numbers
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		if a < b {
			return -1
		}
		return 1
	})
	for some := range slices.Chunk(ids, listFanouts) {
		var records, progress *redis.SliceCmd
		err := s.transport.Read(ctx, func(p redis.Pipeliner) {
			records, progress = p.HMGet(ctx, s.fanoutsKey("jobs"), some...), p.HMGet(ctx, s.fanoutsKey("progress"), some...)
		})
		if err != nil {
			return nil, err
		}
		for i, record := range records.Val() {
			f, err := decodeFanout(some[i], record, progress.Val()[i])
			if record == nil || errors.Is(err, errDamaged) && progress.Val()[i] == nil {
				continue // done after the numbers were listed
			}
			if err != nil {
				return nil, err
			}
			if want(f) {
				all = append(all, f)
			}
		}
	}
	return all, nil
}
