package diskstore

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

const (
	maxSummaries    = 1 << 17 // queues in the cache, whatever their size
	summaryOverhead = 128     // bytes of a summary's place in the cache
)

// summaries holds the committer's summaries of queues that have limits. An evicted summary leaves
// an entry count. If the count is not enough, the summary is rebuilt from the queue.
type summaries struct {
	cache  *simplelru.LRU[store.Key, *cachedSummary]
	limit  int
	bytes  int
	counts entryCounts
}

type cachedSummary struct {
	limits.Summary
	bytes int // bytes at the last look
}

func (s *summaries) init(limit int) error {
	s.limit = limit
	s.counts = entryCounts{}
	cache, err := simplelru.NewLRU(maxSummaries, func(k store.Key, c *cachedSummary) {
		s.bytes -= c.bytes
		s.counts.keep(k, &c.Summary)
	})
	s.cache = cache
	return err
}

// peek returns the summary of a queue, or nil if it is not in memory.
func (s *summaries) peek(k store.Key) *cachedSummary {
	c, _ := s.cache.Peek(k)
	return c
}

// of returns the summary of a queue.
func (s *summaries) of(k store.Key, now int64, src limits.Source) (*cachedSummary, error) {
	if c, ok := s.cache.Get(k); ok {
		return c, nil
	}
	c := &cachedSummary{}
	if err := c.Rebuild(now, src); err != nil {
		return nil, err
	}
	delete(s.counts, k)
	s.cache.Add(k, c)
	s.weigh(c)
	return c, nil
}

// weigh notes that a summary may have grown, and evicts others for it.
func (s *summaries) weigh(c *cachedSummary) {
	n := summaryOverhead + c.Bytes()
	s.bytes += n - c.bytes
	c.bytes = n
	for s.bytes > s.limit && s.cache.Len() > 1 {
		s.cache.RemoveOldest()
	}
}

// source is a queue on disk, for its limits.
type source struct {
	g *group
	k store.Key
}

// Scan reads the heads of all entries.
func (s source) Scan(fn func(limits.Head)) error {
	if err := s.g.flushQueue(s.k); err != nil {
		return err
	}
	it, err := s.g.iter()
	if err != nil {
		return err
	}
	first := keyOf(s.k, 0)
	for it.SeekPrefixGE(first[:]); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		r, err := parseRecord(value)
		if err != nil {
			return err
		}
		_, id := parseEntryKey(it.Key())
		fn(r.head(id))
	}
	return it.Error()
}

// Claimed reports whether an entry is not free: a lease holds it, or it was just acknowledged.
func (s source) Claimed(id store.ID) bool {
	sh := s.g.s.queues.shard(s.k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queues[s.k]
	return q != nil && q.marks.of(id) != nil
}
