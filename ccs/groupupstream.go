package ccs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// groupOfAddress returns the key of the device group that an upstream message is for, or "".
func groupOfAddress(to string) string {
	if !store.IsGroupKey(to) {
		return ""
	}
	key, _, _ := strings.Cut(to, "@") // the old API appends the domain
	return key
}

// sendToGroup stores a device's message for the other members of a group (TOPICS 4.4). When it
// returns no reason and no error, the message is stored for each member that has room, or was
// stored before.
func (r *Router) sendToGroup(ctx context.Context, from DeviceID, m *Upstream, key string, regs []*store.Registration, now time.Time) (refused Reason, _ error) {
	id, ok := store.ParseGroupKey(key)
	if !ok {
		return UnknownSender, nil
	}
	g, err := r.GroupByKey(ctx, SenderID(id.Sender), key)
	if errors.Is(err, ErrGroupNotFound) {
		return UnknownSender, nil
	} else if err != nil {
		return 0, fmt.Errorf("look up a group: %w", err)
	}
	self := slices.IndexFunc(g.Members, func(member store.Member) bool {
		return slices.ContainsFunc(regs, func(reg *store.Registration) bool { return reg.Token == member.Token && reg.App == m.Category })
	})
	if self < 0 {
		return UnknownSender, nil
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
	entries, err := r.groupEntries(ctx, from, m, g, self, min(ttl, r.profile.UpstreamTTL), now)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	if ttl == 0 {
		return r.offerToGroup(ctx, SenderID(g.Sender), entries, now), nil
	}
	return r.putForGroup(ctx, entries, now)
}

// groupEntries makes the entries for all members of a group but one.
func (r *Router) groupEntries(ctx context.Context, from DeviceID, m *Upstream, g *store.Group, self int, ttl time.Duration, now time.Time) (entries []store.Entry, err error) {
	tokens := make([]string, 0, len(g.Members))
	for i, member := range g.Members {
		if i != self {
			tokens = append(tokens, member.Token)
		}
	}
	members, err := r.store.Registrations(ctx, nil, tokens)
	if err != nil {
		return nil, fmt.Errorf("look up the members of a group: %w", err)
	}
	data := append(payload.Data{}, m.Data...).Append("google.message_id", m.ID)
	for _, reg := range members {
		if reg == nil || !reg.Unregistered.IsZero() {
			continue // it has ended since
		}
		msg := Message{
			Kind: DataMessage, TTL: ttl, From: g.Key, App: reg.App, Subtype: reg.Subtype, ID: m.ID, Data: data,
		}
		e := store.Entry{
			Key: reg.Key(), Rank: store.RankNormal, App: reg.Instance(), Accepted: now, Expires: now.Add(ttl),
			Limit: r.deviceLimit(reg.Key()), Body: msg.Append(nil),
		}
		if m.PersistentID != "" { // one member's app may have several registrations on one device
			dedup := binary.BigEndian.AppendUint64([]byte("group "+reg.Token+" "), uint64(from))
			e.Dedup, e.DedupFor = string(append(dedup, m.PersistentID...)), dedupFor
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// offerToGroup offers messages with a TTL of zero to sessions (CCS 5.2).
func (r *Router) offerToGroup(ctx context.Context, sender SenderID, entries []store.Entry, now time.Time) (refused Reason) {
	var elsewhere []store.Entry
	taken := 0
	for i := range entries {
		e := &entries[i]
		e.Expires, e.Dedup, e.DedupFor = time.Time{}, "", 0
		if !r.offer(*e) {
			elsewhere = append(elsewhere, *e)
			continue
		}
		taken++
		r.handedOn(e, "", sender, now)
	}
	for i, ok := range r.offerElsewhere(ctx, elsewhere) {
		if ok {
			taken++
			r.handedOn(&elsewhere[i], "", sender, now)
		}
	}
	if taken == 0 {
		return NobodyConnected
	}
	return 0
}

// putForGroup stores messages and wakes the sessions of their devices.
func (r *Router) putForGroup(ctx context.Context, entries []store.Entry, now time.Time) (refused Reason, _ error) {
	outcomes, err := r.put(ctx, entries, nil, now)
	if err != nil { // the device sends the message again, and the stored ones are then repeats
		return 0, fmt.Errorf("store a message to a group: %w", err)
	}
	kept := 0
	for i, o := range outcomes {
		if refusalOf(o.Result) == 0 {
			kept++
			r.wake(entries[i].Key)
		}
	}
	if kept == 0 {
		return QueueFull, nil
	}
	return 0, nil
}
