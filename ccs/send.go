package ccs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// supersededFor is how long messages to a superseded token are still accepted (CCS 5.6).
const supersededFor = 30 * 24 * time.Hour

// sendScratch is the memory of one Send. A later Send uses it again.
type sendScratch struct {
	tokens  []string
	regs    []*store.Registration
	entries []store.Entry
	results []int // entries[i] belongs to results[i]

	outcomes []store.Outcome // of entries; empty if all of them failed
	ends     []int           // bodies[:ends[i]] ends with the body of entries[i]
	bodies   []byte

	// Dedup keys of upstream messages, laid out like bodies and ends.
	dedups    []byte
	dedupEnds []int

	data   payload.Data
	wake   []store.Key
	print  []byte // input of a fingerprint
	prints []fingerprint
	states []dedupState

	destinations []destination // of upstream messages
	answers      []Result      // for upstream messages

	// Messages with TTL 0 that no session of this node could take, and their indexes.
	elsewhere   []store.Entry
	elsewhereOf []int

	topics []int // indexes of the messages to topics and conditions

	// Of a batch of copies of a topic message.
	sender SenderID
	subs   []store.Subscription
	places []store.Place // of entries
}

var sendScratches = sync.Pool{New: func() any { return new(sendScratch) }}

// maxScratch is the largest buffer of bodies that is kept for the next Send.
const maxScratch = 1 << 20

func (s *sendScratch) done() {
	if cap(s.print) > maxScratch {
		s.print = nil
	}
	if cap(s.bodies) > maxScratch || cap(s.dedups) > maxScratch {
		return
	}
	clear(s.tokens)
	clear(s.regs)
	clear(s.entries)
	clear(s.states)
	clear(s.elsewhere)
	clear(s.destinations)
	clear(s.answers)
	clear(s.subs[:cap(s.subs)])
	*s = sendScratch{
		tokens: s.tokens[:0], regs: s.regs[:0], entries: s.entries[:0], results: s.results[:0],
		ends: s.ends[:0], bodies: s.bodies[:0], dedups: s.dedups[:0], dedupEnds: s.dedupEnds[:0], data: s.data[:0], wake: s.wake[:0], print: s.print[:0], prints: s.prints[:0], states: s.states[:0],
		destinations: s.destinations[:0], answers: s.answers[:0], elsewhere: s.elsewhere[:0], elsewhereOf: s.elsewhereOf[:0],
		topics: s.topics[:0], subs: s.subs[:0], places: s.places[:0],
	}
	sendScratches.Put(s)
}

// Source is the origin of downstream messages.
type Source struct {
	Sender SenderID
	// Session is the lease of the session's receipts mailbox, which gets the receipts if possible.
	// It may be zero.
	Session store.Lease

	// PerSecond is the sender's limit of messages per second over all its sessions. Zero means no
	// limit.
	PerSecond int
}

// Send accepts or refuses a batch of downstream messages, in order, and appends a result for each
// to dst (CCS 2, 5). When it returns, the accepted messages are durable.
func (r *Router) Send(ctx context.Context, from Source, batch []Downstream, dst []Result) []Result {
	if hasGroup(batch) {
		return r.sendToGroups(ctx, from, batch, dst)
	}
	return r.send(ctx, from, batch, dst)
}

// send is Send for messages of which none is to a device group.
func (r *Router) send(ctx context.Context, from Source, batch []Downstream, dst []Result) []Result {
	s := sendScratches.Get().(*sendScratch)
	defer s.done()
	ctx = store.WithCaller(ctx, from.Sender.Key())
	first := len(dst)
	for i := range batch {
		dst = append(dst, Result{ID: batch[i].ID})
		s.tokens = append(s.tokens, batch[i].To)
	}
	results := dst[first:]
	var err error
	var unknown *store.PartialError
	if s.regs, err = r.store.Registrations(ctx, s.regs, s.tokens); err != nil && !errors.As(err, &unknown) {
		failAll(results, fmt.Errorf("look up registrations: %w", err))
		r.sent(from.Sender, s, results)
		return dst
	}
	turn := r.Turn(from.Sender.Key())
	defer turn.End()
	if len(batch) > smallSend {
		turn.Begin()
	}
	now := r.clock.Now()
	for i := range batch {
		var f fingerprint
		if !batch[i].Unique {
			f, s.print = r.repeats.of(s.print, from.Sender, &batch[i])
		}
		s.prints = append(s.prints, f)
	}
	var call *sendCall
	call, s.states = r.repeats.begin(s.prints, s.states, now)
	for i := range batch {
		if err := unknown.Of(i); err != nil {
			results[i].Refusal = RefusalOf(fmt.Errorf("look up registrations: %w", err))
			continue
		}
		turn.Spend(sendCost)
		m, reg := &batch[i], s.regs[i]
		repeat := s.states[i].known || s.states[i].by != nil
		results[i].Canonical, results[i].Refusal = r.check(from, m, reg, repeat, now)
		switch {
		case results[i].Refusal != nil:
		case reg == nil: // to a topic
			results[i].TopicID = int64(r.fanouts.newID(now))
			if !m.DryRun && !repeat {
				s.topics = append(s.topics, i)
			}
		case !m.DryRun && !repeat:
			r.compose(s, i, from, m, reg, now)
		}
	}
	turn.End() // before waiting for other nodes and the store
	if len(s.elsewhere) > 0 {
		r.offerElsewhere(ctx, s.elsewhere) // dropped if no node takes it (CCS 5.2)
		for j := range s.elsewhere {
			r.handedOn(&s.elsewhere[j], s.tokens[s.elsewhereOf[j]], s.sender, now)
		}
	}
	r.deliver(ctx, s, results, now)
	if len(s.topics) > 0 {
		r.beginFanouts(ctx, from, batch, s, results, now)
	}
	// Messages with a TTL of zero are not remembered, because the first may have been dropped. A
	// repeat tries again.
	r.repeats.end(call, s.prints, func(i int) bool { return results[i].Refusal == nil && !batch[i].DryRun && batch[i].TTL > 0 })
	for i := range results {
		// A repeat of a running message gets the answer of the first. This call waits for other
		// calls only after its own messages are done, so that two calls never wait for each other.
		switch of := s.states[i]; {
		case of.by == nil || results[i].Refusal != nil:
		case of.by == call:
			results[i].Refusal = results[of.index].Refusal
		case !r.repeats.accepted(ctx, s.prints[i], of.by) && batch[i].TTL > 0 && !batch[i].DryRun:
			results[i].Refusal = &Refusal{Reason: RepeatRefused}
		}
	}
	r.sent(from.Sender, s, results)
	return dst
}

// check returns why a message must not be sent, and the newer token of a registration that has one
// (CCS 3.3, 5.6).
func (r *Router) check(from Source, m *Downstream, reg *store.Registration, repeat bool, now time.Time) (canonical string, _ *Refusal) {
	if !repeat && !r.quotas.Take(from.Sender, quota(from.PerSecond), 1, now) {
		return "", &Refusal{Reason: QuotaExceeded, Detail: strconv.Itoa(from.PerSecond)}
	}
	if m.toTopic() {
		return "", r.checkTopic(m)
	}
	switch {
	case reg == nil:
		return "", refuseTarget(from.Sender, m.To)
	case !reg.MaySend(string(from.Sender)):
		return "", &Refusal{Reason: WrongSender, Detail: m.To}
	case !reg.Unregistered.IsZero(), !reg.Superseded.IsZero() && now.Sub(reg.Superseded) > supersededFor:
		return "", &Refusal{Reason: Unregistered}
	case m.RestrictedPackage != "" && m.RestrictedPackage != reg.App:
		return "", &Refusal{Reason: InvalidPackage, Detail: m.RestrictedPackage}
	case repeat || m.DryRun || m.TTL == 0: // no rate applies (CCS 5.2)
	case !r.deviceRates.Take(reg.Device, r.profile.DeviceRate, 1, now):
		return "", &Refusal{Reason: RateExceeded}
	}
	return reg.Canonical, nil
}

// compose makes the entry of message i.
func (r *Router) compose(s *sendScratch, i int, from Source, m *Downstream, reg *store.Registration, now time.Time) {
	data := m.Data
	if m.Notification != nil {
		s.data = appendNotification(append(s.data[:0], m.Data...), m.Notification)
		data = s.data
	}
	msg := Message{
		Kind:        DataMessage,
		High:        m.high(),
		WhenActive:  m.DelayWhileIdle,
		TTL:         m.TTL,
		From:        string(from.Sender),
		App:         reg.App,
		Subtype:     reg.Subtype,
		ID:          m.ID,
		CollapseKey: m.CollapseKey,
		Data:        data,
	}
	if m.ReceiptRequested {
		msg.ReceiptFor, msg.Origin = m.To, from.Session
	}
	e := store.Entry{
		Key:      reg.Key(),
		Rank:     rank(msg.High),
		App:      reg.Instance(),
		Accepted: now,
		Expires:  now.Add(m.TTL),
		Mark:     s.prints[i].mark(),
	}
	if m.CollapseKey != "" {
		e.Collapse = collapseKey(from.Sender, m.CollapseKey)
	}
	e.Limit = r.deviceLimit(e.Key)
	s.bodies = msg.Append(s.bodies)
	if m.TTL == 0 {
		r.deliverNow(s, i, e)
		return
	}
	s.entries = append(s.entries, e)
	s.results = append(s.results, i)
	s.ends = append(s.ends, len(s.bodies))
}

// collapseKey returns the collapse key of an entry. Messages of two senders of one app do not
// collapse each other.
func collapseKey(from SenderID, key string) string { return string(from) + "\x00" + key }

// deviceLimit returns the limit of a device's queue, which depends on whether it is connected.
func (r *Router) deviceLimit(k store.Key) store.Limit {
	if r.connected(k) {
		return store.Limit{Messages: r.profile.DeviceBacklog, CollapseKeys: r.profile.CollapseKeys, Overflow: store.Refuse}
	}
	l := store.Limit{Messages: r.profile.AwayMessages, CollapseKeys: r.profile.CollapseKeys, Overflow: store.Discard}
	if r.cluster != nil {
		l.Connected = r.profile.DeviceBacklog
	}
	return l
}

// rank puts a device's messages of high priority before the others. Messages of one rank are in the
// order of acceptance. A message with delay_while_idle waits in the session (CCS 5.4).
func rank(high bool) store.Rank {
	if high {
		return store.RankHigh
	}
	return store.RankNormal
}

// deliverNow offers message i, which has TTL 0, to a session of this node, or keeps it to be
// offered to other nodes (CCS 5.2). The message is the last in s.bodies and is removed from there.
func (r *Router) deliverNow(s *sendScratch, i int, e store.Entry) {
	start := 0
	if n := len(s.ends); n > 0 {
		start = s.ends[n-1]
	}
	e.Body = append([]byte(nil), s.bodies[start:]...)
	s.bodies = s.bodies[:start]
	e.Expires = time.Time{}
	if r.offer(e) {
		r.handedOn(&e, s.addressed(i), s.sender, e.Accepted)
	} else {
		s.elsewhere = append(s.elsewhere, e)
		s.elsewhereOf = append(s.elsewhereOf, i)
	}
}

// addressed returns the token that downstream message i is addressed to, or "" for an upstream
// message.
func (s *sendScratch) addressed(i int) string {
	if i < len(s.tokens) {
		return s.tokens[i]
	}
	return ""
}

// deliver stores the entries of s, wakes the sessions that wait for them, and fills in the results.
func (r *Router) deliver(ctx context.Context, s *sendScratch, results []Result, now time.Time) {
	if len(s.entries) == 0 {
		return
	}
	start := 0
	for i, end := range s.ends {
		s.entries[i].Body = s.bodies[start:end:end]
		start = end
	}
	outcomes, err := r.put(ctx, s.entries, s, now)
	var partial *store.PartialError
	if err != nil {
		r.StoreFailed(r.log, "store messages", err, zap.Int("messages", len(s.entries)))
	}
	if err != nil && !errors.As(err, &partial) {
		for _, i := range s.results {
			results[i].Refusal, results[i].Canonical = RefusalOf(err), ""
		}
		return
	}
	s.outcomes = outcomes
	for i, o := range outcomes {
		k, res := s.entries[i].Key, &results[s.results[i]]
		if err := partial.Of(i); err != nil {
			res.Refusal, res.Canonical = RefusalOf(err), ""
			continue
		}
		switch o.Result {
		case store.Refused:
			res.Refusal = &Refusal{Reason: QueueFull}
			continue
		case store.Damaged:
			res.Refusal = &Refusal{Reason: Damaged}
			continue
		}
		res.Entry, res.Accepted = o.ID, now
		if n := len(s.wake); n == 0 || s.wake[n-1] != k {
			s.wake = append(s.wake, k)
		}
	}
	for _, k := range s.wake {
		r.wake(k)
	}
}

func failAll(results []Result, err error) {
	refusal := RefusalOf(err)
	for i := range results {
		results[i].Refusal = refusal
	}
}

// appendNotification appends a notification as the pairs that Firebase-era Android apps read
// (DEV 9.1).
func appendNotification(d, notification payload.Data) payload.Data {
	d = d.Append("gcm.n.e", "1")
	for k, v := range notification.All() {
		d = d.Append("gcm.notification."+k, v)
	}
	return d
}
