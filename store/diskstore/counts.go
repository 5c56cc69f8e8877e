package diskstore

import (
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// maxTallies bounds the queues that have an entry count. Beyond it a count is dropped at random.
const maxTallies = 1 << 18

// entryCount is what is left of a queue's summary that had to make way: enough to know that the queue is far from
// full, in a tenth of the memory. Only a collapse key, or a queue that may be full, needs the summary again.
type entryCount struct {
	total int   // entries, at most
	asOf  int64 // ones that expired up to here are not counted
}

// entryCounts are those of queues that have no summary in memory.
type entryCounts map[store.Key]entryCount

// keep notes what a summary that leaves memory knew.
func (t entryCounts) keep(k store.Key, s *limits.Summary) {
	if len(t) >= maxTallies {
		for any := range t {
			delete(t, any)
			break
		}
	}
	var n entryCount
	n.total, n.asOf = s.Total()
	t[k] = n
}

// admits reports whether a queue has room for an entry under its limit, as far as is known, and counts it then.
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
