package diskstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// Has reports whether an entry is in its queue.
func (s *Store) Has(ctx context.Context, k store.Key, id store.ID) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.life.RUnlock()
	key := keyOf(k, id)
	_, closer, err := s.db.Get(key[:])
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for an entry of %s: %w", k, err)
	}
	return true, closer.Close()
}

// Claim gives entries to a lease. It reads from disk only entries that are not in memory.
func (s *Store) Claim(ctx context.Context, k store.Key, l store.Lease, max int, now time.Time) ([]store.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	c := claim{t: &s.queues, lease: l, max: max, now: now.UnixMilli(), durable: math.MaxUint64}
	if k.Kind == store.KindDevice {
		c.durable = s.committer.durable.Load()
	}
	sh := s.queues.shard(k)
	sh.mu.Lock()
	q := sh.open(k, l)
	if c.claimBuffered(q) {
		sh.mu.Unlock()
		return c.entries, nil
	}
	q.readers++
	sh.mu.Unlock()

	q.reading.Lock()
	err := s.claimFromDisk(ctx, &c, sh, q, k)
	q.reading.Unlock()

	sh.mu.Lock()
	q.endRead()
	s.queues.drop(sh, k, q)
	sh.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, err)
	}
	return c.entries, nil
}

// claim is a call of Claim.
type claim struct {
	t       *table
	lease   store.Lease
	max     int
	now     int64
	durable uint64 // the highest sequence number that may be claimed
	entries []store.Entry
}

// claimBuffered claims entries in memory, and reports whether no other can be claimed. It leaves a
// device's entry that is not on disk yet. If the process died, the device would have the entry and
// its sender would send it again. The Put of the entry returns later and wakes the session. An app
// server gets such an entry at once, because it may get a message twice (CCS 4.4).
// The caller must hold sh.mu.
func (c *claim) claimBuffered(q *queue) bool {
	for r := range q.lanes {
		n := &q.lanes[r]
		c.entries = slices.Grow(c.entries, min(c.max-len(c.entries), len(n.buf)-n.next))
		for !n.empty() && len(c.entries) < c.max && n.buf[n.next].ID.Seq() <= c.durable {
			e := n.pop()
			c.t.account(q, -cost(&e))
			if expires := e.Expires.UnixMilli(); expires > c.now {
				q.marks.set(e.ID, mark{lease: c.lease, expires: expires})
				c.entries = append(c.entries, e)
			}
		}
		if len(c.entries) >= c.max {
			return true
		}
		if n.empty() && !n.whole {
			return false
		}
	}
	return true
}

// claimFromDisk fills the lanes from disk and claims from them until there is nothing more to
// claim.
func (s *Store) claimFromDisk(ctx context.Context, c *claim, sh *tableShard, q *queue, k store.Key) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		sh.mu.Lock()
		if !slices.Contains(q.leases, c.lease) {
			// The lease was released during the read, together with its earlier claims.
			sh.mu.Unlock()
			c.entries = nil
			return nil
		}
		if c.claimBuffered(q) {
			sh.mu.Unlock()
			return nil
		}
		p := newReadAhead(q, k, c)
		sh.mu.Unlock()

		if err := p.read(s.db); err != nil {
			return err
		}

		sh.mu.Lock()
		p.fill(c.t, q)
		sh.mu.Unlock()
	}
}

// readAhead is a part of a queue that is read from disk.
type readAhead struct {
	key   store.Key
	now   int64
	count int // minimum number of entries to read, if there are so many
	bytes int // limit on the bytes read after that
	lanes [laneCount]readAheadLane
}

// readAheadLane is the part of one lane.
type readAheadLane struct {
	wanted    bool
	from, put store.ID // end and put of the lane when the reading began
	entries   []store.Entry
	end       store.ID // the last ID that was read
	whole     bool     // there was none after it
}

// newReadAhead plans to read from the first lane that has nothing in memory.
// The caller must hold sh.mu.
func newReadAhead(q *queue, k store.Key, c *claim) *readAhead {
	p := &readAhead{
		key: k, now: c.now, count: c.max - len(c.entries),
		bytes: min(bufferedPerQueue-q.buffered, bufferedTotal-int(c.t.buffered.Load())),
	}
	for r := range q.lanes {
		n := &q.lanes[r]
		p.lanes[r] = readAheadLane{wanted: n.empty() && !n.whole, from: n.end, put: n.put}
	}
	return p
}

func (p *readAhead) read(db *pebble.DB) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	size, count := 0, 0
	for r := range p.lanes {
		n := &p.lanes[r]
		if !n.wanted {
			continue
		}
		n.end = n.from
		first := keyOf(p.key, max(n.from+1, store.MakeID(store.Rank(r), 0)))
		for it.SeekPrefixGE(first[:]); ; it.Next() {
			if !it.Valid() {
				n.whole = true
				break
			}
			_, id := parseEntryKey(it.Key())
			if int(id.Rank()) != r {
				n.whole = true
				break
			}
			if count >= p.count && size >= p.bytes {
				return errors.Join(it.Error(), it.Close())
			}
			n.end = id
			value, err := it.ValueAndErr()
			if err != nil {
				return errors.Join(err, it.Close())
			}
			rec, err := parseRecord(value)
			if err != nil {
				return errors.Join(fmt.Errorf("entry %d: %w", id, err), it.Close())
			}
			if rec.expires <= p.now {
				continue // left to the sweep
			}
			e := rec.entry(p.key, id)
			n.entries = append(n.entries, e)
			size += cost(&e)
			count++
		}
		if err := it.Error(); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}

// fill puts the entries that were read into the lanes, without those that have a mark. A lane that
// a Release has turned back during the read is left to the next read-ahead, and so are the lanes
// after it. The caller must hold sh.mu.
func (p *readAhead) fill(t *table, q *queue) {
	for r := range p.lanes {
		n, read := &q.lanes[r], &p.lanes[r]
		if !read.wanted {
			continue
		}
		if n.end != read.from || !n.empty() {
			return
		}
		for i := range read.entries {
			e := &read.entries[i]
			if q.marks.of(e.ID) != nil {
				continue
			}
			t.account(q, cost(e))
			n.push(*e)
		}
		n.end = max(n.end, read.end)
		if read.whole {
			// Every entry that was put before the reading began was read, or has gone.
			n.end = max(n.end, read.put)
			n.whole = n.put <= n.end
		}
		if !read.whole {
			return
		}
	}
}

// Release ends a lease.
func (s *Store) Release(ctx context.Context, k store.Key, l store.Lease) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	sh := s.queues.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if q := sh.queues[k]; q != nil {
		s.queues.release(q, l)
		s.queues.drop(sh, k, q)
	}
	return nil
}
