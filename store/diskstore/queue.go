package diskstore

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/openccs/openccs/store"
)

// These bound the memory of queues that have a lease. The rest of a queue is on disk only.
const (
	tableShards       = 256
	tableShardBits    = 8
	laneCount         = int(store.RankNormal) + 1
	bufferedPerQueue  = 1 << 20  // bytes of entries that wait in memory to be claimed
	bufferedTotal     = 32 << 20 // the same, of all queues
	bufferedOverhead  = 128      // of an entry, besides its body and texts
	bufferCompactFrom = 32       // a shorter buffer is not moved to its front
)

// table holds the queues that have a lease, or an acknowledgement that is not applied yet. Code
// that holds a shard's lock changes only memory.
type table struct {
	shards   [tableShards]tableShard
	buffered atomic.Int64 // bytes in all lanes
}

type tableShard struct {
	mu     sync.Mutex
	queues map[store.Key]*queue
}

func (t *table) init() {
	for i := range t.shards {
		t.shards[i].queues = map[store.Key]*queue{}
	}
}

func (t *table) shard(k store.Key) *tableShard {
	// The multiplier spreads IDs that differ in few bits (Fibonacci hashing).
	h := (k.ID ^ uint64(k.Kind)<<56) * 0x9E3779B97F4A7C15
	return &t.shards[h>>(64-tableShardBits)]
}

// queue is a queue with leases. The mu of its shard guards its fields.
type queue struct {
	leases []store.Lease
	marks  marks
	lanes  [laneCount]lane

	buffered int // bytes in the lanes

	// reading is held by a Claim that reads from disk, so that two do not read the same. It is
	// taken before the shard's lock.
	reading sync.Mutex
	readers int        // Claims that hold reading or wait for it; they keep the queue
	stale   []store.ID // marks to forget after the last of them, which may have read their entries
}

// lane is the unclaimed entries of one rank. Those up to end are in buf, unless they have a mark
// or have expired. Those after end are on disk.
type lane struct {
	buf   []store.Entry
	next  int      // index in buf; earlier entries were claimed
	end   store.ID // 0 when nothing was read yet
	whole bool     // no entry is after end
	put   store.ID // the highest ID that was put while the queue is in memory
}

// open returns a queue with a lease in it.
func (sh *tableShard) open(k store.Key, l store.Lease) *queue {
	q := sh.queues[k]
	if q == nil {
		q = &queue{}
		sh.queues[k] = q
	}
	if !slices.Contains(q.leases, l) {
		q.leases = append(q.leases, l)
	}
	return q
}

// drop forgets a queue that is no longer needed in memory.
func (t *table) drop(sh *tableShard, k store.Key, q *queue) {
	if len(q.leases) > 0 || !q.marks.empty() || q.readers > 0 || sh.queues[k] != q {
		return
	}
	delete(sh.queues, k)
	t.buffered.Add(-int64(q.buffered))
}

// removed forgets an entry that is gone from disk, and its mark. The queue may have come into
// memory after the removal was staged. Then the entry has no mark, and a Claim may have read it.
// It must not be claimed from now on, and if a lease holds it, it must not be removed again.
func (t *table) removed(q *queue, id store.ID) {
	m := q.marks.of(id)
	if m == nil {
		t.discard(q, id)
	}
	switch {
	case q.readers == 0:
		q.marks.remove(id)
		return
	case m != nil:
		m.removed = true
	default:
		q.marks.set(id, mark{removed: true})
	}
	q.stale = append(q.stale, id)
}

// endRead ends the reading of a Claim.
func (q *queue) endRead() {
	if q.readers--; q.readers > 0 {
		return
	}
	for _, id := range q.stale {
		q.marks.remove(id)
	}
	q.stale = nil
}

// release ends a lease. Its entries are read from disk again, at their old place.
func (t *table) release(q *queue, l store.Lease) {
	i := slices.Index(q.leases, l)
	if i < 0 {
		return
	}
	q.leases = slices.Delete(q.leases, i, i+1)
	q.marks.retain(func(id store.ID, m *mark) bool {
		switch {
		case m.lease != l:
			return true
		case m.removed:
			m.lease = 0
			return true
		}
		if n := &q.lanes[id.Rank()]; id <= n.end {
			t.turnBack(q, n, id)
		}
		return false
	})
}

// turnBack moves the start of a lane back to an entry, or to an earlier one that waits in memory.
func (t *table) turnBack(q *queue, n *lane, id store.ID) {
	if !n.empty() {
		id = min(id, n.buf[n.next].ID)
	}
	freed := 0
	for i := range n.buf[n.next:] {
		freed += cost(&n.buf[n.next+i])
	}
	t.account(q, -freed)
	n.buf, n.next, n.whole = nil, 0, false
	n.end = id - 1
}

// arrived adds an entry that was just stored to its lane, if the lane reaches that far.
func (t *table) arrived(q *queue, e *store.Entry, id store.ID) {
	n := &q.lanes[id.Rank()]
	n.put = max(n.put, id)
	if !n.whole || id <= n.end {
		return
	}
	size := cost(e)
	if q.buffered+size > bufferedPerQueue || t.buffered.Load()+int64(size) > bufferedTotal {
		n.whole = false
		return
	}
	n.push(copyOf(e, id))
	n.end = id
	t.account(q, size)
}

func (t *table) account(q *queue, size int) {
	q.buffered += size
	t.buffered.Add(int64(size))
}

func (n *lane) empty() bool { return n.next == len(n.buf) }

func (n *lane) push(e store.Entry) {
	if n.empty() {
		n.buf, n.next = n.buf[:0], 0
	} else if n.next >= bufferCompactFrom && n.next > len(n.buf)/2 {
		moved := copy(n.buf, n.buf[n.next:])
		clear(n.buf[moved:])
		n.buf, n.next = n.buf[:moved], 0
	}
	n.buf = append(n.buf, e)
}

func (n *lane) pop() store.Entry {
	e := n.buf[n.next]
	n.buf[n.next] = store.Entry{}
	n.next++
	return e
}

// discard takes out an entry that is being removed.
func (t *table) discard(q *queue, id store.ID) {
	n := &q.lanes[id.Rank()]
	i, found := slices.BinarySearchFunc(n.buf[n.next:], id, func(e store.Entry, id store.ID) int {
		switch {
		case e.ID < id:
			return -1
		case e.ID > id:
			return 1
		}
		return 0
	})
	if !found {
		return
	}
	t.account(q, -cost(&n.buf[n.next+i]))
	n.buf = slices.Delete(n.buf, n.next+i, n.next+i+1)
}

// cost returns the approximate memory of an entry.
func cost(e *store.Entry) int {
	return bufferedOverhead + len(e.App) + len(e.Collapse) + len(e.Dedup) + len(e.Body)
}
