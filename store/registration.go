package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Registration is the device and app that a registration token stands for (DEV 3.5). Records that a
// store hands out are shared: nobody changes one.
type Registration struct {
	Token      string
	Device     uint64   // android id
	App        string   // extension id or package; the category of a data message
	Subtype    string   // X-subtype, "" for none
	Senders    []string // who may send to it: sender IDs, or one authorised entity; sorted
	Scope      string   // Instance ID scope, "" for a classic registration
	InstanceID string   // appid, "" for a classic registration
	Created    time.Time

	// Canonical is the newer token of the same slot, "" while this is the newest (CCS 5.6).
	Canonical  string
	Superseded time.Time
	// Unregistered is not zero once the app instance has gone (CCS 5.7).
	Unregistered time.Time
}

// Instance names the app instance on its device: the unit that collapse keys and the 100-message limit
// count by.
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

// Key is the queue of the registration's device.
func (r *Registration) Key() Key { return Key{Kind: KindDevice, ID: r.Device} }

// Living reports whether the registration is the newest of its slot, and its app instance has not gone.
func (r *Registration) Living() bool { return r.Canonical == "" && r.Unregistered.IsZero() }

// MaySend reports whether the sender is among the registration's senders (CCS 5.8).
func (r *Registration) MaySend(sender string) bool { return slices.Contains(r.Senders, sender) }

// Slot names what a newer registration supersedes: for a classic registration the app on the device,
// for an Instance ID token also its authorised entity and scope.
func (r *Registration) Slot() string {
	parts := []string{strconv.FormatUint(r.Device, 10), r.App, r.Subtype}
	if r.InstanceID != "" {
		parts = append(parts, strings.Join(r.Senders, ","), r.Scope)
	}
	return strings.Join(parts, "\x00")
}

// Same reports whether a registration asks for what r already is, so that r's token is the answer.
func (r *Registration) Same(o *Registration) bool {
	return r.Slot() == o.Slot() && r.InstanceID == o.InstanceID && slices.Equal(r.Senders, o.Senders)
}

// Fresh is the record that a store keeps of a new registration. It shares nothing with r.
func (r *Registration) Fresh(now time.Time) *Registration {
	c := *r
	c.Senders = slices.Clone(r.Senders)
	c.Canonical, c.Superseded, c.Unregistered = "", time.Time{}, time.Time{}
	if c.Created.IsZero() {
		c.Created = now
	}
	return &c
}

// SupersededBy is the record of r once its slot has a newer token. Superseded is when r stopped being
// the newest; Canonical is always the newest token of the slot (CCS 5.6).
func (r *Registration) SupersededBy(token string, now time.Time) *Registration {
	c := *r
	if c.Canonical == "" {
		c.Superseded = now
	}
	c.Canonical = token
	return &c
}

// Registrations remembers which token stands for what.
type Registrations interface {
	// Register returns the living registration that is the Same as r, or keeps r, with its Token, and
	// marks those before it in its slot as superseded: the Canonical of each becomes the new token.
	// Unregistered ones stay as they are. ErrExists if the token is taken.
	Register(ctx context.Context, r Registration, now time.Time) (*Registration, error)
	// Registrations looks tokens up and appends one record a token to dst, nil for an unknown one. A *PartialError
	// concerns those tokens alone for which it has an error; the others are looked up, and dst has all.
	Registrations(ctx context.Context, dst []*Registration, tokens []string) ([]*Registration, error)
	// DeviceRegistrations lists every registration of a device, unregistered ones included.
	DeviceRegistrations(ctx context.Context, device uint64) ([]*Registration, error)
	// Unregister marks tokens as unregistered. Unknown tokens are passed over.
	Unregister(ctx context.Context, now time.Time, tokens ...string) error
}

// Forgetter is an optional ability of a store: to lose registrations for good, so that a device that registers again
// and again does not fill it.
type Forgetter interface {
	// ForgetRegistrations forgets tokens that are superseded or unregistered: they are unknown then. One that is
	// living is left alone, an unknown one passed over.
	ForgetRegistrations(ctx context.Context, tokens ...string) error
}
