package ccs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// The router changes queues only by the functions of this file, so that each change is counted and
// reported once.

// put stores entries, counts the outcomes, and reports them to the observer before it returns. s is
// nil unless the entries are those of s.
func (r *Router) put(ctx context.Context, entries []store.Entry, s *sendScratch, now time.Time) ([]store.Outcome, error) {
	outcomes, err := r.store.Put(ctx, entries, now)
	var partial *store.PartialError
	if err != nil {
		isPartial := errors.As(err, &partial)
		r.tally.acceptedInDoubt(entries, partial)
		if !isPartial {
			return outcomes, err
		}
	}
	r.stored(entries, outcomes, partial, s, now)
	return outcomes, err
}

// stored counts what became of entries, and tells the observer. It returns the number of those that
// their queues refused.
func (r *Router) stored(entries []store.Entry, outcomes []store.Outcome, partial *store.PartialError, s *sendScratch, now time.Time) (refused int) {
	var batch batchTally
	for i := range outcomes {
		if partial.Of(i) != nil {
			continue
		}
		d, o := DirectionOf(entries[i].Key), &outcomes[i]
		if why := refusalOf(o.Result); why != 0 {
			r.tally.Refused(d, why)
			refused++
			continue
		}
		batch.outcome(d, o)
	}
	r.tally.add(&batch)
	if r.observer != nil {
		r.tellPut(entries, outcomes, partial, s, now)
	}
	return refused
}

// droppedEvery is the time between two log lines on dropped receipts and send_errors.
const droppedEvery = time.Minute

// putNotes is put for receipts and send_errors, of which what says which. A queue that is full does
// not take them, and nobody can send them again. That is counted as any refusal, and logged.
func (r *Router) putNotes(ctx context.Context, what string, entries []store.Entry, now time.Time) error {
	outcomes, err := r.put(ctx, entries, nil, now)
	if err != nil {
		return fmt.Errorf("store %s: %w", what, err)
	}
	dropped, last := 0, 0
	for i := range outcomes {
		if refusalOf(outcomes[i].Result) != 0 {
			dropped, last = dropped+1, i
		}
	}
	if dropped == 0 {
		return nil
	}
	if before, ok := r.dropped.shouldLog(time.Now(), droppedEvery, dropped); ok {
		r.log.Warn(what+" dropped", zap.Stringer("queue", entries[last].Key),
			zap.Stringer("reason", refusalOf(outcomes[last].Result)), zap.Int("messages", before+dropped))
	}
	return nil
}

// refusalOf returns why a store did not keep an entry, or zero if it did.
func refusalOf(result store.Result) Reason {
	switch result {
	case store.Refused:
		return QueueFull
	case store.Damaged:
		return Damaged
	default:
		return 0
	}
}

// storedCodes maps the result for an entry to a code of EventStored.
var storedCodes = [...]string{
	store.Stored: CodeStored, store.Collapsed: CodeCollapsed, store.Discarded: CodeEvicted, store.Duplicate: CodeDuplicate,
}

// tellPut reports the outcomes of entries.
func (r *Router) tellPut(entries []store.Entry, outcomes []store.Outcome, partial *store.PartialError, s *sendScratch, now time.Time) {
	events := NewEvents()
	for i := range outcomes {
		if partial.Of(i) != nil {
			continue
		}
		var e *Event
		if why := refusalOf(outcomes[i].Result); why != 0 {
			e = events.Add(EventRefused)
			e.Code = why.String()
		} else {
			e = events.Add(EventStored)
			e.Code = storedCodes[outcomes[i].Result]
		}
		e.At, e.Entry, e.Displaced = now.UnixNano(), outcomes[i].ID, outcomes[i].Displaced
		token := ""
		if s != nil {
			token = s.addressed(s.results[i])
		}
		e.describe(&entries[i], token)
		if s != nil && s.sender != "" {
			e.Sender = s.sender // the message names the topic
		}
	}
	r.Tell(events)
}

// describe sets the fields that an entry determines.
func (e *Event) describe(entry *store.Entry, token string) {
	e.Key, e.Dir, e.N = entry.Key, DirectionOf(entry.Key), int64(len(entry.Body))
	e.App, _ = store.CutInstance(entry.App)
	var m Message
	if m.Decode(entry.Body) != nil {
		return
	}
	e.ID = m.ID
	switch {
	case m.Kind == SendError: // from the server itself
	case e.Dir == Down:
		e.Sender, e.Token = SenderID(m.From), token
		if id, ok := store.ParseGroupKey(m.From); ok { // from another member
			e.Sender = SenderID(id.Sender)
		}
	default:
		e.Token = m.From
	}
}

// handedOn counts and reports an accepted message with a TTL of zero. from is its sender if the
// message does not name it.
func (r *Router) handedOn(entry *store.Entry, token string, from SenderID, now time.Time) {
	d := DirectionOf(entry.Key)
	r.tally.directions[d].accepted.Add(1)
	r.tally.ended(d, EndVolatile, 1)
	if r.observer == nil {
		return
	}
	events := NewEvents()
	e := events.Add(EventStored)
	e.At, e.Code = now.UnixNano(), CodeVolatile
	e.describe(entry, token)
	if from != "" {
		e.Sender = from
	}
	r.Tell(events)
}

// expire forgets some of the expired entries and returns them. It reports whether there may be
// more.
func (r *Router) expire(ctx context.Context, now time.Time) (expired []store.Entry, more bool, err error) {
	expired, more, err = r.store.Expire(ctx, now, sweepBatch)
	if err != nil {
		for d := range Direction(endOfDirections) {
			r.tally.endedInDoubt(d, sweepBatch)
		}
	}
	var n [endOfDirections]int
	for i := range expired {
		n[DirectionOf(expired[i].Key)]++
	}
	for d := range n {
		r.tally.ended(Direction(d), EndExpired, n[d])
	}
	if r.observer != nil && len(expired) > 0 {
		ids := make([]store.ID, len(expired))
		events := NewEvents()
		for i := range expired {
			ids[i] = expired[i].ID
			e := events.ended(expired[i].Key, EndExpired, ids[i:i+1:i+1])
			e.At = expired[i].Expires.UnixNano()
		}
		r.Tell(events)
	}
	return expired, more, err
}

// ended adds an event of entries that have left their queue.
func (e *Events) ended(k store.Key, how End, ids []store.ID) *Event {
	event := e.Add(EventEnded)
	event.Code, event.Dir, event.Key, event.Entries = how.String(), DirectionOf(k), k, ids
	return event
}

// purge forgets the messages that wait for an unregistered app instance.
func (r *Router) purge(ctx context.Context, reg *store.Registration) error {
	k := reg.Key()
	ids, err := r.store.Purge(ctx, k, reg.Instance())
	r.endedAs(k, EndUnregistered, 0, ids)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.tally.endedInDoubt(Down, r.profile.DeviceBacklog)
	}
	return err
}

// endedAs counts and reports entries that have left their queue. lease is the session's, or zero.
func (r *Router) endedAs(k store.Key, how End, lease store.Lease, ids []store.ID) {
	if len(ids) == 0 {
		return
	}
	r.tally.ended(DirectionOf(k), how, len(ids))
	if r.observer != nil {
		events := NewEvents()
		events.ended(k, how, ids).Lease = lease
		r.Tell(events)
	}
}

// tellReleased reports that a session released the claims that it had not ended.
func (r *Router) tellReleased(m *mailbox, code string) {
	if r.observer == nil {
		return
	}
	events := NewEvents()
	e := events.Add(EventReleased)
	e.Code, e.Dir, e.Key, e.Lease = code, DirectionOf(m.key), m.key, m.lease
	r.Tell(events)
}

// sent counts and reports the messages of a downstream batch that never reached the store.
func (r *Router) sent(from SenderID, s *sendScratch, results []Result) {
	var events *Events
	repeats := 0
	for i := range results {
		refusal := results[i].Refusal
		switch {
		case refusal == nil && i < len(s.states) && (s.states[i].known || s.states[i].by != nil):
			repeats++
		case refusal == nil:
			continue
		case refusal.Reason == QueueFull, refusal.Reason == Damaged:
			continue // counted by put
		default:
			r.tally.Refused(Down, refusal.Reason)
		}
		if r.observer == nil {
			continue
		}
		if events == nil {
			events = NewEvents()
		}
		var e *Event
		if refusal == nil {
			e = events.Add(EventStored)
			e.Code = CodeDuplicate
		} else {
			e = events.Add(EventRefused)
			e.Code, e.Text = refusal.Reason.String(), refusal.Detail
		}
		e.Dir, e.Sender, e.Token, e.ID = Down, from, s.tokens[i], results[i].ID
		if reg := s.regOf(i); reg != nil {
			e.Key, e.App = reg.Key(), reg.App
		}
	}
	if repeats > 0 {
		r.tally.directions[Down].duplicates.Add(int64(repeats))
	}
	if events != nil {
		r.Tell(events)
	}
}

// regOf returns the registration that message i is for. It is nil if there is none or the lookup
// failed.
func (s *sendScratch) regOf(i int) *store.Registration {
	if i < len(s.regs) {
		return s.regs[i]
	}
	return nil
}

// refusedUpstream counts and reports a device's refused messages, given their send_errors.
func (r *Router) refusedUpstream(sendErrors []store.Entry, now time.Time) {
	var events *Events
	for i := range sendErrors {
		var m Message
		if m.Decode(sendErrors[i].Body) != nil || m.Reason == QueueFull {
			continue // put counts a full queue
		}
		r.tally.Refused(Up, m.Reason)
		if r.observer == nil {
			continue
		}
		if events == nil {
			events = NewEvents()
		}
		e := events.Add(EventRefused)
		e.At, e.Dir, e.Code, e.App, e.ID, e.Text = now.UnixNano(), Up, m.Reason.String(), m.App, m.ID, m.From
	}
	if events != nil {
		r.Tell(events)
	}
}

// tellRegistered reports that a registration was made, and which ones it superseded. all holds the
// device's earlier registrations.
func (r *Router) tellRegistered(made *store.Registration, all []*store.Registration) {
	if r.observer == nil {
		return
	}
	events := NewEvents()
	for _, old := range all {
		if old.Living() && old.Slot() == made.Slot() {
			events.registration(CodeSuperseded, old).Text = made.Token
		}
	}
	events.registration(CodeRegistered, made)
	r.Tell(events)
}

// tellUnregistered reports that some of a device's registrations were unregistered.
func (r *Router) tellUnregistered(all []*store.Registration, tokens []string) {
	if r.observer == nil {
		return
	}
	events := NewEvents()
	for _, reg := range all {
		if slices.Contains(tokens, reg.Token) {
			events.registration(CodeUnregistered, reg)
		}
	}
	r.Tell(events)
}

// registration adds an event of a registration.
func (e *Events) registration(code string, reg *store.Registration) *Event {
	event := e.Add(EventRegistration)
	event.Code, event.Key, event.Token, event.App = code, reg.Key(), reg.Token, reg.App
	return event
}
