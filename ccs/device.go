package ccs

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// deviceKeys makes the credentials of devices. A security token is a keyed hash of the android id,
// so that no table of devices is needed to recognise one (DEV 2.4).
type deviceKeys struct{ secret []byte }

const deviceSecret = "device"

func newDeviceKeys(ctx context.Context, st store.Store) (deviceKeys, error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh)
	secret, err := st.Secret(ctx, deviceSecret, fresh)
	if err != nil {
		return deviceKeys{}, fmt.Errorf("read the device secret: %w", err)
	}
	return deviceKeys{secret: secret}, nil
}

// positive maps n to 1 … 2^63-1, because clients print ids through signed types (DEV 2.4).
func positive(n uint64) uint64 { return max(n&(1<<63-1), 1) }

func (k deviceKeys) token(id uint64) uint64 {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, id))
	return positive(binary.BigEndian.Uint64(mac.Sum(nil)))
}

func (k deviceKeys) check(id, token uint64) bool {
	var got, want [8]byte
	binary.BigEndian.PutUint64(got[:], token)
	binary.BigEndian.PutUint64(want[:], k.token(id))
	return id != 0 && id == positive(id) && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// CheckIn enrols a device that has no id yet, and confirms one that has. ErrUnknownDevice makes a
// device discard its identity and enrol again (DEV 2.1, 2.4).
func (r *Router) CheckIn(_ context.Context, id, token uint64) (newID, newToken uint64, err error) {
	if id == 0 && token == 0 {
		var b [8]byte
		rand.Read(b[:])
		id = positive(binary.BigEndian.Uint64(b[:]))
		return id, r.devices.token(id), nil
	}
	if !r.devices.check(id, token) {
		return 0, 0, ErrUnknownDevice
	}
	return id, token, nil
}

// Authenticate checks a device's credentials. It returns ErrUnknownDevice if check-in did not issue
// them.
func (r *Router) Authenticate(_ context.Context, id, token uint64) error {
	if !r.devices.check(id, token) {
		return ErrUnknownDevice
	}
	return nil
}

// tokenHead is the prefix of registration tokens of the real service. Clients do not check it
// (DEV 3.1).
const tokenHead = "APA91b"

// tokenLength is the length of a token after its head.
const tokenLength = 134

// newToken returns a registration token that nobody can guess. Every client can carry its alphabet.
// It never contains "Error", which some clients take for a failure (DEV 3.1). It is never taken for
// the key of a group.
func newToken() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for {
		var b [tokenLength]byte
		rand.Read(b[:])
		for i := range b {
			b[i] = alphabet[b[i]%byte(len(alphabet))]
		}
		if token := tokenHead + string(b[:]); !strings.Contains(token, "Error") && !store.IsGroupKey(token) {
			return token
		}
	}
}

// Register gives an app on a device the token of its registration. A request for the same
// registration gets the same token (DEV 3.5). The record must come without Token and Created. The
// errors are ErrInvalidSender if no named sender could send, and ErrTooManyRegistrations.
func (r *Router) Register(ctx context.Context, reg store.Registration) (*store.Registration, error) {
	return r.RegisterFrom(ctx, reg, netip.Prefix{})
}

// RegisterFrom is Register for a device with an IP address. It counts the address's devices that
// have not connected yet; ErrTooManyDevices asks the device to try again later. A device that does
// not connect within a day is forgotten. Without an address neither applies.
func (r *Router) RegisterFrom(ctx context.Context, reg store.Registration, network netip.Prefix) (*store.Registration, error) {
	reg.Senders = slices.Compact(slices.Sorted(slices.Values(reg.Senders)))
	if len(reg.Senders) == 0 || slices.Contains(reg.Senders, "") {
		return nil, ErrInvalidSender
	}
	now := r.clock.Now()
	before, isNew, err := r.mayRegister(ctx, &reg, network.IsValid(), now)
	if err == nil && isNew {
		err = r.admitNewDevice(ctx, reg.Device, network, now)
	}
	if err != nil {
		return nil, err
	}
	reg.Token, reg.Created = newToken(), now
	got, err := r.store.Register(ctx, reg, now)
	if err != nil && isNew {
		r.newcomers.cancel(reg.Device)
	}
	if err == nil && got.Token == reg.Token {
		r.tellRegistered(got, before)
	}
	if err == nil && isNew && r.hub(reg.Key()) != nil {
		err = r.endProbation(ctx, reg.Device) // it connected while this call ran
	}
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	r.log.Debug("registered", zap.Stringer("device", DeviceID(got.Device)), zap.String("app", got.App),
		zap.Strings("senders", shownSenders(got.Senders)), zap.String("token", ShortToken(got.Token)))
	return got, nil
}

// shownSenders returns a registration's senders for logs. A name that is no sender ID is hidden: it
// may be a key.
func shownSenders(senders []string) []string {
	shown := make([]string, len(senders))
	for i, s := range senders {
		if shown[i] = "…"; isSenderID(s) {
			shown[i] = s
		}
	}
	return shown
}

func isSenderID(s string) bool {
	id, err := ParseSenderID(s)
	return err == nil && string(id) == s
}

// Limits of one device: far above the number of apps that a device has.
const (
	maxLiving        = 1000   // registrations that can be sent to
	maxRegistrations = 10_000 // records, including those of the past
)

// rememberDeadFor is how long a dead token gets the answer DEVICE_UNREGISTERED. After that it may
// be unknown.
const rememberDeadFor = 90 * 24 * time.Hour

// mayRegister keeps a device from filling the store. It limits the device's registrations and
// forgets those that have been dead for long. It returns the device's registrations and, if the
// caller counts new devices, whether this one is new.
func (r *Router) mayRegister(ctx context.Context, reg *store.Registration, counted bool, now time.Time) (all []*store.Registration, isNew bool, err error) {
	all, err = r.store.DeviceRegistrations(ctx, reg.Device)
	if err != nil {
		return nil, false, fmt.Errorf("register: %w", err)
	}
	records, living := len(all), 0
	var dead []string
	for _, o := range all {
		switch {
		case !o.Living():
			if now.Sub(deadSince(o, now)) > rememberDeadFor {
				dead = append(dead, o.Token)
			}
		case o.Same(reg):
			return all, false, nil
		default:
			living++
		}
	}
	if f, ok := r.store.(store.Forgetter); ok && len(dead) > 0 {
		if err := f.ForgetRegistrations(ctx, dead...); err != nil {
			return nil, false, err
		}
		records -= len(dead)
	}
	switch {
	case living >= maxLiving || records >= maxRegistrations:
		return nil, false, ErrTooManyRegistrations
	case counted && records >= maxNewcomerApps && r.newcomers.has(reg.Device):
		return nil, false, ErrTooManyDevices
	}
	return all, counted && len(all) == 0 && r.hub(reg.Key()) == nil, nil
}

// deadSince returns when a registration could no longer be sent to, or now for a living one.
func deadSince(o *store.Registration, now time.Time) time.Time {
	switch {
	case !o.Unregistered.IsZero():
		return o.Unregistered
	case !o.Superseded.IsZero():
		return o.Superseded.Add(supersededFor)
	default:
		return now
	}
}

// Unregister ends registrations of an app on a device, and drops their waiting messages (CCS 5.7).
// A classic request names only app and subtype. An Instance ID request also names its instance,
// sender and scope, where "*" stands for all (DEV 3.3). Finding no registration is no error.
func (r *Router) Unregister(ctx context.Context, reg store.Registration) error {
	all, err := r.store.DeviceRegistrations(ctx, reg.Device)
	if err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	var tokens []string
	left := false // whether another registration of the app instance lives on
	for _, o := range all {
		switch {
		case !o.Unregistered.IsZero() || o.App != reg.App || o.Subtype != reg.Subtype:
		case matches(&reg, o):
			tokens = append(tokens, o.Token)
		default:
			left = true
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	if err := r.store.Unregister(ctx, r.clock.Now(), tokens...); err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	r.tellUnregistered(all, tokens)
	if left {
		return nil
	}
	if err := r.purge(ctx, &reg); err != nil {
		return fmt.Errorf("drop messages of an unregistered app: %w", err)
	}
	if reg.Subtype != "" {
		return nil
	}
	if err := r.removeChannels(ctx, reg.Device, reg.App); err != nil {
		return fmt.Errorf("end the channels of an unregistered app: %w", err)
	}
	return nil
}

// matches reports whether an unregistration ask covers the registration o of the same app.
func matches(ask, o *store.Registration) bool {
	if ask.InstanceID == "" {
		return o.InstanceID == ""
	}
	const all = "*"
	return ask.InstanceID == o.InstanceID &&
		(ask.Scope == all || ask.Scope == o.Scope) &&
		(slices.Contains(ask.Senders, all) || slices.Equal(ask.Senders, o.Senders))
}
