package ccs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// Upstream is a message from a device (DEV 10).
type Upstream struct {
	To           string // sender ID, with or without @gcm.googleapis.com
	Category     string // the app
	ID           string // message_id as the app chose it
	PersistentID string // the device's name for it until it is acknowledged; "" for best effort
	Token        string // registration token, if the device sent one
	TTL          time.Duration
	HasTTL       bool // whether the device sent a TTL
	Data         payload.Data
}

// dedupFor is how long a device's repeats are recognised. A client keeps an unacknowledged message
// for a day at most (DEV 7.3), and it may be offline for a part of that.
const dedupFor = 48 * time.Hour

// SendUpstream takes a device's messages, in order. When it returns nil, each of them is stored, is
// a repeat of a stored one, or was refused with a send_error in the device's own queue. Then the
// device may be told that they arrived; after an error it must not. The caller may reuse the
// batch's memory after the return.
func (r *Router) SendUpstream(ctx context.Context, from DeviceID, batch []Upstream) (err error) {
	for len(batch) > 0 && err == nil {
		batch, err = r.sendUpstream(ctx, from, batch)
	}
	return err
}

// sendUpstream is SendUpstream. It returns the messages that remain because the device had used its
// share of a backlog before them. How many of the messages before them were new is known only now.
func (r *Router) sendUpstream(ctx context.Context, from DeviceID, batch []Upstream) (left []Upstream, err error) {
	s := sendScratches.Get().(*sendScratch)
	defer s.done()
	ctx = store.WithCaller(ctx, from.Key())
	now := r.clock.Now()
	regs, err := r.store.DeviceRegistrations(ctx, uint64(from))
	if err != nil {
		return nil, fmt.Errorf("look up the device's registrations: %w", err)
	}
	counted := 0
	defer func() {
		if err != nil { // the device sends all of them again
			r.upstreamRates.Give(from, r.profile.UpstreamRate, counted)
		}
	}()
	var failed []store.Entry
	for i := range batch {
		m := &batch[i]
		if !r.upstreamRates.Take(from, r.profile.UpstreamRate, 1, now) {
			failed = append(failed, r.sendError(from, m, RateExceeded, now))
			continue
		}
		counted++
		refusal, err := r.composeUpstream(ctx, s, i, from, m, regs, now)
		switch {
		case errors.Is(err, errShareUsed):
			r.upstreamRates.Give(from, r.profile.UpstreamRate, 1)
			counted--
			batch, left = batch[:i], batch[i:]
		case err != nil:
			return nil, err
		case refusal != 0:
			failed = append(failed, r.sendError(from, m, refusal, now))
		}
		if left != nil {
			break
		}
	}
	if len(s.elsewhere) > 0 {
		for j, taken := range r.offerElsewhere(ctx, s.elsewhere) {
			if taken {
				r.handedOn(&s.elsewhere[j], "", "", now)
			} else {
				failed = append(failed, r.sendError(from, &batch[s.elsewhereOf[j]], NobodyConnected, now))
			}
		}
	}
	dedups, start := string(s.dedups), 0
	for i, end := range s.dedupEnds {
		s.entries[i].Dedup, start = dedups[start:end], end
	}
	for i := range batch {
		s.answers = append(s.answers, Result{ID: batch[i].ID})
	}
	results := s.answers
	r.deliver(ctx, s, results, now)
	for i, o := range s.outcomes {
		if o.ID != 0 {
			r.shares.stored(s.destination(s.entries[i].Key).share, o.ID)
		}
	}
	for i, res := range results {
		switch {
		case res.Refusal == nil:
		case res.Refusal.Reason == QueueFull:
			failed = append(failed, r.sendError(from, &batch[i], QueueFull, now))
		default:
			return nil, fmt.Errorf("store upstream messages: %w", res.Refusal)
		}
	}
	if len(failed) == 0 {
		return left, nil
	}
	if err := r.putNotes(ctx, "send errors", failed, now); err != nil {
		return nil, err
	}
	r.refusedUpstream(failed, now)
	r.wake(from.Key())
	return left, nil
}

// destination is a sender that a batch has messages for.
type destination struct {
	sender store.Key
	share  *share
	room   int  // messages that the share has room for; 0 for none
	used   bool // some of the room was taken
}

// destination returns the batch's state for a sender, or nil for a new one.
func (s *sendScratch) destination(sender store.Key) *destination {
	for i := range s.destinations { // usually one
		if s.destinations[i].sender == sender {
			return &s.destinations[i]
		}
	}
	return nil
}

// errShareUsed says that the batch ends before this message.
var errShareUsed = errors.New("the share of the backlog is used")

// composeUpstream makes the entry of message i, or returns why the message is refused.
func (r *Router) composeUpstream(ctx context.Context, s *sendScratch, i int, from DeviceID, m *Upstream, regs []*store.Registration, now time.Time) (refused Reason, _ error) {
	if key := groupOfAddress(m.To); key != "" {
		return r.sendToGroup(ctx, from, m, key, regs, now)
	}
	sender, err := ParseSenderID(m.To)
	if err != nil {
		return UnknownSender, nil
	}
	to := s.destination(sender.Key())
	if to == nil {
		if _, err := r.store.Project(ctx, string(sender)); errors.Is(err, store.ErrNotFound) {
			return UnknownSender, nil
		} else if err != nil {
			return 0, fmt.Errorf("look up sender %s: %w", sender, err)
		}
		share := r.shares.of(from, sender.Key())
		room, err := r.shares.room(ctx, share, sender.Key())
		if err != nil {
			return 0, err
		}
		s.destinations = append(s.destinations, destination{sender: sender.Key(), share: share, room: room})
		to = &s.destinations[len(s.destinations)-1]
	}
	token := registered(regs, m, sender)
	if token == "" {
		return NotRegistered, nil
	}
	if m.Data.Size() > r.profile.UpstreamPayload {
		return TooBig, nil
	}
	ttl := m.TTL
	switch {
	case !m.HasTTL:
		ttl = r.profile.UnnamedUpstreamTTL
	case ttl < 0:
		return BadTTL, nil
	}
	ttl = min(ttl, r.profile.UpstreamTTL)
	if ttl > 0 && to.room == 0 && to.used {
		return 0, errShareUsed
	}
	msg := Message{Kind: DataMessage, TTL: ttl, From: token, To: m.To, App: m.Category, ID: m.ID, Data: m.Data}
	s.bodies = msg.Append(s.bodies)
	e := store.Entry{
		Key:      sender.Key(),
		Rank:     store.RankNormal,
		App:      m.Category,
		Accepted: now,
		Expires:  now.Add(ttl),
		Limit:    store.Limit{Messages: r.profile.SenderBacklog, Overflow: store.Refuse},
	}
	if ttl == 0 {
		e.App = strings.Clone(e.App) // a session may keep it after the batch is gone
		r.deliverNow(s, i, e)
		return 0, nil
	}
	if to.room > 0 {
		to.room, to.used = to.room-1, true
	} else {
		// A repeat is still recognised; any other message finds the queue full.
		e.Limit.Messages = 1
	}
	if m.PersistentID != "" {
		s.dedups = append(binary.BigEndian.AppendUint64(s.dedups, uint64(from)), m.PersistentID...)
		e.DedupFor = dedupFor
	}
	s.entries = append(s.entries, e)
	s.results = append(s.results, i)
	s.ends = append(s.ends, len(s.bodies))
	s.dedupEnds = append(s.dedupEnds, len(s.dedups))
	return 0, nil
}

// registered returns the token by which the app server knows the device's app (DEV 10). That is the
// token that the device sent, if it is its own. Otherwise it is the newest living token of the app
// for this sender.
func registered(regs []*store.Registration, m *Upstream, sender SenderID) (token string) {
	var newest *store.Registration
	for _, reg := range regs {
		if !reg.Unregistered.IsZero() || reg.App != m.Category || !reg.MaySend(string(sender)) {
			continue
		}
		if m.Token != "" && reg.Token == m.Token {
			return reg.Token
		}
		if reg.Canonical == "" && (newest == nil || reg.Created.After(newest.Created)) {
			newest = reg
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Token
}

// sendErrorTTL is how long a send_error waits for its device.
const sendErrorTTL = 24 * time.Hour

// sendError returns the entry that tells a device that its message failed (DEV 9.3).
func (r *Router) sendError(from DeviceID, m *Upstream, why Reason, now time.Time) store.Entry {
	r.log.Debug("upstream message refused", zap.Stringer("device", from), zap.String("message_id", m.ID), zap.Stringer("reason", why))
	msg := Message{Kind: SendError, TTL: sendErrorTTL, From: m.To, App: m.Category, ID: m.ID, Reason: why}
	e := store.Entry{
		Key:      from.Key(),
		Rank:     store.RankNormal,
		App:      m.Category,
		Accepted: now,
		Expires:  now.Add(sendErrorTTL),
		Limit:    store.Limit{Messages: r.profile.DeviceBacklog, Overflow: store.Refuse},
		Body:     msg.Append(nil),
	}
	if m.PersistentID != "" { // a repeat makes no second send_error (DEV 7.3)
		e.Dedup, e.DedupFor = m.PersistentID, dedupFor
	}
	return e
}
