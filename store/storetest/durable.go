package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// RunDurable tests what a store must keep after Close. It opens the same directory again and again.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	t.Helper()
	for _, c := range slices.Concat(durableCases, repeatCases, fanoutDurableCases) {
		t.Run(c.name, func(t *testing.T) {
			f := &reopening{dir: t.TempDir(), open: open}
			f.T = t
			f.Store = open(t, f.dir)
			t.Cleanup(func() { _ = f.Store.Close() })
			c.run(f)
		})
	}
}

// reopening is a fixture whose store can be closed and opened again.
type reopening struct {
	fixture
	dir  string
	open func(t *testing.T, dir string) store.Store
}

func (f *reopening) reopen() {
	f.Helper()
	require.NoError(f, f.Store.Close())
	f.Store = f.open(f.T, f.dir)
}

// durableCase is one rule. Its name is the rule.
type durableCase struct {
	name string
	run  func(f *reopening)
}

var durableCases = []durableCase{
	{"entries are there again, in order and as they were put", func(f *reopening) {
		e := message("k", collapse("k"), dedup("d", day), app("app\x00sub"))
		e.Accepted = start.Add(123456 * time.Microsecond)
		ids := f.keep(message("n1"), message("h1", high), e, message("s", in(sender)))
		f.reopen()
		got := f.claim(device, 1, 10)
		require.Equal(f, []string{"h1", "n1", "k"}, bodies(got))
		assert.Equal(f, ids[2], got[2].ID)
		f.same(e, got[2])
		assert.Equal(f, []string{"s"}, f.waiting(sender))
	}},
	{"a first project is made once", func(f *reopening) {
		require.NoError(f, f.CreateFirstProject(context.Background(), project("1")))
		require.NoError(f, f.DeleteProject(context.Background(), "1"))
		f.reopen()
		require.ErrorIs(f, f.CreateFirstProject(context.Background(), project("1")), store.ErrExists)
	}},
	{"the records of GCM for Chrome are there again", func(f *reopening) {
		f.withApps("1", chromeApp)
		f.addChannels(instance(chromeUser, chromeApp, 1))
		require.True(f, f.count("1", today, 3, 5))
		f.reopen()
		assert.Equal(f, []string{chromeApp}, f.chromeAppsOf("1"))
		assert.Equal(f, []uint64{1}, f.devicesOf(chromeUser, chromeApp))
		assert.Equal(f, []string{chromeUser + "/" + chromeApp}, f.channelsOf(1))
		require.True(f, f.count("1", today, 2, 5))
		require.False(f, f.count("1", today, 1, 5))
	}},
	{"a lease does not outlive its store", func(f *reopening) {
		f.keep(message("a"), message("b"))
		f.claim(device, 1, 1)
		f.reopen()
		assert.Equal(f, []string{"a", "b"}, bodies(f.claim(device, 1, 10)))
	}},
	{"what was acknowledged stays away", func(f *reopening) {
		ids := f.fill(100)
		f.claim(device, 1, 50)
		f.ack(device, ids[:50]...)
		f.ack(device, ids[99])
		f.reopen()
		assert.Equal(f, ids[50:99], idsOf(f.claim(device, 1, 100)))
	}},
	{"IDs go on growing", func(f *reopening) {
		var last store.ID
		for range 5 {
			ids := f.fill(10)
			assert.Greater(f, ids[0], last)
			last = ids[9]
			f.ack(device, ids...)
			f.reopen()
		}
	}},
	{"limits hold", func(f *reopening) {
		three := limited(store.Limit{Messages: 3})
		f.fill(2, three)
		f.reopen()
		o := f.put(message("c", three), message("d", three))
		assert.Equal(f, []store.Result{store.Stored, store.Refused}, resultsOf(o))
	}},
	{"messages for a device that is away still count, and the marker is still added to", func(f *reopening) {
		f.keep(message("c", connected))
		f.fill(100, away)
		f.reopen()
		assert.Equal(f, store.Discarded, f.put(message("over", away))[0].Result)
		f.reopen()
		assert.Equal(f, []string{"marker com.example.app 101", "c"}, f.waiting(device))
		f.fill(100, away)
		f.reopen()
		assert.Equal(f, store.Discarded, f.put(message("over", away))[0].Result)
		assert.Equal(f, []string{"marker com.example.app 202", "c"}, f.waiting(device))
	}},
	{"collapse keys are still replaced and evicted, the oldest first", func(f *reopening) {
		for _, k := range []string{"1", "2", "3", "4"} {
			f.keep(message(k, collapse(k), connected))
		}
		f.put(message("1b", collapse("1"), connected, high))
		f.reopen()
		assert.Equal(f, store.Stored, f.put(message("5", collapse("5"), connected))[0].Result)
		assert.Equal(f, store.Collapsed, f.put(message("3b", collapse("3"), connected))[0].Result)
		assert.Equal(f, []string{"1b", "4", "5", "3b"}, f.waiting(device))
	}},
	{"duplicates are still known", func(f *reopening) {
		e := message("a", dedup("x", day))
		f.ack(device, f.keep(e)...)
		f.reopen()
		assert.Equal(f, store.Duplicate, f.putAt(start.Add(day-time.Millisecond), e)[0].Result)
		assert.Equal(f, store.Stored, f.putAt(start.Add(day), e)[0].Result)
	}},
	{"what was swept or purged stays away", func(f *reopening) {
		f.keep(message("a", expires(start.Add(time.Second))), message("b", app("other")), message("c"))
		assert.Len(f, f.sweep(start.Add(time.Minute), 10), 1)
		f.purge(device, "other")
		f.reopen()
		assert.Equal(f, []string{"c"}, f.waiting(device))
		assert.Empty(f, f.sweep(start.Add(time.Minute), 10))
	}},
	{"registrations are there again, with what became of them", func(f *reopening) {
		f.register(classic("old", "1"))
		f.register(classic("new", "1", "2"))
		f.register(instanceID("iid", "1", "GCM"))
		f.unregister("iid")
		f.reopen()
		all := f.lookUp("old", "new", "iid", "?")
		assert.Equal(f, "new", all[0].Canonical)
		assert.True(f, start.Equal(all[0].Superseded))
		assert.Equal(f, []string{"1", "2"}, all[1].Senders)
		assert.True(f, all[1].MaySend("2"))
		assert.True(f, start.Add(time.Hour).Equal(all[2].Unregistered))
		assert.Nil(f, all[3])
		assert.Equal(f, "new", f.register(classic("newer", "1", "2")).Token)
		listed, err := f.DeviceRegistrations(context.Background(), device.ID)
		require.NoError(f, err)
		assert.Len(f, listed, 3)
	}},
	{"projects and secrets are there again", func(f *reopening) {
		require.NoError(f, f.CreateProject(context.Background(), project("1")))
		require.NoError(f, f.CreateProject(context.Background(), project("2")))
		require.NoError(f, f.DeleteProject(context.Background(), "2"))
		first, err := f.Secret(context.Background(), "s", []byte("first"))
		require.NoError(f, err)
		f.reopen()
		assert.NotNil(f, f.projectOf("1").Key("secret-1"))
		_, err = f.Project(context.Background(), "2")
		require.ErrorIs(f, err, store.ErrNotFound)
		again, err := f.Secret(context.Background(), "s", []byte("second"))
		require.NoError(f, err)
		assert.Equal(f, first, again)
	}},
	{"OAuth clients and refresh tokens are there again, and what was deleted is not", func(f *reopening) {
		f.withClients("1", "kept", "gone")
		f.withClients("2", "orphan")
		f.putTokens("kept", "1", "t1", "t2")
		f.putTokens("gone", "1", "t3")
		f.putTokens("orphan", "2", "t4")
		require.NoError(f, f.DeleteRefreshToken(context.Background(), store.HashKey("t2")))
		require.NoError(f, f.DeleteOAuthClient(context.Background(), "gone"))
		require.NoError(f, f.DeleteProject(context.Background(), "2"))
		f.reopen()
		assert.Equal(f, []string{"kept"}, f.clientsOf("1"))
		assert.Empty(f, f.clientsOf("2"))
		assert.Equal(f, []string{"t1"}, f.tokensLeft("t1", "t2", "t3", "t4"))
		require.NoError(f, f.DeleteOAuthClient(context.Background(), "kept"))
		assert.Empty(f, f.tokensLeft("t1"), "it is still known whose the token is")
	}},
	{"what was acknowledged asynchronously stays away", func(f *reopening) {
		acker, ok := f.Store.(store.AsyncAcker)
		if !ok {
			f.Skip("the store has no asynchronous acknowledgements")
		}
		ids := f.fill(100)
		f.claim(device, 1, 50)
		missing, failed := make(chan []store.ID, 20), make(chan error, 20)
		done := func(ids []store.ID, err error) { missing <- ids; failed <- err }
		for i := range 10 {
			require.True(f, acker.AckAsync(device, ids[i*5:i*5+5], done))
		}
		assert.Equal(f, ids[50:52], idsOf(f.claim(device, 1, 2)), "what was acknowledged is out of sight at once")
		for range 10 {
			require.NoError(f, <-failed)
			require.Empty(f, <-missing)
		}
		require.True(f, acker.AckAsync(device, []store.ID{ids[99], ids[0], 7}, done), "no lease holds these")
		require.NoError(f, <-failed)
		require.Equal(f, []store.ID{ids[0], 7}, <-missing)
		f.reopen()
		assert.Equal(f, ids[50:99], idsOf(f.claim(device, 1, 100)))
	}},
	{"the queues that had a session are listed after every crash until they have none", func(f *reopening) {
		if _, ok := f.Store.(store.Presence); !ok {
			f.Skip("the store remembers no presence")
		}
		present := func() []store.Key {
			keys, err := f.Store.(store.Presence).Present(context.Background())
			require.NoError(f, err)
			return keys
		}
		set := func(k store.Key, here bool) {
			require.NoError(f, f.Store.(store.Presence).SetPresent(context.Background(), k, here))
		}
		set(device, true)
		set(another, true)
		set(sender, true)
		set(another, false)
		f.reopen()
		set(another, true)
		assert.ElementsMatch(f, []store.Key{device, sender}, present())
		assert.Empty(f, present())
		f.reopen()
		assert.ElementsMatch(f, []store.Key{device, sender, another}, present())
		for _, k := range []store.Key{device, sender, another} {
			set(k, false)
		}
		f.reopen()
		assert.Empty(f, present())
	}},
	{"what was restored is there again, and IDs grow on from there", func(f *reopening) {
		from := fixture{T: f.T, Store: memstore.New()}
		from.furnish()
		to, ok := f.Store.(store.Movable)
		if !ok {
			f.Skip("the store cannot be moved")
		}
		var highest uint64
		for _, p := range from.dump("", start) {
			p.Seq += 5 << 20
			highest = p.HighestSeq()
			require.NoError(f, to.Restore(context.Background(), p, start))
		}
		f.reopen()
		assert.Equal(f, from.digest(), f.digest())
		assert.Greater(f, f.keep(message("next"))[0].Seq(), highest)
	}},
	{"a store that is opened many times still has everything", func(f *reopening) {
		for i := range 10 {
			f.keep(message(fmt.Sprint(i)))
			f.reopen()
		}
		assert.Len(f, f.waiting(device), 10)
	}},
}
