package diskstore

import (
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// maxEntryCounts bounds the queues that have an entry count. At the bound, a new count replaces a
// random one.
const maxEntryCounts = 1 << 18

// entryCount is kept of an evicted summary. It is enough to know that the queue is far from full,
// in a tenth of the memory. Only a collapse key, or a queue that may be full, needs the summary
// again.
type entryCount struct {
	total int   // upper bound of the entries
	asOf  int64 // entries that expired up to here are not counted
}

// entryCounts holds the entry counts of queues that have no summary in memory.
type entryCounts map[store.Key]entryCount

// keep keeps the entry count of a summary that leaves memory.
func (t entryCounts) keep(k store.Key, s *limits.Summary) {
	if len(t) >= maxEntryCounts {
		for any := range t {
			delete(t, any)
			break
		}
	}
	var n entryCount
	n.total, n.asOf = s.Total()
	t[k] = n
}

// admits reports whether a queue is known to have room for an entry under its limit. If so, it
// counts the entry.
func (t entryCounts) admits(e *store.Entry) bool {
	n, known := t[e.Key]
	if !known || e.Collapse != "" || e.Limit.Messages > 0 && n.total >= e.Limit.Messages {
		return false
	}
	n.total++
	t[e.Key] = n
	return true
}

// remove stops counting an entry.
func (t entryCounts) remove(k store.Key, gone limits.Gone) {
	if n, known := t[k]; known && gone.Expires > n.asOf {
		n.total--
		t[k] = n
	}
}
