package ccs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/openccs/openccs/store"
)

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

// IsGroupKey reports whether a target is the key of a device group and not a registration token. It
// does no lookup.
func IsGroupKey(to string) bool { return store.IsGroupKey(to) }

// CreateGroup makes a device group of a project and returns its key (TOPICS 4.1). It leaves out
// tokens that are dead, unknown or of another sender. Its errors are ErrGroupExists, ErrNoMembers,
// ErrTooManyMembers, ErrBadGroupName, or one of the store.
func (r *Router) CreateGroup(ctx context.Context, sender SenderID, name string, tokens []string) (key string, err error) {
	if name == "" || len(name) > maxGroupName || strings.ContainsFunc(name, unicode.IsControl) {
		return "", ErrBadGroupName
	}
	regs, err := r.eligible(ctx, sender, tokens)
	if err != nil {
		return "", err
	}
	g := &store.Group{Sender: string(sender), Name: name, Created: r.clock.Now()}
	if err := join(g, regs); err != nil {
		return "", err
	}
	if g.Key, err = store.NewGroupKey(g.ID()); err != nil {
		return "", err
	}
	switch err := r.store.CreateGroup(ctx, g); {
	case errors.Is(err, store.ErrExists):
		return "", ErrGroupExists
	case errors.Is(err, store.ErrNotFound):
		return "", ErrNoMembers
	case errors.Is(err, store.ErrTooManyGroups):
		return "", ErrTooManyMembers
	case err != nil:
		return "", err
	}
	return g.Key, nil
}

// AddToGroup adds members to a group, all of them or none. name may be "".
func (r *Router) AddToGroup(ctx context.Context, sender SenderID, key, name string, tokens []string) error {
	return r.updateGroup(ctx, sender, key, name, tokens, join)
}

// RemoveFromGroup removes members from a group. The group ends with the last of them. name may be
// "".
func (r *Router) RemoveFromGroup(ctx context.Context, sender SenderID, key, name string, tokens []string) error {
	return r.updateGroup(ctx, sender, key, name, tokens, leave)
}

func (r *Router) updateGroup(ctx context.Context, sender SenderID, key, name string, tokens []string, change func(*store.Group, []*store.Registration) error) error {
	id, ok := store.ParseGroupKey(key)
	if !ok || id.Sender != string(sender) {
		return ErrGroupNotFound
	}
	if g, err := r.GroupByKey(ctx, sender, key); err != nil {
		return err
	} else if name != "" && name != g.Name {
		return ErrGroupName
	}
	regs, err := r.eligible(ctx, sender, tokens)
	if err != nil {
		return err
	}
	err = r.store.UpdateGroup(ctx, id, func(g *store.Group) error {
		if g.Key != key {
			return ErrGroupNotFound
		}
		return change(g, regs)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ErrGroupNotFound
	case errors.Is(err, store.ErrTooManyGroups):
		return ErrTooManyMembers
	}
	return err
}

// join adds registrations to a group. One of a place that is a member changes nothing.
func join(g *store.Group, regs []*store.Registration) error {
	for _, reg := range regs {
		if g.Member(reg.Place()) < 0 {
			g.Members = append(g.Members, store.MemberOf(reg))
		}
	}
	if len(g.Members) > store.MaxMembers {
		return ErrTooManyMembers
	}
	return nil
}

// leave removes registrations from a group.
func leave(g *store.Group, regs []*store.Registration) error {
	for _, reg := range regs {
		if i := g.Member(reg.Place()); i >= 0 {
			g.Members = append(g.Members[:i], g.Members[i+1:]...)
		}
	}
	return nil
}

// eligible returns the registrations of the tokens that can be members of a project's groups.
func (r *Router) eligible(ctx context.Context, sender SenderID, tokens []string) ([]*store.Registration, error) {
	all, errs, err := r.members(ctx, sender, tokens)
	if err != nil {
		return nil, err
	}
	regs := all[:0]
	for i, reg := range all {
		if errs[i] == nil {
			regs = append(regs, reg)
		}
	}
	if len(regs) == 0 {
		return nil, ErrNoMembers
	}
	return regs, nil
}

// GroupKey returns the notification key of a group, or ErrGroupNotFound.
func (r *Router) GroupKey(ctx context.Context, sender SenderID, name string) (string, error) {
	g, err := r.group(ctx, store.GroupIDOf(string(sender), name))
	if err != nil {
		return "", err
	}
	return g.Key, nil
}

// GroupByKey returns the group of a project with a key, or ErrGroupNotFound.
func (r *Router) GroupByKey(ctx context.Context, sender SenderID, key string) (*store.Group, error) {
	id, ok := store.ParseGroupKey(key)
	if !ok || id.Sender != string(sender) {
		return nil, ErrGroupNotFound
	}
	g, err := r.group(ctx, id)
	if err != nil {
		return nil, err
	}
	if g.Key != key {
		return nil, ErrGroupNotFound
	}
	return g, nil
}

func (r *Router) group(ctx context.Context, id store.GroupID) (*store.Group, error) {
	g, err := r.store.Group(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrGroupNotFound
	}
	return g, err
}

// GroupResult is the outcome of a message to a device group (TOPICS 4.2).
type GroupResult struct {
	Success int      // members that get the message
	Failed  []string // tokens of the other members
}

// hasGroup reports whether a batch has a message to a device group.
func hasGroup(batch []Downstream) bool {
	for i := range batch {
		if store.IsGroupKey(batch[i].To) {
			return true
		}
	}
	return false
}

// sendToGroups is Send for a batch that has messages to device groups: each member gets a copy, and
// all copies are in one batch (TOPICS 4.2).
func (r *Router) sendToGroups(ctx context.Context, from Source, batch []Downstream, dst []Result) []Result {
	var copies []Downstream
	groups := map[string]*store.Group{}
	ends := make([]int, len(batch)) // copies[:ends[i]] ends with those of batch[i]
	failed := make([]error, len(batch))
	for i := range batch {
		m := batch[i]
		var g *store.Group
		if store.IsGroupKey(m.To) {
			var known bool
			if g, known = groups[m.To]; !known {
				var err error
				if g, err = r.GroupByKey(ctx, from.Sender, m.To); err != nil && !errors.Is(err, ErrGroupNotFound) {
					failed[i] = fmt.Errorf("look up a group: %w", err)
				} else {
					groups[strings.Clone(m.To)] = g
				}
			}
		}
		switch {
		case failed[i] != nil:
		case g == nil:
			copies = append(copies, m) // check refuses the key of no group
		default:
			for _, member := range g.Members {
				m.To = member.Token
				copies = append(copies, m)
			}
		}
		ends[i] = len(copies)
	}
	results := r.send(ctx, from, copies, make([]Result, 0, len(copies)))
	start := 0
	for i, end := range ends {
		switch {
		case failed[i] != nil:
			refusal := RefusalOf(failed[i])
			r.tally.Refused(Down, refusal.Reason)
			dst = append(dst, Result{ID: batch[i].ID, Refusal: refusal})
		case groups[batch[i].To] == nil:
			dst = append(dst, results[start])
		default:
			dst = append(dst, groupResult(batch[i].ID, copies[start:end], results[start:end]))
		}
		start = end
	}
	return dst
}

// groupResult joins the results of the copies for the members of a group. If none was accepted, it
// has the refusal of the first.
func groupResult(id string, copies []Downstream, results []Result) Result {
	joined := Result{ID: id, Group: &GroupResult{}}
	for i := range results {
		if results[i].Refusal != nil {
			joined.Group.Failed = append(joined.Group.Failed, copies[i].To)
			continue
		}
		if joined.Group.Success++; joined.Group.Success == 1 {
			joined.Entry, joined.Accepted = results[i].Entry, results[i].Accepted
		}
	}
	if joined.Group.Success == 0 {
		joined.Refusal = results[0].Refusal
	}
	return joined
}

// refuseTarget returns why a target that is no registration is refused.
func refuseTarget(from SenderID, to string) *Refusal {
	id, ok := store.ParseGroupKey(to)
	switch {
	case !ok:
		return &Refusal{Reason: UnknownToken, Detail: to}
	case id.Sender != string(from):
		return &Refusal{Reason: WrongSender, Detail: to}
	}
	return &Refusal{Reason: Unregistered} // the group has ended
}
