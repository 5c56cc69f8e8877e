package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// movable returns the store as a store.Movable, or skips the test.
func (f fixture) movable() store.Movable {
	f.Helper()
	m, ok := f.Store.(store.Movable)
	if !ok {
		f.Skip("the store cannot be moved")
	}
	return m
}

// other returns a fixture with a new store of the same kind.
func (f fixture) other() fixture { return fixture{T: f.T, Store: openFor(f.T, f.open), open: f.open} }

// dump returns all pages of the store after from.
func (f fixture) dump(from string, now time.Time) (pages []*store.Page) {
	f.Helper()
	for p, err := range f.movable().Dump(context.Background(), from, now) {
		require.NoError(f, err)
		require.LessOrEqual(f, p.Len(), store.PageSize)
		pages = append(pages, p)
	}
	require.NotEmpty(f, pages)
	return pages
}

func (f fixture) restore(pages ...*store.Page) {
	f.Helper()
	for _, p := range pages {
		require.NoError(f, f.movable().Restore(context.Background(), p, start))
	}
}

// moved moves everything into a store in memory, and from there into a new one of the same kind.
func (f fixture) moved() fixture {
	f.Helper()
	between := fixture{T: f.T, Store: memstore.New()}
	between.restore(f.dump("", start)...)
	to := f.other()
	to.restore(between.dump("", start)...)
	assert.Equal(f, f.digest(), to.digest())
	return to
}

// digest returns the contents of the store as text, with their number.
func (f fixture) digest() string {
	f.Helper()
	var d store.Digest
	n := 0
	for _, p := range f.dump("", start) {
		d.Add(p)
		n += p.Len()
	}
	return fmt.Sprintf("%d records %x", n, d)
}

// furnish puts data of every kind into the store.
func (f fixture) furnish() {
	f.Helper()
	_, err := f.Secret(context.Background(), "device", []byte("secret"))
	require.NoError(f, err)
	f.withClients("1", "c")
	f.putTokens("c", "1", "t1", "t2")
	require.NoError(f, f.AddApp(context.Background(), chromeAppOf("1", chromeApp)))
	require.NoError(f, f.AddUser(context.Background(), anotherUser))
	f.addChannels(instance(chromeUser, chromeApp, 1), instance(chromeUser, chromeApp, device.ID))
	require.True(f, f.count("1", today, 7, 10))
	f.register(classic("old", "1"))
	f.register(classic("new", "1", "2"))
	f.register(instanceID("iid", "1", "GCM"))
	f.subscribe(news, start, f.lookUp("new", "iid")...)
	f.createGroup("user-7", f.lookUp("new", "iid")...)
	f.unregister("iid")
	o, last := fanout(5, "1"), classic("new", "1")
	f.beginFor(1, o, fanout(6, "1"))
	o.After, o.Copied = last.Place(), 1
	f.copyFanout(1, o, false)
	f.keep(message("n"), message("h", high), message("k", collapse("k")), message("up", in(sender), dedup("d", day)))
	f.fill(5, away, in(another))
}

var movingCases = []testCase{
	{"an empty store has one empty page, and is empty when that is restored", func(f fixture) {
		pages := f.dump("", start)
		require.Len(f, pages, 1)
		assert.Zero(f, pages[0].Len())
		assert.Equal(f, f.digest(), f.moved().digest())
	}},
	{"what was moved is there, and the same", func(f fixture) {
		f.furnish()
		to := f.moved()
		secret, err := to.Secret(context.Background(), "device", []byte("fresh"))
		require.NoError(f, err)
		assert.Equal(f, "secret", string(secret))
		assert.NotNil(f, to.projectOf("1").Key("secret-1"))
		assert.Equal(f, []string{"c"}, to.clientsOf("1"))
		assert.Equal(f, []string{"t1", "t2"}, to.tokensLeft("t1", "t2"))
		assert.Equal(f, []string{chromeApp}, to.chromeAppsOf("1"))
		assert.Empty(f, to.devicesOf(anotherUser, chromeApp))
		assert.Equal(f, []uint64{1, device.ID}, to.devicesOf(chromeUser, chromeApp))
		assert.Equal(f, []string{chromeUser + "/" + chromeApp}, to.channelsOf(1))
		assert.Equal(f, store.DailyCount{Sender: "1", Day: today, Count: 7}, to.counted("1"))
		assert.Equal(f, []string{"h", "n", "k"}, to.waiting(device))
		assert.Equal(f, []string{"up"}, to.waiting(sender))
		assert.Equal(f, []string{"new"}, to.subscribed(news))
		assert.Equal(f, []string{"1/news"}, to.topicsOf(to.lookUp("new")[0]))
		assert.Equal(f, []string{"new"}, to.members(f.groupOf("user-7")))
		assert.Equal(f, []bool{false}, to.begin(2, fanout(7, "1")))
		assert.Equal(f, []uint64{5, 6}, to.claimFanouts(4, 10))
	}},
	{"a store that had a first project had one elsewhere, too", func(f fixture) {
		require.NoError(f, f.CreateFirstProject(context.Background(), project("1")))
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		require.ErrorIs(f, f.moved().CreateFirstProject(context.Background(), project("1")), store.ErrExists)
	}},
	{"an entry comes back as it was put, under its ID", func(f fixture) {
		e := message("k", collapse("k"), dedup("d", day), app("app\x00sub"), high)
		e.Accepted = start.Add(123456 * time.Microsecond)
		ids := f.keep(message("n"), e)
		got := f.moved().claim(device, 1, 10)
		assert.Equal(f, []store.ID{ids[1], ids[0]}, idsOf(got))
		f.same(e, got[0])
	}},
	{"claimed entries are moved, and are free", func(f fixture) {
		f.keep(message("a"), message("b"))
		f.claim(device, 1, 1)
		assert.Equal(f, []string{"a", "b"}, f.moved().waiting(device))
		assert.Equal(f, []string{"b"}, bodies(f.claim(device, 1, 10)), "the claim was left alone")
	}},
	{"what has expired is left behind", func(f fixture) {
		f.keep(message("a", expires(start.Add(time.Minute))), message("b"))
		f.keep(message("c", in(sender), dedup("d", time.Minute), expires(start.Add(time.Minute))))
		pages := f.dump("", start.Add(time.Minute))
		require.Len(f, pages, 1)
		assert.Equal(f, []string{"b"}, bodies(pages[0].Entries))
		assert.Empty(f, pages[0].Remembered)
	}},
	{"a dump that is ended early asks for no more, whichever records come next", func(f fixture) {
		for range 3 {
			f.fill(store.PageSize, in(another))
		}
		var batch []store.Entry
		for i := range 2 * store.PageSize {
			batch = append(batch, message("up", in(store.Key{Kind: store.KindSender, ID: uint64(1 + i%100)}), dedup(fmt.Sprint("d", i), day)))
		}
		f.keep(batch...)
		pages := len(f.dump("", start))
		require.Greater(f, pages, 5)
		for enough := 1; enough < pages; enough++ {
			n := 0
			for _, err := range f.movable().Dump(context.Background(), "", start) {
				require.NoError(f, err)
				if n++; n == enough {
					break
				}
			}
			assert.Equal(f, enough, n)
		}
	}},
	{"IDs go on growing, also where what had the highest has gone", func(f fixture) {
		ids := f.fill(20)
		f.ack(device, ids...)
		to := f.moved()
		assert.Greater(f, to.keep(message("a"))[0], ids[19])
		assert.Greater(f, to.keep(message("s", in(sender)))[0], ids[19])
	}},
	{"messages that came while the device was away still count", func(f fixture) {
		f.keep(message("c", connected))
		f.fill(100, away)
		to := f.moved()
		assert.Equal(f, store.Discarded, to.put(message("over", away))[0].Result)
		assert.Equal(f, []string{"marker com.example.app 101", "c"}, to.waiting(device))
	}},
	{"a marker is moved, and added to", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		to := f.moved()
		assert.Equal(f, []string{"marker com.example.app 101"}, to.waiting(device))
		to.fill(100, away)
		assert.Equal(f, store.Discarded, to.put(message("over", away))[0].Result)
		assert.Equal(f, []string{"marker com.example.app 202"}, to.waiting(device))
	}},
	{"collapse keys are still replaced and evicted, the oldest first", func(f fixture) {
		for _, k := range []string{"1", "2", "3", "4"} {
			f.keep(message(k, collapse(k), connected))
		}
		f.put(message("1b", collapse("1"), connected, high))
		to := f.moved()
		assert.Equal(f, store.Stored, to.put(message("5", collapse("5"), connected))[0].Result)
		assert.Equal(f, store.Collapsed, to.put(message("3b", collapse("3"), connected))[0].Result)
		assert.Equal(f, []string{"1b", "4", "5", "3b"}, to.waiting(device))
	}},
	{"no limit is judged, and then all that was moved counts", func(f fixture) {
		f.fill(20)
		to := f.moved()
		assert.Equal(f, store.Refused, to.put(message("over", limited(store.Limit{Messages: 20})))[0].Result)
		assert.Len(f, to.waiting(device), 20)
	}},
	{"duplicates are still known, and for as long", func(f fixture) {
		e := message("a", in(sender), dedup("x", day))
		f.ack(sender, f.keep(e)...)
		to := f.moved()
		assert.Equal(f, store.Duplicate, to.putAt(start.Add(day-time.Millisecond), e)[0].Result)
		assert.Equal(f, store.Stored, to.putAt(start.Add(day), e)[0].Result)
	}},
	{"registrations are moved with what became of them", func(f fixture) {
		f.furnish()
		to := f.moved()
		all := to.lookUp("old", "new", "iid")
		assert.Equal(f, "new", all[0].Canonical)
		assert.True(f, start.Equal(all[0].Superseded))
		assert.Equal(f, []string{"1", "2"}, all[1].Senders)
		assert.True(f, start.Add(time.Hour).Equal(all[2].Unregistered))
		listed, err := to.DeviceRegistrations(context.Background(), device.ID)
		require.NoError(f, err)
		assert.Len(f, listed, 3)
		assert.Equal(f, "new", to.register(classic("newer", "1", "2")).Token, "the living one is known as such")
		assert.Equal(f, "newest", to.register(classic("newest", "3")).Token)
		assert.Equal(f, "newest", to.lookUp("old")[0].Canonical)
		assert.Equal(f, "again", to.register(instanceID("again", "1", "GCM")).Token, "one that has gone does not come back")
	}},
	{"what is restored twice is there once", func(f fixture) {
		f.furnish()
		to := f.moved()
		before := to.digest()
		to.restore(f.dump("", start)...)
		assert.Equal(f, before, to.digest())
		assert.Equal(f, []string{"h", "n", "k"}, to.waiting(device))
		assert.Equal(f, store.Refused, to.put(message("over", limited(store.Limit{Messages: 3})))[0].Result, "each counts once")
		assert.Equal(f, store.Stored, to.put(message("last", limited(store.Limit{Messages: 4})))[0].Result)
	}},
	{"a page may hold a record twice", func(f fixture) {
		f.furnish()
		p := f.dump("", start)[0]
		p.Entries = append(p.Entries, p.Entries...)
		p.Registrations = append(p.Registrations, p.Registrations...)
		p.Remembered = append(p.Remembered, p.Remembered...)
		to := f.other()
		to.restore(p)
		assert.Equal(f, f.digest(), to.digest())
	}},
	{"a dump goes on behind any of its pages", func(f fixture) {
		f.furnish()
		f.fill(2*store.PageSize, in(sender))
		pages := f.dump("", start)
		require.Greater(f, len(pages), 2)
		for i, p := range pages {
			to := f.other()
			to.restore(pages[:i+1]...)
			to.restore(f.dump(p.Next, start)...)
			assert.Equal(f, f.digest(), to.digest())
		}
	}},
	{"a dump can be broken off", func(f fixture) {
		f.fill(2 * store.PageSize)
		for range f.movable().Dump(context.Background(), "", start) {
			break
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		pages := 0
		for p, err := range f.movable().Dump(ctx, "", start) {
			if pages++; pages == 1 {
				require.NoError(f, err)
				cancel()
				continue
			}
			assert.True(f, p == nil, "an error comes alone")
			require.ErrorIs(f, err, context.Canceled)
		}
		assert.Equal(f, 2, pages)
	}},
	{"a place that no page has named is an error", func(f fixture) {
		for p, err := range f.movable().Dump(context.Background(), "nowhere", start) {
			assert.True(f, p == nil, "an error comes alone")
			assert.Error(f, err)
		}
	}},
	{"what is there already is not replaced by something else", func(f fixture) {
		f.furnish()
		m, other := f.movable(), store.HashKey("another")
		for name, p := range map[string]*store.Page{
			"secret":        {Secrets: []store.Secret{{Name: "device", Value: []byte("another")}}},
			"project":       {Projects: []*store.Project{{Sender: "1", Name: "another"}}},
			"client":        {Clients: []*store.OAuthClient{{ID: "c", Sender: "1", SecretHash: other}}},
			"refresh token": {RefreshTokens: []*store.RefreshToken{{Hash: store.HashKey("t1"), Client: "c", Sender: "1"}}},
			"registration":  {Registrations: []*store.Registration{{Token: "new", Device: 1, App: "a", Senders: []string{"1"}}}},
		} {
			f.Run(name, func(t *testing.T) {
				before := f.digest()
				require.ErrorIs(t, m.Restore(context.Background(), p, start), store.ErrExists)
				assert.Equal(t, before, f.digest())
			})
		}
	}},
	{"what was restored can be claimed, acknowledged and swept", func(f fixture) {
		f.keep(message("a"), message("b"), message("c", expires(start.Add(time.Minute))))
		to := f.moved()
		to.claim(device, 1, 1)
		to.ack(device, idsOf(to.claim(device, 1, 1))...)
		to.release(device, 1)
		assert.Equal(f, []string{"a", "c"}, to.waiting(device))
		assert.Equal(f, []string{"c"}, bodies(to.sweep(start.Add(time.Hour), 10)))
		assert.Equal(f, []string{"a"}, to.waiting(device))
	}},
}
