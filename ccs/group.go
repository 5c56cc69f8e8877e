package ccs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// MaxGroupMembers is the number of members that a device group may have (TOPICS 7).
const MaxGroupMembers = 20

// maxGroupName is the maximum length of a group's name in bytes.
const maxGroupName = 512

// Errors of the management of device groups (TOPICS 4.1, 6).
var (
	ErrGroupExists    = errors.New("notification_key already exists")
	ErrGroupNotFound  = errors.New("notification_key not found")
	ErrGroupName      = errors.New("notification_key_name doesn't match the group name of the notification_key")
	ErrNoMembers      = errors.New("no valid registration ids")
	ErrTooManyMembers = errors.New("too many members")
	ErrBadGroupName   = errors.New("notification_key_name is not valid")
)

// groupHead begins every notification key and no registration token. The sender ID follows, so that
// a key says whose it is.
const groupHead = tokenHead + "-group-"

// IsGroupKey reports whether the target of a message is a notification key.
func IsGroupKey(to string) bool { return strings.HasPrefix(to, groupHead) }

// groupSender returns the sender of a notification key.
func groupSender(key string) (SenderID, bool) {
	rest, ok := strings.CutPrefix(key, groupHead)
	id, _, ok2 := strings.Cut(rest, "-")
	return SenderID(id), ok && ok2 && isSenderID(id)
}

func newGroupKey(sender SenderID) string {
	random := ""
	for len(random) < tokenLength {
		random += rand.Text()
	}
	key := groupHead + string(sender) + "-" + random
	return key[:len(tokenHead)+tokenLength]
}

// CreateGroup makes a device group and returns its notification key. It leaves out tokens that are
// dead, unknown or of another sender. Its errors are ErrGroupExists, ErrNoMembers,
// ErrTooManyMembers, ErrBadGroupName, or one of the store.
func (r *Router) CreateGroup(ctx context.Context, sender SenderID, name string, tokens []string) (key string, err error) {
	if name == "" || len(name) > maxGroupName || strings.ContainsFunc(name, unicode.IsControl) {
		return "", ErrBadGroupName
	}
	members, err := r.goodMembers(ctx, sender, tokens)
	switch {
	case err != nil:
		return "", err
	case len(members) == 0:
		return "", ErrNoMembers
	case len(members) > MaxGroupMembers:
		return "", ErrTooManyMembers
	}
	g := &store.Group{Sender: string(sender), Name: name, Key: newGroupKey(sender), Members: members, Created: r.clock.Now()}
	for range 2 {
		err = r.store.CreateGroup(ctx, g)
		if !errors.Is(err, store.ErrExists) {
			break
		}
		// A group whose members have all ended is no group any more.
		old, oldErr := r.store.GroupNamed(ctx, string(sender), name)
		if oldErr != nil {
			return "", oldErr
		}
		if left, err := r.goodMembers(ctx, sender, old.Members); err != nil || len(left) > 0 {
			return "", errors.Join(err, ErrGroupExists)
		}
		if err := r.store.UpdateGroup(ctx, string(sender), old.Key, func(g *store.Group) error { g.Members = nil; return nil }); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", fmt.Errorf("create a group: %w", err)
	}
	return g.Key, nil
}

// AddToGroup adds members to a group, all or none. name may be "". Its errors are ErrGroupNotFound,
// ErrGroupName, ErrNoMembers, ErrTooManyMembers, or one of the store.
func (r *Router) AddToGroup(ctx context.Context, sender SenderID, key, name string, tokens []string) error {
	return r.changeGroup(ctx, sender, key, name, tokens, func(g *store.Group, tokens []string) error {
		for _, token := range tokens {
			if !slices.Contains(g.Members, token) {
				g.Members = append(g.Members, token)
			}
		}
		if len(g.Members) > MaxGroupMembers {
			return ErrTooManyMembers
		}
		return nil
	})
}

// RemoveFromGroup removes members from a group, as AddToGroup adds them. A token that is no member
// is no error. A group without members is gone.
func (r *Router) RemoveFromGroup(ctx context.Context, sender SenderID, key, name string, tokens []string) error {
	return r.changeGroup(ctx, sender, key, name, tokens, func(g *store.Group, tokens []string) error {
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return slices.Contains(tokens, m) })
		return nil
	})
}

// changeGroup changes a group with fn, which gets the group without members that have ended.
func (r *Router) changeGroup(ctx context.Context, sender SenderID, key, name string, tokens []string, fn func(g *store.Group, tokens []string) error) error {
	g, members, err := r.group(ctx, sender, key)
	switch {
	case err != nil:
		return err
	case name != "" && name != g.Name:
		return ErrGroupName
	}
	changed, err := r.goodMembers(ctx, sender, tokens)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		return ErrNoMembers
	}
	before := g.Members
	for range 10 { // unless others change the group all the time
		err = r.store.UpdateGroup(ctx, string(sender), key, func(g *store.Group) error {
			if !slices.Equal(g.Members, before) {
				before = g.Members
				return errGroupChanged
			}
			g.Members = slices.Clone(members)
			return fn(g, changed)
		})
		if !errors.Is(err, errGroupChanged) {
			break
		}
		if members, err = r.goodMembers(ctx, sender, before); err != nil {
			return err
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return ErrGroupNotFound
	}
	return err
}

var errGroupChanged = errors.New("the group has changed")

// GroupKey returns the notification key of a group, or ErrGroupNotFound.
func (r *Router) GroupKey(ctx context.Context, sender SenderID, name string) (string, error) {
	g, err := r.store.GroupNamed(ctx, string(sender), name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", ErrGroupNotFound
	case err != nil:
		return "", err
	}
	if _, _, err := r.group(ctx, sender, g.Key); err != nil {
		return "", err
	}
	return g.Key, nil
}

// group returns a group and the tokens of its members that live. ErrGroupNotFound says that there is
// none, or that all of its members have ended.
func (r *Router) group(ctx context.Context, sender SenderID, key string) (*store.Group, []string, error) {
	g, err := r.store.Group(ctx, string(sender), key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil, ErrGroupNotFound
	case err != nil:
		return nil, nil, fmt.Errorf("look up a group: %w", err)
	}
	members, err := r.goodMembers(ctx, sender, g.Members)
	switch {
	case err != nil:
		return nil, nil, err
	case len(members) == 0:
		return nil, nil, ErrGroupNotFound
	}
	return g, members, nil
}

// goodMembers returns the newest tokens of registrations that live and are of a sender, each once.
func (r *Router) goodMembers(ctx context.Context, sender SenderID, tokens []string) (good []string, err error) {
	regs, errs, err := r.members(ctx, sender, tokens)
	if err != nil {
		return nil, err
	}
	for i, reg := range regs {
		if errs[i] == nil && !slices.Contains(good, reg.Token) {
			good = append(good, reg.Token)
		}
	}
	return good, nil
}

// GroupResult is what became of a message to a device group (TOPICS 4.2).
type GroupResult struct {
	Success int      // members whose copy was accepted
	Failed  []string // registration tokens of the other members
}

// sendToGroups sends a copy to each member of the groups of a batch. Each copy is a message of its
// own, so a repeat is known by its member.
func (r *Router) sendToGroups(ctx context.Context, from Source, batch []Downstream, groups []int, results []Result) {
	from.PerSecond = 0 // the message has been counted
	for _, i := range groups {
		_, members, err := r.group(ctx, from.Sender, batch[i].To)
		switch {
		case errors.Is(err, ErrGroupNotFound):
			results[i].Refusal = &Refusal{Reason: Unregistered}
			continue
		case err != nil:
			results[i].Refusal = RefusalOf(err)
			continue
		}
		copies := make([]Downstream, len(members))
		for j, token := range members {
			copies[j] = batch[i]
			copies[j].To = token
		}
		got := &GroupResult{}
		for j, res := range r.Send(ctx, from, copies, nil) {
			if res.Refusal == nil {
				got.Success++
				results[i].Accepted = res.Accepted
			} else {
				got.Failed = append(got.Failed, members[j])
			}
		}
		results[i].Group = got
	}
}

// groupMessageID is the pair by which a message from another member says its ID (TOPICS 4.4).
const groupMessageID = "google.message_id"

// upstreamToGroup sends a device's message to the other members of a group (TOPICS 4.4). A device
// that is no member gets the answer of an unknown destination.
func (r *Router) upstreamToGroup(ctx context.Context, from DeviceID, m *Upstream, key string, now time.Time) (refused Reason, _ error) {
	sender, ok := groupSender(key)
	if !ok {
		return UnknownSender, nil
	}
	_, members, err := r.group(ctx, sender, key)
	switch {
	case errors.Is(err, ErrGroupNotFound):
		return UnknownSender, nil
	case err != nil:
		return 0, err
	}
	regs, err := r.store.Registrations(ctx, nil, members)
	if err != nil {
		return 0, fmt.Errorf("look up the members of a group: %w", err)
	}
	own := slices.IndexFunc(regs, func(reg *store.Registration) bool {
		return reg != nil && reg.Device == uint64(from) && reg.App == m.Category
	})
	switch {
	case own < 0:
		return UnknownSender, nil
	case m.Data.Size() > r.profile.UpstreamPayload:
		return TooBig, nil
	case m.HasTTL && m.TTL < 0:
		return BadTTL, nil
	}
	ttl := m.TTL
	if !m.HasTTL {
		ttl = r.profile.UnnamedUpstreamTTL
	}
	ttl = min(ttl, r.profile.UpstreamTTL)
	msg := Message{Kind: DataMessage, TTL: ttl, From: key, ID: m.ID, Data: append(payload.Data(nil), m.Data...).Append(groupMessageID, m.ID)}
	var entries []store.Entry
	for i, reg := range regs {
		if reg == nil || i == own {
			continue
		}
		msg.App, msg.Subtype = reg.App, reg.Subtype
		e := store.Entry{
			Key: reg.Key(), Rank: store.RankNormal, App: reg.Instance(), Accepted: now, Expires: now.Add(ttl),
			Limit: r.deviceLimit(reg.Key()), Body: msg.Append(nil),
		}
		if ttl == 0 {
			e.Expires = time.Time{}
			if !r.offer(e) {
				r.offerElsewhere(ctx, []store.Entry{e})
			}
			r.handedOn(&e, reg.Token, sender, now)
			continue
		}
		if m.PersistentID != "" {
			e.Dedup, e.DedupFor = fmt.Sprint("group ", from, " ", reg.Token, " ", m.PersistentID), dedupFor
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return 0, nil
	}
	if _, err := r.put(ctx, entries, nil, now); err != nil {
		return 0, fmt.Errorf("store a message to a group: %w", err)
	}
	for i := range entries {
		r.wake(entries[i].Key)
	}
	return 0, nil
}
