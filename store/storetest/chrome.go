package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
)

// Extension IDs and users of GCM for Chrome, and the day of start.
const (
	chromeApp   = "aaaaaaaaaabbbbbbbbbbcccccccccc"
	anotherApp  = "aaaaaaaaaabbbbbbbbbb"
	chromeUser  = "08144192009958038014"
	anotherUser = "0814419200995803801"
)

var today = start.Unix() / 86400

func chromeAppOf(sender, id string) *store.App {
	return &store.App{ID: id, Sender: sender, Created: start}
}

// withApps makes a project with apps.
func (f fixture) withApps(sender string, ids ...string) {
	f.Helper()
	require.NoError(f, f.CreateProject(context.Background(), project(sender)))
	for _, id := range ids {
		require.NoError(f, f.AddApp(context.Background(), chromeAppOf(sender, id)))
	}
}

// chromeAppsOf is the IDs of a sender's apps, as listed.
func (f fixture) chromeAppsOf(sender string) (ids []string) {
	f.Helper()
	all, err := f.Apps(context.Background(), sender)
	require.NoError(f, err)
	for _, a := range all {
		assert.Equal(f, sender, a.Sender)
		ids = append(ids, a.ID)
	}
	return ids
}

func instance(user, app string, device uint64) *store.Channel {
	return &store.Channel{User: user, App: app, Device: device, Since: start.Add(time.Microsecond)}
}

func (f fixture) addChannels(all ...*store.Channel) {
	f.Helper()
	for _, c := range all {
		require.NoError(f, f.AddChannel(context.Background(), c))
	}
}

func (f fixture) devicesOf(user, app string) []uint64 {
	f.Helper()
	devices, err := f.ChannelDevices(context.Background(), nil, user, app)
	require.NoError(f, err)
	return devices
}

// channelsOf is the instances on a device, as listed.
func (f fixture) channelsOf(device uint64) (names []string) {
	f.Helper()
	all, err := f.DeviceChannels(context.Background(), device)
	require.NoError(f, err)
	for _, c := range all {
		assert.Equal(f, device, c.Device)
		assert.True(f, start.Add(time.Microsecond).Equal(c.Since))
		names = append(names, c.User+"/"+c.App)
	}
	return names
}

// count adds to a sender's count, and waits.
func (f fixture) count(sender string, day int64, n, max int) bool {
	f.Helper()
	ok, wait, err := f.CountDaily(context.Background(), sender, day, n, max)
	require.NoError(f, err)
	if ok {
		require.NoError(f, wait())
	}
	return ok
}

func (f fixture) counted(sender string) store.DailyCount {
	f.Helper()
	c, err := f.DailyCount(context.Background(), sender)
	require.NoError(f, err)
	return c
}

var chromeCases = []testCase{
	{"an app comes back as it was, and belongs to one project", func(f fixture) {
		f.withApps("1", chromeApp)
		f.withApps("2")
		a, err := f.App(context.Background(), chromeApp)
		require.NoError(f, err)
		assert.True(f, start.Equal(a.Created))
		a.Created = start
		assert.Equal(f, chromeAppOf("1", chromeApp), a)
		require.ErrorIs(f, f.AddApp(context.Background(), chromeAppOf("2", chromeApp)), store.ErrExists)
		require.ErrorIs(f, f.AddApp(context.Background(), chromeAppOf("1", chromeApp)), store.ErrExists)
		require.ErrorIs(f, f.AddApp(context.Background(), chromeAppOf("3", anotherApp)), store.ErrNotFound)
		_, err = f.App(context.Background(), anotherApp)
		require.ErrorIs(f, err, store.ErrNotFound)
	}},
	{"apps are listed by ID, for their sender only", func(f fixture) {
		f.withApps("1", "b", "c", "a")
		f.withApps("12", "d")
		assert.Equal(f, []string{"a", "b", "c"}, f.chromeAppsOf("1"))
		assert.Equal(f, []string{"d"}, f.chromeAppsOf("12"))
		assert.Empty(f, f.chromeAppsOf("2"))
	}},
	{"a sender removes its own apps only", func(f fixture) {
		f.withApps("1", "a", "b")
		f.withApps("2", "c")
		require.ErrorIs(f, f.RemoveApp(context.Background(), "1", "c"), store.ErrNotFound)
		require.ErrorIs(f, f.RemoveApp(context.Background(), "1", "d"), store.ErrNotFound)
		require.NoError(f, f.RemoveApp(context.Background(), "1", "a"))
		assert.Equal(f, []string{"b"}, f.chromeAppsOf("1"))
		require.NoError(f, f.AddApp(context.Background(), chromeAppOf("2", "a")), "it is free again")
	}},
	{"a deleted project takes its apps and its count along", func(f fixture) {
		f.withApps("1", "a", "b")
		f.withApps("12", "c")
		require.True(f, f.count("1", today, 5, 10))
		require.True(f, f.count("12", today, 5, 10))
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		_, err := f.App(context.Background(), "a")
		require.ErrorIs(f, err, store.ErrNotFound)
		assert.Zero(f, f.counted("1"))
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		assert.Empty(f, f.chromeAppsOf("1"))
		assert.Equal(f, []string{"c"}, f.chromeAppsOf("12"))
		assert.Equal(f, 5, f.counted("12").Count)
	}},
	{"an app that is added while its project is deleted does not outlive it", func(f fixture) {
		for range 20 {
			require.NoError(f, f.CreateProject(context.Background(), project("1")))
			var g errgroup.Group
			g.Go(func() error { return f.DeleteProject(context.Background(), "1") })
			g.Go(func() error {
				err := f.AddApp(context.Background(), chromeAppOf("1", "a"))
				if errors.Is(err, store.ErrNotFound) {
					return nil
				}
				return err
			})
			require.NoError(f, g.Wait())
			assert.Empty(f, f.chromeAppsOf("1"))
		}
	}},
	{"a user is unknown until somebody names it", func(f fixture) {
		_, err := f.ChannelDevices(context.Background(), nil, chromeUser, chromeApp)
		require.ErrorIs(f, err, store.ErrNotFound)
		require.NoError(f, f.AddUser(context.Background(), chromeUser))
		require.NoError(f, f.AddUser(context.Background(), chromeUser))
		assert.Empty(f, f.devicesOf(chromeUser, chromeApp))
		_, err = f.ChannelDevices(context.Background(), nil, anotherUser, chromeApp)
		require.ErrorIs(f, err, store.ErrNotFound)
	}},
	{"a channel has the devices on which its user has its app, in order", func(f fixture) {
		f.addChannels(instance(chromeUser, chromeApp, 300), instance(chromeUser, chromeApp, 1<<62), instance(chromeUser, chromeApp, 2),
			instance(chromeUser, anotherApp, 4), instance(anotherUser, chromeApp, 5))
		assert.Equal(f, []uint64{2, 300, 1 << 62}, f.devicesOf(chromeUser, chromeApp))
		assert.Equal(f, []uint64{4}, f.devicesOf(chromeUser, anotherApp))
		assert.Equal(f, []uint64{5}, f.devicesOf(anotherUser, chromeApp))
		devices, err := f.ChannelDevices(context.Background(), []uint64{7}, chromeUser, anotherApp)
		require.NoError(f, err)
		assert.Equal(f, []uint64{7, 4}, devices, "appended")
	}},
	{"a device may have several channels, each once", func(f fixture) {
		later := instance(chromeUser, chromeApp, 1)
		later.Since = start.Add(time.Hour)
		f.addChannels(instance(chromeUser, chromeApp, 1), instance(chromeUser, anotherApp, 1), instance(anotherUser, chromeApp, 1), later)
		assert.Equal(f, []string{anotherUser + "/" + chromeApp, chromeUser + "/" + anotherApp, chromeUser + "/" + chromeApp}, f.channelsOf(1))
		assert.Equal(f, []uint64{1}, f.devicesOf(chromeUser, chromeApp))
		assert.Empty(f, f.channelsOf(2))
	}},
	{"a removed instance is gone, its user stays known, and no other instance is gone", func(f fixture) {
		f.addChannels(instance(chromeUser, chromeApp, 1), instance(chromeUser, chromeApp, 2), instance(chromeUser, anotherApp, 1))
		require.NoError(f, f.RemoveChannel(context.Background(), instance(chromeUser, chromeApp, 1)))
		require.NoError(f, f.RemoveChannel(context.Background(), instance(chromeUser, chromeApp, 1)))
		require.NoError(f, f.RemoveChannel(context.Background(), instance(anotherUser, chromeApp, 1)))
		assert.Equal(f, []uint64{2}, f.devicesOf(chromeUser, chromeApp))
		assert.Equal(f, []string{chromeUser + "/" + anotherApp}, f.channelsOf(1))
		require.NoError(f, f.RemoveChannel(context.Background(), instance(chromeUser, chromeApp, 2)))
		require.NoError(f, f.RemoveChannel(context.Background(), instance(chromeUser, anotherApp, 1)))
		assert.Empty(f, f.devicesOf(chromeUser, chromeApp))
	}},
	{"a device that never connected is forgotten with its instances", func(f fixture) {
		n, ok := f.Store.(store.NewDevices)
		if !ok {
			f.Skip("the store knows no new devices")
		}
		f.addChannels(instance(chromeUser, chromeApp, 1), instance(chromeUser, chromeApp, 2))
		require.NoError(f, n.AddNewDevice(context.Background(), 1, start))
		_, err := n.ForgetNewDevices(context.Background(), start.Add(time.Hour), 10)
		require.NoError(f, err)
		assert.Equal(f, []uint64{2}, f.devicesOf(chromeUser, chromeApp))
		assert.Empty(f, f.channelsOf(1))
	}},
	{"a count reaches its maximum and not more", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		for range 3 {
			require.True(f, f.count("1", today, 1, 3))
		}
		require.False(f, f.count("1", today, 1, 3))
		assert.Equal(f, store.DailyCount{Sender: "1", Day: today, Count: 3}, f.counted("1"))
		require.True(f, f.count("1", today, 1, 4), "the maximum is that of the call")
		require.False(f, f.count("1", today, 2, 5))
		require.True(f, f.count("1", today, -1, 1), "taking back needs no room")
		assert.Equal(f, 3, f.counted("1").Count)
		assert.Zero(f, f.counted("2"))
	}},
	{"a new day begins at zero, and does not end because a clock is behind", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		require.True(f, f.count("1", today, 3, 3))
		require.True(f, f.count("1", today+1, 1, 3))
		assert.Equal(f, store.DailyCount{Sender: "1", Day: today + 1, Count: 1}, f.counted("1"))
		require.True(f, f.count("1", today, 2, 3))
		require.False(f, f.count("1", today, 1, 3))
		require.False(f, f.count("1", today+1, 1, 3))
	}},
	{"callers at once do not exceed the maximum together", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		const callers, each, most = 20, 20, 300
		taken := make([]int, callers)
		var g errgroup.Group
		for i := range callers {
			g.Go(func() error {
				for range each {
					ok, wait, err := f.CountDaily(context.Background(), "1", today, 1, most)
					if err != nil {
						return err
					}
					if ok {
						taken[i]++
						if err := wait(); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		require.NoError(f, g.Wait())
		sum := 0
		for _, n := range taken {
			sum += n
		}
		assert.Equal(f, most, sum)
		assert.Equal(f, most, f.counted("1").Count)
	}},
	{"a count that is put never takes messages back", func(f fixture) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		put := func(day int64, n int) store.DailyCount {
			require.NoError(f, f.PutDailyCount(context.Background(), store.DailyCount{Sender: "1", Day: day, Count: n}))
			return f.counted("1")
		}
		assert.Equal(f, store.DailyCount{Sender: "1", Day: today, Count: 5}, put(today, 5))
		assert.Equal(f, 5, put(today, 4).Count)
		assert.Equal(f, 6, put(today, 6).Count)
		assert.Equal(f, today, put(today-1, 100).Day)
		assert.Equal(f, store.DailyCount{Sender: "1", Day: today + 1, Count: 1}, put(today+1, 1))
	}},
}
