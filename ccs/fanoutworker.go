package ccs

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

const (
	fanoutWorkers = 4                     // fan-outs that are copied at the same time
	fanoutBatch   = 250                   // subscribers whose copies are stored together
	fanoutSlice   = time.Second           // after that a fan-out lets others go first
	fanoutPoll    = time.Second           // between two looks for fan-outs that nobody works on
	fanoutRest    = 20 * time.Millisecond // after a batch, at most
	fanoutPause   = time.Second           // after a failure of the store
	fanoutStop    = 5 * time.Second       // for giving fan-outs back when the router stops
)

// nowOrNever is how long a topic message with a TTL of zero is offered to the subscribers that are
// connected. After a restart it is too late (CCS 5.2).
const nowOrNever = 10 * time.Second

// fanoutCaller names the fan-outs of a sender where callers take turns: in the store, and for the
// processors. It differs from the sender's own key, so that its other messages need not wait.
func fanoutCaller(sender SenderID) store.Key {
	const kindFanout = 255 // no queue has it
	return store.Key{Kind: kindFanout, ID: sender.number()}
}

// runFanouts copies topic messages to subscribers until ctx ends. Each worker holds a fan-out for a
// slice of time and then gives it back, so that the fan-outs of all senders take turns.
func (r *Router) runFanouts(ctx context.Context) {
	var workers sync.WaitGroup
	free := make(chan struct{}, fanoutWorkers)
	for range fanoutWorkers {
		free <- struct{}{}
	}
	tick := time.NewTicker(fanoutPoll)
	defer tick.Stop()
	for ctx.Err() == nil {
		claimed := r.claimFanouts(ctx, len(free))
		for _, f := range claimed {
			<-free
			workers.Go(func() {
				r.copyFanout(ctx, f)
				free <- struct{}{}
				r.wakeFanouts()
			})
		}
		if len(claimed) > 0 && len(free) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.fanouts.wake:
		case <-tick.C:
		}
	}
	workers.Wait()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), fanoutStop)
	defer cancel()
	if err := r.store.ReleaseFanouts(stop, r.fanouts.lease); err != nil {
		r.StoreFailed(r.log, "give fan-outs back", err)
	}
}

func (r *Router) wakeFanouts() {
	select {
	case r.fanouts.wake <- struct{}{}:
	default:
	}
}

// claimFanouts claims fan-outs for idle workers. Without any it renews the lease.
func (r *Router) claimFanouts(ctx context.Context, idle int) []*store.Fanout {
	var claimed []*store.Fanout
	var err error
	if idle == 0 {
		err = r.store.RenewFanouts(ctx, r.fanouts.lease)
	} else {
		claimed, err = r.store.ClaimFanouts(ctx, r.fanouts.lease, idle)
	}
	if err != nil && ctx.Err() == nil {
		r.StoreFailed(r.log, "claim fan-outs", err)
	}
	return claimed
}

// copyFanout works on a fan-out for a slice of time, and then gives it back unless it is done.
func (r *Router) copyFanout(ctx context.Context, f *store.Fanout) {
	ctx = store.WithCaller(ctx, fanoutCaller(SenderID(f.Sender)))
	done, err := r.copySlice(ctx, f)
	switch {
	case done:
		return
	case errors.Is(err, store.ErrTakenOver):
		return // by another node, which took this one for dead
	case err != nil && ctx.Err() == nil:
		r.StoreFailed(r.log, "copy a topic message", err, zap.String("sender", f.Sender))
		select {
		case <-ctx.Done():
		case <-time.After(fanoutPause):
		}
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), fanoutStop)
	defer cancel()
	if err := r.store.ReleaseFanouts(stop, r.fanouts.lease, f.ID); err != nil {
		r.StoreFailed(r.log, "give a fan-out back", err)
	}
}

// copySlice copies batches for a slice of time.
func (r *Router) copySlice(ctx context.Context, f *store.Fanout) (done bool, err error) {
	var m topicMessage
	if err := m.decode(f.Body); err != nil {
		r.log.Error("a topic message cannot be read and is dropped", zap.String("sender", f.Sender), zap.Error(err))
		return r.endFanout(ctx, f, &m)
	}
	members, err := newMembership(r.store, f, &m, fanoutBatch)
	if err != nil {
		r.log.Error("a topic message cannot be read and is dropped", zap.String("sender", f.Sender), zap.Error(err))
		return r.endFanout(ctx, f, &m)
	}
	for end := time.Now().Add(fanoutSlice); ctx.Err() == nil && time.Now().Before(end); {
		now := r.clock.Now()
		if !now.Before(f.Expires) && (m.Message.TTL > 0 || now.Sub(f.Accepted) >= nowOrNever) {
			return r.endFanout(ctx, f, &m)
		}
		began := time.Now()
		if done, err = r.copyBatch(ctx, f, &m, members, now); done || err != nil {
			return done, err
		}
		// Messages of others come first: a processor and the store are free for as long again.
		time.Sleep(min(time.Since(began), fanoutRest))
	}
	return false, ctx.Err()
}

// endFanout ends a fan-out without further copies.
func (r *Router) endFanout(ctx context.Context, f *store.Fanout, m *topicMessage) (done bool, err error) {
	if _, err := r.store.CopyFanout(ctx, r.fanouts.lease, f, nil, nil, true, r.clock.Now()); err != nil {
		return false, err
	}
	r.fanoutDone(f, m)
	return true, nil
}

// fanoutDone counts and tells that a fan-out is done.
func (r *Router) fanoutDone(f *store.Fanout, m *topicMessage) {
	took := max(r.clock.Now().Sub(f.Accepted), 0)
	r.tally.fanouts.done.Add(1)
	r.tally.fanouts.last.Store(int64(took))
	r.log.Debug("topic message copied", zap.String("sender", f.Sender), zap.Int("copies", f.Copied),
		zap.Int("dropped", f.Dropped), zap.Duration("took", took))
	if r.observer == nil {
		return
	}
	events := NewEvents()
	e := events.Add(EventFanout)
	e.Code, e.Dir, e.Sender, e.ID, e.N = CodeDone, Down, SenderID(f.Sender), m.Message.ID, int64(f.Copied)
	if e.Text = m.Condition; e.Text == "" {
		e.Text = m.To
	}
	r.Tell(events)
}

// copyBatch stores the copies for the next subscribers, with the progress, and wakes their devices.
// f has the new progress if there is no error.
func (r *Router) copyBatch(ctx context.Context, f *store.Fanout, m *topicMessage, members *membership, now time.Time) (done bool, err error) {
	s := sendScratches.Get().(*sendScratch)
	defer s.done()
	s.sender = SenderID(f.Sender)
	subs, last, more, err := members.next(ctx, s.subs[:0], fanoutBatch)
	s.subs = subs
	if err != nil {
		return false, err
	}
	if s.regs, err = r.store.Resolve(ctx, s.regs, subs); err != nil {
		return false, err
	}
	turn := r.Turn(fanoutCaller(s.sender))
	turn.Begin()
	dropped := 0
	for i, reg := range s.regs {
		turn.Spend(sendCost)
		if reg == nil {
			continue // it is no subscriber any more
		}
		s.tokens = append(s.tokens, reg.Token)
		if !r.copyTo(s, len(s.tokens)-1, f, m, reg, now) {
			dropped++
			continue
		}
		if len(s.entries) > len(s.places) {
			s.places = append(s.places, subs[i].Place)
		}
	}
	turn.End()
	if len(s.elsewhere) > 0 {
		r.offerElsewhere(ctx, s.elsewhere)
		for j := range s.elsewhere {
			r.handedOn(&s.elsewhere[j], s.tokens[s.elsewhereOf[j]], s.sender, now)
		}
	}
	start := 0
	for i, end := range s.ends {
		s.entries[i].Body = s.bodies[start:end:end]
		start = end
	}
	next := *f
	next.Copied += len(s.tokens) - dropped
	next.Dropped += dropped
	if more || last != (store.Place{}) {
		next.After = last
	}
	outcomes, err := r.store.CopyFanout(ctx, r.fanouts.lease, &next, s.entries, s.places, !more, now)
	if err != nil {
		r.tally.acceptedInDoubt(s.entries, nil)
		return false, err
	}
	refused := r.stored(s.entries, outcomes, nil, s, now)
	for i := range outcomes {
		if outcomes[i].ID == 0 {
			continue
		}
		if n := len(s.wake); n == 0 || s.wake[n-1] != s.entries[i].Key {
			s.wake = append(s.wake, s.entries[i].Key)
		}
	}
	for _, k := range s.wake {
		r.wake(k)
	}
	next.Copied -= refused // the store has these as copied; the number is for operators
	next.Dropped += refused
	r.tally.fanouts.subscribers.Add(int64(len(s.tokens)))
	r.tally.fanouts.copied.Add(int64(len(s.tokens) - dropped - refused))
	r.tally.fanouts.dropped.Add(int64(dropped + refused))
	*f = next
	if !more {
		r.fanoutDone(f, m)
	}
	return !more, nil
}

// copyTo makes the copy for a subscriber, which is token i of s. It reports false if the subscriber
// gets none.
func (r *Router) copyTo(s *sendScratch, i int, f *store.Fanout, m *topicMessage, reg *store.Registration, now time.Time) bool {
	switch {
	case !reg.MaySend(f.Sender), m.Package != "" && m.Package != reg.App:
		return false
	case m.Message.TTL > 0 && !r.deviceRates.Take(reg.Device, r.profile.DeviceRate, 1, now):
		r.tally.Refused(Down, RateExceeded)
		return false
	}
	msg := m.Message
	msg.App, msg.Subtype = reg.App, reg.Subtype
	e := store.Entry{
		Key:      reg.Key(),
		Rank:     rank(msg.High),
		App:      reg.Instance(),
		Accepted: f.Accepted,
		Expires:  f.Expires,
		Limit:    r.deviceLimit(reg.Key()),
	}
	if msg.CollapseKey != "" {
		e.Collapse = collapseKey(s.sender, msg.CollapseKey)
	}
	s.bodies = msg.Append(s.bodies)
	if msg.TTL == 0 {
		r.deliverNow(s, i, e)
		return true
	}
	s.entries = append(s.entries, e)
	s.results = append(s.results, i)
	s.ends = append(s.ends, len(s.bodies))
	return true
}
