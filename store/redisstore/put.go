package redisstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// Limits of one run of the script, so that it does not block Redis for long.
const (
	lotEntries = 250
	lotBytes   = 1 << 20
)

var putScript = loadBatch("put")

// Put stores a batch. Each queue's part of it is stored at once, in lots if it is large.
func (s *Store) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	for i := range batch {
		if err := limits.Check(&batch[i]); err != nil {
			return nil, err
		}
	}
	outcomes := make([]store.Outcome, len(batch))
	var failed *store.PartialError
	for _, round := range s.split(batch) {
		calls := make([]*transport.Call, 0, len(round))
		for _, l := range round {
			// After a failed lot no later lot of its queue is put, so that repeating all of them
			// keeps the order.
			if l.Err = l.before.failure(); l.Err == nil {
				calls = append(calls, s.finish(l, now))
			}
		}
		s.transport.Carry(ctx, calls)
		for _, l := range round {
			err := l.Err
			if err == nil {
				err = s.putDone(l, outcomes)
			}
			if err == nil {
				continue
			}
			l.Err = fmt.Errorf("put: %w", s.transport.Translate(err))
			if failed == nil {
				failed = &store.PartialError{Errs: make([]error, len(batch))}
			}
			for _, at := range l.at {
				failed.Errs[at] = l.Err
			}
		}
	}
	if failed != nil {
		return outcomes, failed
	}
	return outcomes, nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// lot is a number of entries of one queue that are put at once.
type lot struct {
	transport.Call
	key    store.Key
	at     []int // indexes in the batch
	before *lot  // the previous lot of the queue, which must be put before; nil for the first
	round  int
	clock  int64 // the first number to use

	dedups  []string // their keys
	marks   []byte   // of the entries
	marked  bool     // one of them is not zero
	entries []byte
}

// split makes lots from a batch, in rounds.
func (s *Store) split(batch []store.Entry) (rounds [][]*lot) {
	var open map[store.Key]*lot
	if len(batch) > 1 {
		open = make(map[store.Key]*lot)
	}
	for i := range batch {
		e := &batch[i]
		l := open[e.Key]
		if l == nil || len(l.at) >= lotEntries || l.Size+recordLen(e) > lotBytes {
			round := 0
			if l != nil {
				round = l.round + 1
			}
			l = &lot{key: e.Key, before: l, round: round, clock: clock()}
			l.Call = transport.Call{Script: putScript, Keys: s.queueKeys(e.Key), Args: make([]any, 0, 1), Durable: true, Hasty: true}
			if round == len(rounds) {
				rounds = append(rounds, nil)
			}
			rounds[round] = append(rounds[round], l)
			if open != nil {
				open[e.Key] = l
			}
		}
		if e.Dedup != "" {
			l.dedups = append(l.dedups, s.dedupKey(e.Key, store.SumDedup(e.Dedup)))
		}
		l.add(e)
		if s.keepsRepeats() {
			l.marks = append(l.marks, e.Mark[:]...)
			l.marked = l.marked || e.Mark != (store.Mark{})
		}
		l.at = append(l.at, i)
	}
	return rounds
}

// failure returns the error of a failed lot; l may be nil.
func (l *lot) failure() error {
	if l == nil {
		return nil
	}
	return l.Err
}

// entryBytes is about how much add packs for an entry besides the record.
const entryBytes = 96

// add packs an entry.
func (l *lot) add(e *store.Entry) {
	size := recordLen(e)
	l.Size += size
	l.Args = append(l.Args, appendRecord(make([]byte, 0, size), e))
	b := l.entries
	if b == nil {
		b = make([]byte, 0, entryBytes)
	}
	b = transport.AppendNumber(b, e.Expires.UnixMilli())
	b = transport.AppendCount(b, e.Limit.Messages)
	discard := e.Limit.Overflow == store.Discard
	if discard || e.Dedup != "" || e.Collapse != "" || e.Limit.Connected > 0 {
		b = transport.AppendCount(b, 2+2*4+8+4+len(e.App)+4+len(e.Collapse))
		b = append(b, bit(discard), bit(e.Dedup != ""))
		b = transport.AppendCount(b, e.Limit.CollapseKeys)
		b = transport.AppendCount(b, e.Limit.Connected)
		b = transport.AppendNumber(b, e.DedupFor.Milliseconds())
		b = transport.AppendText(b, e.App)
		b = transport.AppendText(b, e.Collapse)
	} else {
		b = transport.AppendCount(b, 0)
	}
	l.entries = transport.AppendText(b, placeOf(store.MakeID(e.Rank, uint64(l.clock)+uint64(len(l.at)))))
}

// finish makes the call of a complete lot.
func (s *Store) finish(l *lot, now time.Time) *transport.Call {
	b := make([]byte, 0, len(l.entries)+len(l.marks)+(3+len(l.dedups))*entryBytes)
	b = transport.AppendNumber(transport.AppendNumber(b, now.UnixMilli()), l.clock)
	b = transport.AppendCount(transport.AppendCount(b, len(l.at)), len(l.dedups))
	b = transport.AppendKeys(b, l.Keys)
	b = s.appendMarks(b, l, now)
	b = transport.AppendKeys(b, l.dedups)
	l.Part = append(b, l.entries...)
	return &l.Call
}

// putDone reads the outcomes of a lot from its reply.
func (s *Store) putDone(l *lot, outcomes []store.Outcome) error {
	reply, _ := l.Reply.([]any)
	if len(reply) < len(l.at) {
		return fmt.Errorf("%s: a reply of %d parts for %d entries", l.key, len(reply), len(l.at))
	}
	for i, at := range l.at {
		text, _ := reply[i].(string)
		o, err := parseOutcome(text)
		if err != nil {
			return fmt.Errorf("%s: %w", l.key, err)
		}
		outcomes[at] = o
	}
	if len(reply) > len(l.at) {
		s.tellOwners(l.key, reply[len(l.at)])
	}
	return nil
}

// parseOutcome parses the script's outcome for an entry.
func parseOutcome(s string) (o store.Outcome, err error) {
	if s == "" {
		return o, errDamaged
	}
	switch s[0] {
	case letterRefused:
		return store.Outcome{Result: store.Refused}, nil
	case letterDuplicate:
		return store.Outcome{Result: store.Duplicate}, nil
	case letterCollapsed:
		o.Result, s = store.Collapsed, s[1:]
	case letterDiscarded:
		o.Result, s = store.Discarded, s[1:]
	}
	place, displaced, more := strings.Cut(s, " ")
	if o.ID, err = parsePlace(place); err != nil || !more {
		return o, err
	}
	o.Displaced = make([]store.ID, 0, strings.Count(displaced, " ")+1)
	for place := range strings.SplitSeq(displaced, " ") {
		id, err := parsePlace(place)
		if err != nil {
			return o, err
		}
		o.Displaced = append(o.Displaced, id)
	}
	return o, nil
}
