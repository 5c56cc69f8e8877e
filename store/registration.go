package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Registration is the device and app that a registration token stands for (DEV 3.5). Callers share
// the records of a store and must not change them.
type Registration struct {
	Token   string
	Device  uint64 // android id
	App     string // extension id or package; the category of a data message
	Subtype string // X-subtype, "" for none
	// Senders may send to it. It holds sender IDs, or one authorised entity, sorted.
	Senders    []string
	Scope      string // Instance ID scope, "" for a classic registration
	InstanceID string // appid, "" for a classic registration
	Created    time.Time

	// Canonical is the newer token of the same slot, "" while this is the newest (CCS 5.6).
	Canonical  string
	Superseded time.Time
	// Unregistered is not zero after the app instance was removed (CCS 5.7).
	Unregistered time.Time
}

// Instance names the app instance on its device. Collapse keys and the limit of 100 messages count
// per instance.
func (r *Registration) Instance() string {
	if r.Subtype == "" {
		return r.App
	}
	return r.App + "\x00" + r.Subtype
}

// CutInstance undoes Instance.
func CutInstance(instance string) (app, subtype string) {
	app, subtype, _ = strings.Cut(instance, "\x00")
	return app, subtype
}

// Key returns the key of the device's queue.
func (r *Registration) Key() Key { return Key{Kind: KindDevice, ID: r.Device} }

// Living reports whether the registration is the newest of its slot and is not unregistered.
func (r *Registration) Living() bool { return r.Canonical == "" && r.Unregistered.IsZero() }

// MaySend reports whether the sender is among the registration's senders (CCS 5.8).
func (r *Registration) MaySend(sender string) bool { return slices.Contains(r.Senders, sender) }

// Slot names the slot in which a newer registration supersedes this one. For a classic registration
// it is the app on the device. For an Instance ID token it also has the authorised entity and the
// scope.
func (r *Registration) Slot() string {
	parts := []string{strconv.FormatUint(r.Device, 10), r.App, r.Subtype}
	if r.InstanceID != "" {
		parts = append(parts, strings.Join(r.Senders, ","), r.Scope)
	}
	return strings.Join(parts, "\x00")
}

// Same reports whether registration o asks for the same as r, so that r's token is the answer.
func (r *Registration) Same(o *Registration) bool {
	return r.Slot() == o.Slot() && r.InstanceID == o.InstanceID && slices.Equal(r.Senders, o.Senders)
}

// Fresh returns the record that a store keeps of a new registration. It shares nothing with r.
func (r *Registration) Fresh(now time.Time) *Registration {
	c := *r
	c.Senders = slices.Clone(r.Senders)
	c.Canonical, c.Superseded, c.Unregistered = "", time.Time{}, time.Time{}
	if c.Created.IsZero() {
		c.Created = now
	}
	return &c
}

// SupersededBy returns the record of r after its slot has a newer token. Superseded is the time at
// which r stopped being the newest. Canonical is always the newest token of the slot (CCS 5.6).
func (r *Registration) SupersededBy(token string, now time.Time) *Registration {
	c := *r
	if c.Canonical == "" {
		c.Superseded = now
	}
	c.Canonical = token
	return &c
}

// Registrations maps tokens to registrations.
type Registrations interface {
	// Register returns the living registration that is the Same as r, or else keeps r with its
	// Token. Then it marks the earlier ones in the slot as superseded: the Canonical of each
	// becomes the new token. Unregistered ones stay as they are. Register returns ErrExists if the
	// token is taken.
	Register(ctx context.Context, r Registration, now time.Time) (*Registration, error)
	// Registrations looks tokens up and appends one record per token to dst, nil for an unknown
	// one. A *PartialError concerns only the tokens for which it has an error. The others are
	// looked up, and dst has all.
	Registrations(ctx context.Context, dst []*Registration, tokens []string) ([]*Registration, error)
	// DeviceRegistrations lists every registration of a device, unregistered ones included.
	DeviceRegistrations(ctx context.Context, device uint64) ([]*Registration, error)
	// Unregister marks tokens as unregistered. It skips unknown tokens.
	Unregister(ctx context.Context, now time.Time, tokens ...string) error
}

// Forgetter is an optional ability of a store: it forgets registrations for good. Otherwise a
// device that registers again and again would fill the store.
type Forgetter interface {
	// ForgetRegistrations forgets superseded or unregistered tokens, which are unknown after that.
	// It leaves living tokens as they are and skips unknown ones.
	ForgetRegistrations(ctx context.Context, tokens ...string) error
}
