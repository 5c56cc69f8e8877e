package limits

import (
	"cmp"
	"slices"

	"github.com/openccs/openccs/store"
)

// Judge decides the fate of a new entry. It changes only what the summary counts of expired
// entries. The caller reports what it has done with Remove and Add.
func (s *Summary) Judge(e *store.Entry, now int64, src Source) (Verdict, error) {
	v, reached := s.judge(e, now)
	if reached && s.total > 0 && now >= s.soonest {
		// Some of the counted entries have expired, and expired entries fill no queue.
		if err := s.Rebuild(now, src); err != nil {
			return Verdict{}, err
		}
		v, _ = s.judge(e, now)
	}
	if v.Result != store.Discarded {
		return v, nil
	}
	return s.discard(e, now, src)
}

// judge decides from the summary only, and reports whether the entry reached a limit.
func (s *Summary) judge(e *store.Entry, now int64) (v Verdict, reached bool) {
	a := s.app(e.App)
	if a == nil {
		a = &app{}
	}
	if e.Collapse != "" {
		v, reached = a.collapse(e, now)
	}
	if e.Limit.Messages <= 0 {
		return v, reached
	}
	if e.Limit.Overflow == store.Refuse {
		if s.total-len(v.Remove)+1 > e.Limit.Messages {
			return Verdict{Result: store.Refused}, true
		}
		return v, reached
	}
	if IsAway(e) && len(a.away)+1 > e.Limit.Messages {
		return Verdict{Result: store.Discarded}, true
	}
	return v, reached
}

// collapse finds the entries that a new one with a collapse key replaces or evicts (CCS 5.3).
// Expired entries cannot be replaced. They are left to the sweep.
func (a *app) collapse(e *store.Entry, now int64) (v Verdict, reached bool) {
	for _, k := range a.keys {
		if k.name == e.Collapse && k.Expires > now {
			return Verdict{Result: store.Collapsed, Remove: []Gone{k.Gone}}, false
		}
	}
	excess := len(a.keys) + 1 - e.Limit.CollapseKeys
	if e.Limit.CollapseKeys <= 0 || excess <= 0 {
		return Verdict{}, false
	}
	oldest := slices.SortedFunc(slices.Values(a.keys), func(x, y key) int { return cmp.Compare(x.ID.Seq(), y.ID.Seq()) })
	for _, k := range oldest[:excess] {
		v.Remove = append(v.Remove, k.Gone)
	}
	return v, true
}

// discard finds the entries that are discarded with an entry that exceeds its limit (CCS 5.5): all
// entries of the app that count and that no lease holds. A marker that no lease holds is discarded
// too, and its count is carried over. So an app instance has at most one waiting marker, and an
// entry never changes after it may have been offered.
func (s *Summary) discard(e *store.Entry, now int64, src Source) (Verdict, error) {
	free := 0
	for _, id := range s.app(e.App).awayIDs() {
		if !src.Claimed(id) {
			free++
		}
	}
	if free+1 <= e.Limit.Messages {
		return Verdict{}, nil
	}
	v := Verdict{Result: store.Discarded, Deleted: 1, Expires: e.Expires.UnixMilli()}
	err := src.Scan(func(h Head) {
		if !h.Away && h.Deleted == 0 || h.App != e.App || h.Expires <= now || src.Claimed(h.ID) {
			return
		}
		v.Remove = append(v.Remove, Gone{ID: h.ID, Expires: h.Expires})
		v.Deleted += max(h.Deleted, 1)
		v.Expires = max(v.Expires, h.Expires)
	})
	return v, err
}

func (a *app) awayIDs() []store.ID {
	if a == nil {
		return nil
	}
	return a.away
}
