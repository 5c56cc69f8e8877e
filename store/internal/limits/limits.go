// Package limits judges a new entry against its store.Limit (CCS 5.3, 5.5). All stores that decide
// in Go use it, so they decide alike. It does no I/O and takes no lock. A Summary belongs to the
// holder of its queue.
package limits

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// Head is the part of an entry that the limits of a queue need. Times are milliseconds since 1970.
type Head struct {
	ID       store.ID
	Expires  int64
	App      string
	Collapse string
	Away     bool // put under store.Discard without a collapse key
	Deleted  int  // not zero only in a marker
}

// HeadOf returns the head of an entry that is being put under an ID.
func HeadOf(e *store.Entry, id store.ID) Head {
	return Head{
		ID: id, Expires: e.Expires.UnixMilli(), App: e.App, Collapse: e.Collapse, Deleted: e.Deleted,
		Away: IsAway(e),
	}
}

// Check refuses entries that only stores may put.
func Check(e *store.Entry) error {
	if e.Rank != store.RankHigh && e.Rank != store.RankNormal {
		return fmt.Errorf("put into %s: rank %d is not for messages", e.Key, e.Rank)
	}
	if e.Deleted != 0 {
		return fmt.Errorf("put into %s: only a store makes markers", e.Key)
	}
	return nil
}

// Marker returns the entry that stands for the entries that a verdict discards. It shares no
// memory with the judged entry.
func Marker(e *store.Entry, v Verdict, now int64) *store.Entry {
	return &store.Entry{
		Key: e.Key, Rank: store.RankMarker, App: strings.Clone(e.App), Deleted: v.Deleted,
		Accepted: time.UnixMilli(now), Expires: time.UnixMilli(v.Expires),
	}
}

// IsAway reports whether an entry that is being put will be one of those that Discard counts.
func IsAway(e *store.Entry) bool { return e.Limit.Overflow == store.Discard && e.Collapse == "" }

// Source is the queue itself. It is asked only when a Summary does not know enough.
type Source interface {
	// Scan calls fn with every entry of the queue, claimed and expired ones included. The head's
	// strings need not outlive the call.
	Scan(fn func(Head)) error
	// Claimed reports whether a lease holds an entry.
	Claimed(id store.ID) bool
}

// Verdict says what a new entry does to its queue.
type Verdict struct {
	Result store.Result // Stored, Collapsed, Refused or Discarded
	Remove []Gone       // entries that must be removed before the new one is stored

	// Deleted is the count of the marker that stands for all discarded entries, when Discarded.
	Deleted int
	Expires int64 // the latest expiry of the entries that the marker stands for
}

// Displaced returns the IDs of the removed entries, for a store.Outcome.
func (v *Verdict) Displaced() []store.ID {
	if len(v.Remove) == 0 {
		return nil
	}
	ids := make([]store.ID, len(v.Remove))
	for i := range v.Remove {
		ids[i] = v.Remove[i].ID
	}
	return ids
}

// Gone is an entry that must be removed.
type Gone struct {
	ID      store.ID
	Expires int64
}

// Summary is the part of a queue's entries that its limits need. It leaves out entries that had
// expired when it was last rebuilt. The zero value is the summary of an empty queue.
type Summary struct {
	total   int
	asOf    int64 // entries that expired up to here are not counted
	soonest int64 // no counted entry expires before this time; 0 while total is 0
	apps    []*app
}

// app is the summary of one app instance. A device has few of them, so they are searched one by
// one.
type app struct {
	name string
	away []store.ID // ascending
	keys []key
}

type key struct {
	name string
	Gone
}

// Rebuild reads the summary again, without the expired entries.
func (s *Summary) Rebuild(now int64, src Source) error {
	*s = Summary{asOf: max(s.asOf, now)}
	return src.Scan(s.Add)
}

// Add counts an entry that was stored.
func (s *Summary) Add(h Head) {
	if h.Expires <= s.asOf {
		return
	}
	if s.total == 0 || h.Expires < s.soonest {
		s.soonest = h.Expires
	}
	s.total++
	if h.Deleted != 0 || h.Collapse == "" && !h.Away {
		return
	}
	a := s.app(h.App)
	if a == nil {
		a = &app{name: strings.Clone(h.App)}
		s.apps = append(s.apps, a)
	}
	if h.Collapse != "" {
		a.keys = append(a.keys, key{name: strings.Clone(h.Collapse), Gone: Gone{ID: h.ID, Expires: h.Expires}})
		return
	}
	i, _ := slices.BinarySearch(a.away, h.ID)
	a.away = slices.Insert(a.away, i, h.ID)
}

// Total returns the number of counted entries, and the time up to which expired ones are left out.
func (s *Summary) Total() (entries int, asOf int64) { return s.total, s.asOf }

// Remove stops counting an entry that was stored. It must be called once for each.
func (s *Summary) Remove(g Gone) {
	if g.Expires <= s.asOf {
		return
	}
	s.total--
	for i, a := range s.apps {
		if !a.remove(g.ID) {
			continue
		}
		if len(a.away) == 0 && len(a.keys) == 0 {
			s.apps = slices.Delete(s.apps, i, i+1)
		}
		return
	}
}

func (a *app) remove(id store.ID) bool {
	if i, ok := slices.BinarySearch(a.away, id); ok {
		a.away = slices.Delete(a.away, i, i+1)
		return true
	}
	for i := range a.keys {
		if a.keys[i].ID == id {
			a.keys = slices.Delete(a.keys, i, i+1)
			return true
		}
	}
	return false
}

func (s *Summary) app(name string) *app {
	for _, a := range s.apps {
		if a.name == name {
			return a
		}
	}
	return nil
}

// Bytes returns the approximate memory of the summary.
func (s *Summary) Bytes() int {
	n := 64
	for _, a := range s.apps {
		n += 96 + len(a.name) + 8*cap(a.away) + 40*cap(a.keys)
		for _, k := range a.keys {
			n += len(k.name)
		}
	}
	return n
}
