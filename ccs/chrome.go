package ccs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// Limits of GCM for Chrome (CCS 7.2, 7.3).
const (
	Subchannels               = 4 // of a channel, numbered from 0
	MaxChromePayload          = 256
	DefaultChromePerDay       = 10_000 // accepted messages of a project
	maxChannelUser            = 64     // digits
	maxChannelApp             = 64     // characters; an extension ID has 32
	maxDeviceChannels         = 100    // channels of one device
	maxChannelInstances       = 1000   // devices of one channel
	pushMessaging             = "pushMessaging/"
	chromeTTL                 = payload.MaxTTL // how long a message waits for an instance
	secondsOfDay        int64 = 24 * 60 * 60
)

// ChannelMessage is a message to a channel of GCM for Chrome (CCS 7.2).
type ChannelMessage struct {
	Channel    string // user and app, with a slash between them
	Subchannel int    // any other value than 0 to 3 is refused
	Payload    string
}

// SendChannel accepts a message for all instances of an app that a user has, and returns nil or the
// first fault in the order of CCS 7.4. When it returns nil, the message is durable. The reasons are
// UnknownToken (the channel), BadCollapseKey (the subchannel), TooBig (the payload), WrongSender
// (the app is another project's), QuotaExceeded (that of the day), RateExceeded (that of a second),
// Unavailable and Internal.
func (r *Router) SendChannel(ctx context.Context, from Authorization, m ChannelMessage) *Refusal {
	ctx = store.WithCaller(ctx, from.Sender.Key())
	refusal := r.sendChannel(ctx, from, &m, r.clock.Now())
	if refusal != nil {
		r.tally.Refused(Down, refusal.Reason)
		r.tellChannelRefused(from.Sender, &m, refusal)
	}
	return refusal
}

// channelScratch is the memory of one SendChannel, used again by the next.
type channelScratch struct {
	devices []uint64
	entries []store.Entry
	data    payload.Data
	body    []byte
}

var channelScratches = sync.Pool{New: func() any { return new(channelScratch) }}

func (s *channelScratch) done() {
	clear(s.entries)
	s.devices, s.entries, s.data, s.body = s.devices[:0], s.entries[:0], s.data[:0], s.body[:0]
	channelScratches.Put(s)
}

func (r *Router) sendChannel(ctx context.Context, from Authorization, m *ChannelMessage, now time.Time) *Refusal {
	user, app, ok := cutChannel(m.Channel)
	if !ok {
		return &Refusal{Reason: UnknownToken, Detail: m.Channel}
	}
	s := channelScratches.Get().(*channelScratch)
	defer s.done()
	var err error
	s.devices, err = r.store.ChannelDevices(ctx, s.devices, user, app)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &Refusal{Reason: UnknownToken, Detail: m.Channel}
	case err != nil:
		return RefusalOf(fmt.Errorf("look up a channel: %w", err))
	case m.Subchannel < 0 || m.Subchannel >= Subchannels:
		return &Refusal{Reason: BadCollapseKey}
	case len(m.Payload) > MaxChromePayload:
		return &Refusal{Reason: TooBig}
	}
	owner, err := r.apps.owner(ctx, r.store, app)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && owner != string(from.Sender):
		return &Refusal{Reason: WrongSender, Detail: m.Channel}
	case err != nil:
		return RefusalOf(fmt.Errorf("look up the owner of an app: %w", err))
	case !r.quotas.Take(from.Sender, quota(from.Limits.PerSecond), 1, now):
		return &Refusal{Reason: RateExceeded, Detail: strconv.Itoa(from.Limits.PerSecond)}
	}
	return r.putChannel(ctx, s, from, m, user, app, now)
}

// putChannel counts the message for the day and puts it into the queue of each instance. Both share
// one sync.
func (r *Router) putChannel(ctx context.Context, s *channelScratch, from Authorization, m *ChannelMessage, user, app string, now time.Time) *Refusal {
	perDay := from.Limits.ChromePerDay
	setDefault(&perDay, DefaultChromePerDay)
	day := now.Unix() / secondsOfDay
	ok, wait, err := r.store.CountDaily(ctx, string(from.Sender), day, 1, perDay)
	switch {
	case err != nil:
		return RefusalOf(fmt.Errorf("count a message for the day: %w", err))
	case !ok:
		return &Refusal{Reason: QuotaExceeded, Detail: strconv.Itoa(perDay)}
	}
	err = r.putInstances(ctx, s, from, m, user, app, now)
	if failed := wait(); failed != nil {
		err = errors.Join(err, fmt.Errorf("count a message for the day: %w", failed))
	}
	if err != nil {
		// The sender is told to try again, so this one does not count.
		if ok, wait, e := r.store.CountDaily(context.WithoutCancel(ctx), string(from.Sender), day, -1, perDay); e == nil && ok {
			_ = wait()
		}
		return RefusalOf(err)
	}
	return nil
}

func (r *Router) putInstances(ctx context.Context, s *channelScratch, from Authorization, m *ChannelMessage, user, app string, now time.Time) error {
	if len(s.devices) == 0 {
		return nil
	}
	subchannel := strconv.Itoa(m.Subchannel)
	s.data = s.data[:0].Append("subchannelId", subchannel).Append("payload", m.Payload).Append("userId", user)
	msg := Message{
		Kind: DataMessage, TTL: chromeTTL, From: string(from.Sender), App: app,
		CollapseKey: pushMessaging + subchannel, Data: s.data,
	}
	s.body = msg.Append(s.body)
	instance := channelInstance(user, app)
	for _, device := range s.devices {
		// No limit holds, because each instance has one entry for a subchannel (CCS 7.3).
		s.entries = append(s.entries, store.Entry{
			Key: DeviceID(device).Key(), Rank: store.RankNormal, App: instance, Collapse: subchannel,
			Accepted: now, Expires: now.Add(chromeTTL), Body: s.body,
		})
	}
	if _, err := r.put(ctx, s.entries, nil, now); err != nil {
		r.StoreFailed(r.log, "store messages", err, zap.Int("messages", len(s.entries)))
		return fmt.Errorf("store messages: %w", err)
	}
	for i := range s.entries {
		r.wake(s.entries[i].Key)
	}
	return nil
}

func (r *Router) tellChannelRefused(from SenderID, m *ChannelMessage, refusal *Refusal) {
	if r.observer == nil {
		return
	}
	events := NewEvents()
	e := events.Add(EventRefused)
	e.Code, e.Text, e.Dir, e.Sender = refusal.Reason.String(), refusal.Detail, Down, from
	_, e.App, _ = strings.Cut(m.Channel, "/")
	r.Tell(events)
}

// channelInstance names an instance in the queue of its device. No registration has this name,
// because its subtype has no NUL, so its limits do not count the messages of channels.
func channelInstance(user, app string) string { return app + "\x00\x00" + user }

// cutChannel cuts a channel ID into user and app (CCS 7.2).
func cutChannel(id string) (user, app string, ok bool) {
	user, app, ok = strings.Cut(id, "/")
	return user, app, ok && isUser(user) && isApp(app)
}

func isUser(s string) bool {
	return s != "" && len(s) <= maxChannelUser && strings.Trim(s, "0123456789") == ""
}

func isApp(s string) bool {
	return s != "" && len(s) <= maxChannelApp && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9')
	})
}

// RegisterChannel makes a device an instance of an app for a user, and returns the channel ID (CCS
// 7.5). A device that is one already stays one. The device counts among the new ones of its network
// as for RegisterFrom. The error is ErrInvalidChannel, ErrNoOwner, ErrTooManyChannels,
// ErrTooManyDevices or the store's.
func (r *Router) RegisterChannel(ctx context.Context, device DeviceID, user, app string, network netip.Prefix) (channelID string, err error) {
	if !isUser(user) || !isApp(app) {
		return "", ErrInvalidChannel
	}
	_, err = r.store.App(ctx, app)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", ErrNoOwner
	case err != nil:
		return "", fmt.Errorf("register a channel: %w", err)
	}
	now := r.clock.Now()
	c := &store.Channel{User: user, App: app, Device: uint64(device), Since: now}
	has, isNew, err := r.mayHaveChannel(ctx, c, network)
	if has {
		return user + "/" + app, nil
	}
	if err == nil && isNew {
		err = r.admitNewDevice(ctx, uint64(device), network, now)
	}
	if err != nil {
		return "", err
	}
	if err := r.store.AddChannel(ctx, c); err != nil {
		return "", fmt.Errorf("register a channel: %w", err)
	}
	if isNew && r.hub(device.Key()) != nil { // it has connected since then
		if err := r.endProbation(ctx, uint64(device)); err != nil {
			return "", fmt.Errorf("register a channel: %w", err)
		}
	}
	r.log.Debug("channel registered", zap.Stringer("device", device), zap.String("app", app))
	return user + "/" + app, nil
}

// mayHaveChannel keeps a device from filling the store. It reports whether the device has the
// channel already, and otherwise whether the device is new, if its network is known.
func (r *Router) mayHaveChannel(ctx context.Context, c *store.Channel, network netip.Prefix) (has, isNew bool, err error) {
	channels, err := r.store.DeviceChannels(ctx, c.Device)
	if err != nil {
		return false, false, fmt.Errorf("register a channel: %w", err)
	}
	if slices.ContainsFunc(channels, func(o *store.Channel) bool { return o.User == c.User && o.App == c.App }) {
		return true, false, nil
	}
	devices, err := r.store.ChannelDevices(ctx, nil, c.User, c.App)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return false, false, fmt.Errorf("register a channel: %w", err)
	case len(channels) >= maxDeviceChannels, len(devices) >= maxChannelInstances:
		return false, false, ErrTooManyChannels
	case !network.IsValid() || len(channels) > 0 || r.hub(DeviceID(c.Device).Key()) != nil:
		return false, false, nil
	}
	registrations, err := r.store.DeviceRegistrations(ctx, c.Device)
	if err != nil {
		return false, false, fmt.Errorf("register a channel: %w", err)
	}
	return false, len(registrations) == 0, nil
}

// UnregisterChannel ends an instance, and drops the messages that wait for it (CCS 7.5). A missing
// one is no error. The error is ErrInvalidChannel or the store's.
func (r *Router) UnregisterChannel(ctx context.Context, device DeviceID, user, app string) error {
	if !isUser(user) || !isApp(app) {
		return ErrInvalidChannel
	}
	c := &store.Channel{User: user, App: app, Device: uint64(device)}
	if err := r.removeChannel(ctx, c); err != nil {
		return fmt.Errorf("unregister a channel: %w", err)
	}
	return nil
}

func (r *Router) removeChannel(ctx context.Context, c *store.Channel) error {
	if err := r.store.RemoveChannel(ctx, c); err != nil {
		return err
	}
	k := DeviceID(c.Device).Key()
	ids, err := r.store.Purge(ctx, k, channelInstance(c.User, c.App))
	r.endedAs(k, EndUnregistered, 0, ids)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// removeChannels ends the instances of an app on a device, because the app was removed.
func (r *Router) removeChannels(ctx context.Context, device uint64, app string) error {
	channels, err := r.store.DeviceChannels(ctx, device)
	for _, c := range channels {
		if c.App == app {
			err = errors.Join(err, r.removeChannel(ctx, c))
		}
	}
	return err
}

// DeviceOfToken returns the device of a registration of an app. A browser's extension knows the
// token, and not the credential of its device. It returns ErrUnknownDevice unless the registration
// is valid and of that app.
func (r *Router) DeviceOfToken(ctx context.Context, token, app string) (DeviceID, error) {
	regs, err := r.store.Registrations(ctx, nil, []string{token})
	if err != nil {
		return 0, fmt.Errorf("look up a registration: %w", err)
	}
	if reg := regs[0]; reg != nil && reg.Living() && reg.App == app {
		return DeviceID(reg.Device), nil
	}
	return 0, ErrUnknownDevice
}

// appOwners caches the owners of apps, because each message to a channel asks for one. It uses the
// wall clock.
type appOwners struct{ cache *lru.Cache[string, appOwner] }

type appOwner struct {
	sender string
	read   time.Time
}

const (
	maxAppOwners = 4096
	appOwnerAge  = time.Second // a removed app is sent to for so long
)

func newAppOwners() appOwners {
	cache, _ := lru.New[string, appOwner](maxAppOwners) // fails only for a size below one
	return appOwners{cache}
}

// owner returns the sender that an app belongs to, or store.ErrNotFound.
func (o appOwners) owner(ctx context.Context, st store.Apps, app string) (sender string, err error) {
	now := time.Now()
	if got, ok := o.cache.Get(app); ok && now.Sub(got.read) < appOwnerAge {
		return got.sender, nil
	}
	a, err := st.App(ctx, app)
	if err != nil {
		return "", err
	}
	o.cache.Add(a.ID, appOwner{a.Sender, now})
	return a.Sender, nil
}
