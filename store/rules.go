package store

import (
	"fmt"
	"slices"
	"time"
)

// The functions of this file are the rules for registrations. An engine reads the registrations of
// a device, calls one of the functions, and writes the changed records.

// Register decides which registration a device gets (CCS 5.6, DEV 3.5). all has the registrations
// of the device, and fresh is a record made by Fresh. If a living registration is the same,
// Register returns it, and nothing as changed. Otherwise it returns fresh. changed then has the
// registrations of its slot that fresh supersedes, and fresh last. Unregistered ones stay as they
// are. Register returns ErrExists if the device has the token already. The caller must check the
// tokens of other devices.
func Register(all []*Registration, fresh *Registration, now time.Time) (kept *Registration, changed []*Registration, err error) {
	slot, taken := fresh.Slot(), false
	for _, old := range all {
		taken = taken || old.Token == fresh.Token
		switch {
		case !old.Unregistered.IsZero() || old.Slot() != slot:
		case old.Living() && old.Same(fresh):
			return old, nil, nil
		default:
			changed = append(changed, old.SupersededBy(fresh.Token, now))
		}
	}
	if taken {
		return nil, nil, fmt.Errorf("token: %w", ErrExists)
	}
	return fresh, append(changed, fresh), nil
}

// Unregister returns the records of those registrations that tokens end (CCS 5.7). A registration
// that has ended before keeps its time.
func Unregister(all []*Registration, now time.Time, tokens ...string) (changed []*Registration) {
	for _, r := range all {
		if r != nil && r.Unregistered.IsZero() && slices.Contains(tokens, r.Token) {
			gone := *r
			gone.Unregistered = now
			changed = append(changed, &gone)
		}
	}
	return changed
}

// Forgettable returns the registrations that may be forgotten: those that are superseded or
// unregistered. A nil among all stands for an unknown token.
func Forgettable(all []*Registration) (dead []*Registration) {
	for _, r := range all {
		if r != nil && !r.Living() {
			dead = append(dead, r)
		}
	}
	return dead
}
