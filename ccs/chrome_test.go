package ccs_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

const (
	extension = "aaaaaaaaaabbbbbbbbbbcccccccccc"
	user      = "08144192009958038014"
	channel   = user + "/" + extension
)

// withChannel is a world in which the extension is the sender's, and the user has it on some
// devices.
func withChannel(t *testing.T, devices ...ccs.DeviceID) *world {
	t.Helper()
	w := newWorld(t, ccs.Options{})
	require.NoError(t, w.store.AddApp(t.Context(), &store.App{ID: extension, Sender: string(sender)}))
	for _, d := range devices {
		id, err := w.RegisterChannel(t.Context(), d, user, extension, netip.Prefix{})
		require.NoError(t, err)
		require.Equal(t, channel, id)
	}
	return w
}

func (w *world) sendTo(channel string, subchannel int, payload string) *ccs.Refusal {
	w.t.Helper()
	return w.SendChannel(w.t.Context(), ccs.Authorization{Sender: sender}, ccs.ChannelMessage{Channel: channel, Subchannel: subchannel, Payload: payload})
}

// received is what a new session of a device gets from channels, as subchannel and payload, in the
// order of subchannels. It acknowledges nothing.
func (w *world) received(d ccs.DeviceID) map[string]string {
	w.t.Helper()
	m := w.attach(d.Key(), newSession())
	defer m.Detach(w.t.Context())
	entries, err := m.Claim(w.t.Context(), 1000)
	require.NoError(w.t, err)
	got := map[string]string{}
	for i := range entries {
		var msg ccs.Message
		require.NoError(w.t, msg.Decode(entries[i].Body))
		sub, ok := msg.Data.Get("subchannelId")
		if !ok {
			continue
		}
		payload, _ := msg.Data.Get("payload")
		require.NotContains(w.t, got, sub, "one message for a subchannel")
		got[sub] = payload
	}
	return got
}

// CCS 7.3: each instance gets the most recent message of each subchannel.
func TestAChannelMessageWaitsForEachInstance(t *testing.T) {
	w := withChannel(t, device, 43)
	for i := range 10 {
		require.Nil(t, w.sendTo(channel, 0, fmt.Sprint("p", i)))
	}
	require.Nil(t, w.sendTo(channel, 1, "call"))
	require.Nil(t, w.sendTo(channel, 3, ""))
	want := map[string]string{"0": "p9", "1": "call", "3": ""}
	assert.Equal(t, want, w.received(device))
	assert.Equal(t, want, w.received(device), "and again, as it was not acknowledged")
	assert.Equal(t, want, w.received(43))
	assert.Empty(t, w.received(44))

	_, err := w.RegisterChannel(t.Context(), 44, user, extension, netip.Prefix{})
	require.NoError(t, err)
	assert.Empty(t, w.received(44), "an instance does not get what was sent before")
	require.Nil(t, w.sendTo(channel, 2, "new"))
	assert.Equal(t, map[string]string{"2": "new"}, w.received(44))
}

// DEV 9.6: the form of the message.
func TestTheMessageOfAChannel(t *testing.T) {
	w := withChannel(t, device)
	require.Nil(t, w.sendTo(channel, 2, "ping"))
	m := w.attach(device.Key(), newSession())
	_, entries := take(t, m)
	require.Len(t, entries, 1)
	e := entries[0]
	assert.Equal(t, 28*24*time.Hour, e.Expires.Sub(e.Accepted))
	var msg ccs.Message
	require.NoError(t, msg.Decode(e.Body))
	assert.Equal(t, []string{string(sender), extension, "", "pushMessaging/2"}, []string{msg.From, msg.App, msg.Subtype, msg.CollapseKey})
	assert.Equal(t, 28*24*time.Hour, msg.TTL)
	got := map[string]string{}
	for k, v := range msg.Data.All() {
		got[k] = v
	}
	assert.Equal(t, map[string]string{"subchannelId": "2", "payload": "ping", "userId": user}, got)
}

// CCS 7.3: a claimed message is replaced too.
func TestAnOfferedMessageIsReplaced(t *testing.T) {
	w := withChannel(t, device)
	s := newSession()
	m := w.attach(device.Key(), s)
	require.Nil(t, w.sendTo(channel, 0, "one"))
	<-s.wakes
	_, first := take(t, m)
	require.Len(t, first, 1)
	require.Nil(t, w.sendTo(channel, 0, "two"))
	m.Detach(t.Context())
	assert.Equal(t, map[string]string{"0": "two"}, w.received(device))
}

// CCS 7.3: channels are outside the hundred messages and the four collapse keys of an app, and
// these are not in the way.
func TestChannelsAreOutsideTheLimitsOfTheApp(t *testing.T) {
	w := withChannel(t, device)
	w.token = w.register(extension).Token
	for sub := range 4 {
		require.Nil(t, w.sendTo(channel, sub, "kept"))
	}
	for key := range 4 {
		m := data(fmt.Sprint("key", key))
		m.CollapseKey = fmt.Sprint("key", key)
		require.Nil(t, w.send(m).Refusal)
	}
	for i := range 100 {
		require.Nil(t, w.send(data(fmt.Sprint(i))).Refusal)
	}
	for sub := range 4 {
		require.Nil(t, w.sendTo(channel, sub, "new"))
	}
	m := w.attach(device.Key(), newSession())
	ids, _ := take(t, m)
	assert.Len(t, ids, 108)
	assert.NotContains(t, ids, "deleted")
	m.Detach(t.Context())
	assert.Len(t, w.received(device), 4)
}

// CCS 7.4: the first fault in order is the answer, and nothing is stored or counted.
func TestAChannelMessageIsRefused(t *testing.T) {
	w := withChannel(t, device)
	require.NoError(t, w.store.AddApp(t.Context(), &store.App{ID: "zzz", Sender: string(other)}))
	long := strings.Repeat("é", 129) // 258 bytes
	for _, row := range []struct {
		name       string
		channel    string
		subchannel int
		payload    string
		want       ccs.Reason
	}{
		{"everything is wrong, and the channel first", "x", 9, long, ccs.UnknownToken},
		{"no slash", user + extension, 0, "", ccs.UnknownToken},
		{"no user", "/" + extension, 0, "", ccs.UnknownToken},
		{"no app", user + "/", 0, "", ccs.UnknownToken},
		{"a user that is no number", "me/" + extension, 0, "", ccs.UnknownToken},
		{"an app with a capital letter", user + "/A", 0, "", ccs.UnknownToken},
		{"two slashes", channel + "/x", 0, "", ccs.UnknownToken},
		{"an unknown user", "1/" + extension, 0, "", ccs.UnknownToken},
		{"subchannel 4", user + "/zzz", 4, long, ccs.BadCollapseKey},
		{"subchannel -1", channel, -1, "", ccs.BadCollapseKey},
		{"257 bytes of payload", user + "/zzz", 0, strings.Repeat("x", 257), ccs.TooBig},
		{"characters are not bytes", channel, 0, long, ccs.TooBig},
		{"another project's app", user + "/zzz", 0, "x", ccs.WrongSender},
		{"nobody's app", user + "/nobody", 0, "x", ccs.WrongSender},
	} {
		t.Run(row.name, func(t *testing.T) {
			refusal := w.sendTo(row.channel, row.subchannel, row.payload)
			require.NotNil(t, refusal)
			assert.Equal(t, row.want, refusal.Reason)
		})
	}
	assert.Empty(t, w.received(device))
	c, err := w.store.DailyCount(t.Context(), string(sender))
	require.NoError(t, err)
	assert.Zero(t, c.Count)
	require.Nil(t, w.sendTo(channel, 0, strings.Repeat("x", 256)))
}

// CCS 7.3: accepted messages of a UTC day count, over restarts, even those that no device takes.
func TestADayHasAQuota(t *testing.T) {
	w := withChannel(t, device)
	w.clock.advance(23 * time.Hour) // the world begins at midnight
	few := ccs.Authorization{Sender: sender, Grant: ccs.Grant{Limits: store.Limits{ChromePerDay: 3}}}
	send := func(to string) *ccs.Refusal {
		return w.SendChannel(t.Context(), few, ccs.ChannelMessage{Channel: to})
	}
	require.NoError(t, w.store.AddUser(t.Context(), "7"))
	require.Nil(t, send(channel))
	require.Nil(t, send("7/"+extension), "a user without an instance")
	require.NotNil(t, send("8/"+extension), "which does not count")
	w.open(ccs.Options{})
	require.Nil(t, send(channel))
	for range 2 {
		refusal := send(channel)
		require.NotNil(t, refusal)
		assert.Equal(t, ccs.Refusal{Reason: ccs.QuotaExceeded, Detail: "3"}, *refusal)
	}
	require.Nil(t, w.sendTo(channel, 0, ""), "the default is 10,000")
	w.clock.advance(time.Hour)
	require.Nil(t, send(channel), "a new day")
}

func TestAChannelEndsWithItsInstance(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(w *world) error
	}{
		{"it is unregistered", func(w *world) error { return w.UnregisterChannel(w.t.Context(), device, user, extension) }},
		{"the app is unregistered", func(w *world) error {
			w.register(extension)
			return w.Unregister(w.t.Context(), store.Registration{Device: uint64(device), App: extension})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := withChannel(t, device, 43)
			require.Nil(t, w.sendTo(channel, 0, "before"))
			require.NoError(t, row.end(w))
			assert.Empty(t, w.received(device), "what waited is gone")
			require.Nil(t, w.sendTo(channel, 1, "after"))
			assert.Empty(t, w.received(device))
			assert.Equal(t, map[string]string{"0": "before", "1": "after"}, w.received(43))
		})
	}
}

func TestRegisterChannelRefuses(t *testing.T) {
	w := withChannel(t)
	for _, row := range []struct {
		name, user, app string
		want            error
	}{
		{"no user", "", extension, ccs.ErrInvalidChannel},
		{"a user that is no number", "me", extension, ccs.ErrInvalidChannel},
		{"a long user", strings.Repeat("1", 65), extension, ccs.ErrInvalidChannel},
		{"no app", user, "", ccs.ErrInvalidChannel},
		{"an app with a dot", user, "org.example", ccs.ErrInvalidChannel},
		{"an app that no project owns", user, "nobody", ccs.ErrNoOwner},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := w.RegisterChannel(t.Context(), device, row.user, row.app, netip.Prefix{})
			require.ErrorIs(t, err, row.want)
		})
	}
	require.ErrorIs(t, w.UnregisterChannel(t.Context(), device, "me", extension), ccs.ErrInvalidChannel)
	for i := range 100 {
		_, err := w.RegisterChannel(t.Context(), device, fmt.Sprint(i), extension, netip.Prefix{})
		require.NoError(t, err)
	}
	_, err := w.RegisterChannel(t.Context(), device, "100", extension, netip.Prefix{})
	require.ErrorIs(t, err, ccs.ErrTooManyChannels)
	_, err = w.RegisterChannel(t.Context(), device, "99", extension, netip.Prefix{})
	require.NoError(t, err, "one that is there stays")
}

func TestNewDevicesWithChannelsAreCounted(t *testing.T) {
	w := withChannel(t)
	w.open(ccs.Options{NewDevices: 1})
	network := netip.MustParsePrefix("192.0.2.0/24")
	_, err := w.RegisterChannel(t.Context(), 1, user, extension, network)
	require.NoError(t, err)
	_, err = w.RegisterChannel(t.Context(), 2, user, extension, network)
	require.ErrorIs(t, err, ccs.ErrTooManyDevices)
	w.attach(ccs.DeviceID(1).Key(), newSession()).Detach(t.Context())
	_, err = w.RegisterChannel(t.Context(), 2, user, extension, network)
	require.NoError(t, err, "the first has connected")
}

func TestDeviceOfToken(t *testing.T) {
	w := withChannel(t)
	reg := w.register(extension)
	got, err := w.DeviceOfToken(t.Context(), reg.Token, extension)
	require.NoError(t, err)
	assert.Equal(t, device, got)
	for _, row := range [][2]string{{reg.Token, app}, {"x", extension}, {"", extension}} {
		_, err := w.DeviceOfToken(t.Context(), row[0], row[1])
		require.ErrorIs(t, err, ccs.ErrUnknownDevice)
	}
	require.NoError(t, w.Unregister(t.Context(), *reg))
	_, err = w.DeviceOfToken(t.Context(), reg.Token, extension)
	require.ErrorIs(t, err, ccs.ErrUnknownDevice)
}

func TestAStoreInTroubleCountsNothing(t *testing.T) {
	w := withChannel(t, device)
	broken := &brokenPut{Store: w.store}
	var err error
	w.Router, err = ccs.New(t.Context(), broken, ccs.Options{Clock: w.clock})
	require.NoError(t, err)
	refusal := w.sendTo(channel, 0, "x")
	require.NotNil(t, refusal)
	assert.Equal(t, ccs.Unavailable, refusal.Reason)
	c, err := w.store.DailyCount(t.Context(), string(sender))
	require.NoError(t, err)
	assert.Zero(t, c.Count)
}

// brokenPut is a store that cannot store messages now.
type brokenPut struct{ store.Store }

func (brokenPut) Put(context.Context, []store.Entry, time.Time) ([]store.Outcome, error) {
	return nil, store.ErrUnavailable
}
