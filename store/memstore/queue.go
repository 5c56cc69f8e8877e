package memstore

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

const ranks = int(store.RankNormal) + 1

// shard is a part of the queues, under one lock.
type shard struct {
	mu     sync.Mutex
	queues map[store.Key]*queue
	seq    uint64 // of the last ID given out in this shard
	dedup  dedup

	// All items of the shard, oldest first, for the sweep.
	oldest, newest *item
	sweeping       bool
	sweep          *item // where a sweep under way goes on, nil at the end
}

// queue is one queue. It exists while it has items.
type queue struct {
	key     store.Key
	items   map[store.ID]*item
	summary limits.Summary
	waiting [ranks]list // not claimed, in order of ID
}

// item is an entry in its queue.
type item struct {
	store.Entry
	expires int64       // Entry.Expires in milliseconds
	away    bool        // counted by store.Discard
	lease   store.Lease // 0 while it waits

	queue        *queue
	prev, next   *item // among the waiting of its rank
	older, newer *item // in its shard
}

func (it *item) head() limits.Head {
	return limits.Head{
		ID: it.ID, Expires: it.expires, App: it.App, Collapse: it.Collapse, Away: it.away, Deleted: it.Deleted,
	}
}

// list is a list of waiting items.
type list struct{ first, last *item }

// insert puts an item after another one, or first.
func (l *list) insert(it, after *item) {
	it.prev = after
	if after == nil {
		it.next, l.first = l.first, it
	} else {
		it.next, after.next = after.next, it
	}
	if it.next == nil {
		l.last = it
	} else {
		it.next.prev = it
	}
}

// merge puts sorted items back at their places, which are nearer to the front than to the end.
func (l *list) merge(items []*item) {
	next := l.first
	for _, it := range items {
		for next != nil && next.ID < it.ID {
			next = next.next
		}
		if next == nil {
			l.insert(it, l.last)
		} else {
			l.insert(it, next.prev)
		}
	}
}

func (l *list) remove(it *item) {
	if it.prev == nil {
		l.first = it.next
	} else {
		it.prev.next = it.next
	}
	if it.next == nil {
		l.last = it.prev
	} else {
		it.next.prev = it.prev
	}
	it.prev, it.next = nil, nil
}

// Scan and Claimed implement the source that the limits of a queue read.

func (q *queue) Scan(fn func(limits.Head)) error {
	for _, it := range q.items {
		fn(it.head())
	}
	return nil
}

func (q *queue) Claimed(id store.ID) bool {
	it := q.items[id]
	return it != nil && it.lease != 0
}

func (sh *shard) queue(k store.Key) *queue {
	q := sh.queues[k]
	if q == nil {
		q = &queue{key: k, items: map[store.ID]*item{}}
		sh.queues[k] = q
	}
	return q
}

// add makes an item of a new entry whose memory belongs to the store.
func (sh *shard) add(q *queue, e store.Entry) *item {
	sh.seq++
	e.ID = store.MakeID(e.Rank, sh.seq)
	it := sh.keep(q, e)
	q.waiting[e.Rank].insert(it, q.waiting[e.Rank].last)
	return it
}

// keep makes an item of an entry that has its ID. The caller puts it among the waiting.
func (sh *shard) keep(q *queue, e store.Entry) *item {
	it := &item{Entry: e, expires: e.Expires.UnixMilli(), away: limits.IsAway(&e), queue: q}
	it.Limit, it.DedupFor = store.Limit{}, 0
	it.Accepted, it.Expires = e.Accepted.Truncate(time.Microsecond), time.UnixMilli(it.expires)
	q.items[it.ID] = it
	q.summary.Add(it.head())
	it.older = sh.newest
	if sh.newest == nil {
		sh.oldest = it
	} else {
		sh.newest.newer = it
	}
	sh.newest = it
	return it
}

func (sh *shard) remove(it *item) {
	q := it.queue
	delete(q.items, it.ID)
	q.summary.Remove(limits.Gone{ID: it.ID, Expires: it.expires})
	if it.lease == 0 {
		q.waiting[it.Rank].remove(it)
	}
	if sh.sweep == it {
		sh.sweep = it.newer
	}
	if it.older == nil {
		sh.oldest = it.newer
	} else {
		it.older.newer = it.newer
	}
	if it.newer == nil {
		sh.newest = it.older
	} else {
		it.newer.older = it.older
	}
}

// drop forgets a queue that has become empty.
func (sh *shard) drop(q *queue) {
	if len(q.items) == 0 {
		delete(sh.queues, q.key)
	}
}

// release returns the items of a lease to their old places.
func (q *queue) release(l store.Lease) {
	var back [ranks][]*item
	for _, it := range q.items {
		if it.lease == l {
			it.lease = 0
			back[it.Rank] = append(back[it.Rank], it)
		}
	}
	for r := range back {
		slices.SortFunc(back[r], func(a, b *item) int { return cmp.Compare(a.ID, b.ID) })
		q.waiting[r].merge(back[r])
	}
}
