package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

var news = store.Topic{Sender: "1", Name: "news"}

// appsOf registers n apps, spread over some devices, and returns their registrations.
func (f fixture) appsOf(n int) []*store.Registration {
	f.Helper()
	regs := make([]*store.Registration, n)
	for i := range regs {
		r := classic("app"+strconv.Itoa(i), "1")
		r.App, r.Device = "app"+strconv.Itoa(i), device.ID+uint64(i%7)
		regs[i] = f.register(r)
	}
	return regs
}

func (f fixture) subscribe(t store.Topic, at time.Time, regs ...*store.Registration) {
	f.Helper()
	require.NoError(f, f.SubscribeTopic(context.Background(), t, regs, at))
}

func (f fixture) unsubscribe(t store.Topic, regs ...*store.Registration) {
	f.Helper()
	require.NoError(f, f.UnsubscribeTopic(context.Background(), t, regs))
}

// subscribers returns all subscriptions to a topic, read in pages.
func (f fixture) subscribers(t store.Topic, page int) (all []store.Subscription) {
	f.Helper()
	for after := (store.Place{}); ; {
		some, err := f.Subscribers(context.Background(), t, after, page)
		require.NoError(f, err)
		require.LessOrEqual(f, len(some), page)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
		after = some[len(some)-1].Place
	}
}

// subscribed returns the tokens that are subscribed to a topic now.
func (f fixture) subscribed(t store.Topic) (tokens []string) {
	f.Helper()
	subs := f.subscribers(t, 100)
	regs, err := f.Resolve(context.Background(), nil, subs)
	require.NoError(f, err)
	require.Len(f, regs, len(subs))
	for i, r := range regs {
		if r != nil {
			assert.True(f, r.Living())
			assert.Equal(f, subs[i].Place, r.Place())
			tokens = append(tokens, r.Token)
		}
	}
	slices.Sort(tokens)
	return tokens
}

// topicsOf returns the names of the topics of a registration.
func (f fixture) topicsOf(r *store.Registration) (names []string) {
	f.Helper()
	all, err := f.Subscriptions(context.Background(), r)
	require.NoError(f, err)
	for _, s := range all {
		assert.Equal(f, r.Token, s.Token)
		names = append(names, s.Topic.Sender+"/"+s.Topic.Name)
	}
	return names
}

func (f fixture) topicNames(sender string, page int) (all []string) {
	f.Helper()
	for after := ""; ; after = all[len(all)-1] {
		some, err := f.TopicNames(context.Background(), sender, after, page)
		require.NoError(f, err)
		require.LessOrEqual(f, len(some), page)
		if all = append(all, some...); len(some) == 0 {
			return all
		}
	}
}

var topicCases = []testCase{
	{"a subscriber is listed under its token, with its time, until it leaves", func(f fixture) {
		r := f.register(classic("t", "1"))
		f.subscribe(news, start.Add(1500*time.Microsecond), r)
		subs := f.subscribers(news, 10)
		require.Len(f, subs, 1)
		assert.Equal(f, []any{news, "t", r.Place()}, []any{subs[0].Topic, subs[0].Token, subs[0].Place})
		assert.True(f, start.Add(1500*time.Microsecond).Equal(subs[0].Since))
		assert.Equal(f, []string{"1/news"}, f.topicsOf(r))
		f.unsubscribe(news, r)
		assert.Empty(f, f.subscribers(news, 10))
		assert.Empty(f, f.topicsOf(r))
		f.unsubscribe(news, r)
	}},
	{"subscribing again keeps the time, and leaving forgets it", func(f fixture) {
		r := f.register(classic("t", "1"))
		f.subscribe(news, start, r)
		f.subscribe(news, start.Add(time.Hour), r, r)
		assert.True(f, start.Equal(f.subscribers(news, 10)[0].Since))
		f.unsubscribe(news, r)
		f.subscribe(news, start.Add(day), r)
		assert.True(f, start.Add(day).Equal(f.subscribers(news, 10)[0].Since))
	}},
	{"subscribers are listed in pages, in the order of places", func(f fixture) {
		regs := f.appsOf(25)
		f.subscribe(news, start, regs[:20]...)
		f.subscribe(news, start, regs[15:]...)
		for _, page := range []int{1, 7, 25, 100} {
			all := f.subscribers(news, page)
			require.Len(f, all, 25)
			assert.True(f, slices.IsSortedFunc(all, func(a, b store.Subscription) int { return slices.Compare(a.Place[:], b.Place[:]) }))
		}
	}},
	{"topics of one name in two projects, and of names that begin alike, are apart", func(f fixture) {
		regs := f.appsOf(3)
		f.subscribe(store.Topic{Sender: "1", Name: "a"}, start, regs[0])
		f.subscribe(store.Topic{Sender: "11", Name: "a"}, start, regs[1])
		f.subscribe(store.Topic{Sender: "1", Name: "ab"}, start, regs[2])
		f.subscribe(store.Topic{Sender: "1", Name: "a%20b.~-_"}, start, regs[2])
		assert.Equal(f, []string{"app0"}, f.subscribed(store.Topic{Sender: "1", Name: "a"}))
		assert.Equal(f, []string{"app1"}, f.subscribed(store.Topic{Sender: "11", Name: "a"}))
		for _, page := range []int{1, 2, 10} {
			assert.Equal(f, []string{"a", "a%20b.~-_", "ab"}, f.topicNames("1", page))
		}
		assert.Equal(f, []string{"a"}, f.topicNames("11", 10))
		assert.Empty(f, f.topicNames("2", 10))
		assert.Equal(f, []string{"1/a%20b.~-_", "1/ab"}, f.topicsOf(regs[2]))
	}},
	{"unregistering ends a subscription, for good", func(f fixture) {
		r := f.register(classic("old", "1"))
		f.subscribe(news, start, r)
		f.unregister("old")
		assert.Empty(f, f.subscribed(news))
		assert.Empty(f, f.topicsOf(r))
		assert.Empty(f, f.topicNames("1", 10))
		fresh := f.register(classic("new", "1"))
		assert.Empty(f, f.subscribed(news))
		assert.Empty(f, f.topicsOf(fresh))
	}},
	{"a newer token of the slot takes the subscription over, at its place", func(f fixture) {
		old := f.register(classic("old", "1"))
		f.subscribe(news, start, old)
		fresh := f.register(classic("new", "1", "2"))
		assert.Equal(f, old.Place(), fresh.Place())
		assert.Equal(f, []string{"new"}, f.subscribed(news))
		assert.Equal(f, []string{"1/news"}, f.topicsOf(fresh))
		assert.True(f, start.Equal(f.subscribers(news, 10)[0].Since))
		newest := f.register(classic("newest", "2"))
		assert.Equal(f, []string{"newest"}, f.subscribed(news))
		f.unsubscribe(news, newest)
		assert.Empty(f, f.subscribed(news))
	}},
	{"a subscription outlives the older tokens, and ends with the newest", func(f fixture) {
		f.subscribe(news, start, f.register(classic("old", "1")))
		f.register(classic("new", "2"))
		if forgetter, ok := f.Store.(store.Forgetter); ok {
			require.NoError(f, forgetter.ForgetRegistrations(context.Background(), "old"))
		} else {
			f.unregister("old")
		}
		assert.Equal(f, []string{"new"}, f.subscribed(news))
		f.unregister("new")
		assert.Empty(f, f.subscribed(news))
	}},
	{"a device that is forgotten has no subscriptions left", func(f fixture) {
		st, ok := f.Store.(store.NewDevices)
		if !ok {
			f.Skip("the store does not note new devices")
		}
		require.NoError(f, st.AddNewDevice(context.Background(), device.ID, start))
		f.subscribe(news, start, f.register(classic("t", "1")))
		_, err := st.ForgetNewDevices(context.Background(), start.Add(day), 10)
		require.NoError(f, err)
		assert.Empty(f, f.subscribed(news))
	}},
	{"a registration has so many topics and no more, and keeps those it has", func(f fixture) {
		r, other := f.register(classic("t", "1")), f.register(instanceID("u", "1", "GCM"))
		for i := range store.MaxTopics {
			f.subscribe(store.Topic{Sender: "1", Name: fmt.Sprintf("%04d", i)}, start, r)
		}
		err := f.SubscribeTopic(context.Background(), news, []*store.Registration{other, r}, start)
		var partial *store.PartialError
		require.ErrorAs(f, err, &partial)
		require.NoError(f, partial.Of(0))
		require.ErrorIs(f, partial.Of(1), store.ErrTooManyTopics)
		assert.Equal(f, []string{"u"}, f.subscribed(news))
		assert.Len(f, f.topicsOf(r), store.MaxTopics)
		f.subscribe(store.Topic{Sender: "1", Name: "0000"}, start, r)
		f.unsubscribe(store.Topic{Sender: "1", Name: "0001"}, r)
		f.subscribe(news, start, r)
		f.unregister("t")
		assert.Equal(f, []string{"news"}, f.topicNames("1", 10))
	}},
	{"of a thousand registrations each is subscribed", func(f fixture) {
		regs := f.appsOf(1000)
		f.subscribe(news, start, regs...)
		assert.Len(f, f.subscribers(news, 300), 1000)
		assert.Len(f, f.subscribed(news), 1000)
		f.unsubscribe(news, regs[1:]...)
		assert.Equal(f, []string{"app0"}, f.subscribed(news))
	}},
}

// fanout returns a fan-out with usable fields.
func fanout(id uint64, sender string) *store.Fanout {
	return &store.Fanout{ID: id, Sender: sender, Accepted: start, Expires: start.Add(day), Body: []byte("body " + strconv.FormatUint(id, 10))}
}

func (f fixture) begin(max int, batch ...*store.Fanout) []bool {
	f.Helper()
	kept, err := f.BeginFanouts(context.Background(), batch, max, start)
	require.NoError(f, err)
	return kept
}

// beginFor keeps fan-outs that a lease then holds.
func (f fixture) beginFor(l store.Lease, batch ...*store.Fanout) {
	f.Helper()
	for _, kept := range f.begin(100, batch...) {
		require.True(f, kept)
	}
	require.Len(f, f.claimFanouts(l, len(batch)), len(batch))
}

// claimFanouts is the numbers of the fan-outs that a lease can claim.
func (f fixture) claimFanouts(l store.Lease, max int) (ids []uint64) {
	f.Helper()
	all, err := f.ClaimFanouts(context.Background(), l, max)
	require.NoError(f, err)
	for _, o := range all {
		assert.Equal(f, "body "+strconv.FormatUint(o.ID, 10), string(o.Body))
		ids = append(ids, o.ID)
	}
	return ids
}

func (f fixture) inProgress(sender string) (ids []uint64) {
	f.Helper()
	all, err := f.Fanouts(context.Background(), sender)
	require.NoError(f, err)
	for _, o := range all {
		ids = append(ids, o.ID)
	}
	return ids
}

// copies returns a copy for each of some devices, and their places.
func copies(devices ...int) (entries []store.Entry, places []store.Place) {
	for _, d := range devices {
		r := classic("t", "1")
		r.Device = device.ID + uint64(d)
		entries = append(entries, message("copy", in(r.Key()), away))
		places = append(places, r.Place())
	}
	return entries, places
}

func (f fixture) copyFanout(l store.Lease, o *store.Fanout, done bool, devices ...int) []store.Result {
	f.Helper()
	entries, places := copies(devices...)
	outcomes, err := f.CopyFanout(context.Background(), l, o, entries, places, done, start)
	require.NoError(f, err)
	require.Len(f, outcomes, len(devices))
	results := make([]store.Result, len(outcomes))
	for i := range outcomes {
		results[i] = outcomes[i].Result
	}
	return results
}

func at(n int) store.Key { return store.Key{Kind: store.KindDevice, ID: device.ID + uint64(n)} }

var fanoutCases = []testCase{
	{"a fan-out is held by the lease that claimed it, until it is given back", func(f fixture) {
		f.beginFor(1, fanout(5, "1"), fanout(6, "2"))
		assert.Empty(f, f.claimFanouts(2, 10))
		require.NoError(f, f.RenewFanouts(context.Background(), 1))
		require.NoError(f, f.ReleaseFanouts(context.Background(), 1, 6))
		assert.Equal(f, []uint64{6}, f.claimFanouts(2, 10))
		require.NoError(f, f.ReleaseFanouts(context.Background(), 2))
		require.NoError(f, f.ReleaseFanouts(context.Background(), 1))
		one := f.claimFanouts(3, 1)
		assert.Len(f, one, 1)
		assert.ElementsMatch(f, []uint64{5, 6}, append(one, f.claimFanouts(3, 1)...))
		assert.Empty(f, f.claimFanouts(3, 1))
	}},
	{"projects take turns, and a project's oldest is first", func(f fixture) {
		f.begin(10, fanout(5, "1"), fanout(6, "1"), fanout(7, "1"), fanout(8, "2"), fanout(9, "2"))
		var order []uint64
		for range 5 {
			order = append(order, f.claimFanouts(1, 1)...)
		}
		assert.Equal(f, []uint64{5, 8, 6, 9, 7}, order)
		require.NoError(f, f.ReleaseFanouts(context.Background(), 1, 7))
		require.NoError(f, f.ReleaseFanouts(context.Background(), 1, 5))
		assert.Equal(f, []uint64{5, 7}, f.claimFanouts(1, 10))
	}},
	{"a fan-out comes back as it was", func(f fixture) {
		o := fanout(1<<62+1, "1")
		o.Accepted = start.Add(1234 * time.Microsecond)
		f.beginFor(1, o)
		require.NoError(f, f.ReleaseFanouts(context.Background(), 1))
		all, err := f.ClaimFanouts(context.Background(), 2, 10)
		require.NoError(f, err)
		require.Len(f, all, 1)
		got := *all[0]
		assert.True(f, o.Accepted.Equal(got.Accepted) && o.Expires.Equal(got.Expires))
		got.Accepted, got.Expires = o.Accepted, o.Expires
		assert.Equal(f, *o, got)
	}},
	{"a project has so many in progress and no more", func(f fixture) {
		assert.Equal(f, []bool{true, true, true, false}, f.begin(2, fanout(5, "1"), fanout(6, "2"), fanout(7, "1"), fanout(8, "1")))
		assert.Equal(f, []bool{false}, f.begin(2, fanout(9, "1")))
		f.claimFanouts(1, 10)
		assert.Equal(f, []uint64{5, 7}, f.inProgress("1"))
		assert.Equal(f, []uint64{5, 6, 7}, f.inProgress(""))
		f.copyFanout(1, fanout(5, "1"), true)
		assert.Equal(f, []bool{true, false}, f.begin(2, fanout(10, "1"), fanout(11, "1")))
		assert.Equal(f, []uint64{7, 10}, f.inProgress("1"))
	}},
	{"copies are put as entries are, and the progress is kept", func(f fixture) {
		f.beginFor(1, fanout(5, "1"))
		o := fanout(5, "1")
		_, places := copies(2)
		o.After, o.Copied, o.Dropped = places[0], 2, 1
		assert.Equal(f, []store.Result{store.Stored, store.Stored}, f.copyFanout(1, o, false, 1, 2))
		assert.Equal(f, []string{"copy"}, f.waiting(at(1)))
		require.NoError(f, f.ReleaseFanouts(context.Background(), 1))
		all, err := f.ClaimFanouts(context.Background(), 2, 10)
		require.NoError(f, err)
		assert.Equal(f, []any{places[0], 2, 1}, []any{all[0].After, all[0].Copied, all[0].Dropped})
		assert.Equal(f, []store.Result{store.Stored}, f.copyFanout(2, o, true, 3))
		assert.Empty(f, f.inProgress("1"))
		assert.Empty(f, f.claimFanouts(3, 10))
	}},
	{"a queue that is full loses its own copy", func(f fixture) {
		f.beginFor(1, fanout(5, "1"))
		f.fill(3, in(at(1)))
		entries, places := copies(1, 2)
		entries[0].Limit = store.Limit{Messages: 3}
		outcomes, err := f.CopyFanout(context.Background(), 1, fanout(5, "1"), entries, places, false, start)
		require.NoError(f, err)
		assert.Equal(f, []store.Result{store.Refused, store.Stored}, []store.Result{outcomes[0].Result, outcomes[1].Result})
	}},
	{"a lease that does not hold a fan-out cannot end it", func(f fixture) {
		f.beginFor(1, fanout(5, "1"))
		_, err := f.CopyFanout(context.Background(), 2, fanout(5, "1"), nil, nil, true, start)
		require.ErrorIs(f, err, store.ErrTakenOver)
		f.copyFanout(1, fanout(5, "1"), true)
		_, err = f.CopyFanout(context.Background(), 1, fanout(5, "1"), nil, nil, true, start)
		require.ErrorIs(f, err, store.ErrTakenOver)
	}},
	{"two apps of one device get a copy each", func(f fixture) {
		f.beginFor(1, fanout(5, "1"))
		entries, places := copies(1, 1)
		entries[1].App = "other"
		places[1][20]++
		outcomes, err := f.CopyFanout(context.Background(), 1, fanout(5, "1"), entries, places, false, start)
		require.NoError(f, err)
		assert.Equal(f, []store.Result{store.Stored, store.Stored}, []store.Result{outcomes[0].Result, outcomes[1].Result})
	}},
	{"fan-outs do not mix up their copies", func(f fixture) {
		f.beginFor(1, fanout(5, "1"), fanout(6, "1"))
		for _, id := range []uint64{5, 6} {
			assert.Equal(f, []store.Result{store.Stored}, f.copyFanout(1, fanout(id, "1"), false, 1))
		}
		assert.Equal(f, []string{"copy", "copy"}, f.waiting(at(1)))
	}},
}

var fanoutDurableCases = []durableCase{
	{"subscriptions, groups and fan-outs are there again, and free to be claimed", func(f *reopening) {
		r := f.register(classic("t", "1"))
		f.subscribe(news, start, r)
		g := f.createGroup("user-7", r)
		f.beginFor(1, fanout(5, "1"), fanout(6, "1"))
		o := fanout(5, "1")
		o.After, o.Copied = r.Place(), 1
		f.copyFanout(1, o, false, 0)
		f.reopen()
		assert.Equal(f, []string{"t"}, f.members(g))
		assert.Equal(f, []string{"t"}, f.subscribed(news))
		assert.Equal(f, []string{"1/news"}, f.topicsOf(r))
		assert.Equal(f, []bool{false}, f.begin(2, fanout(7, "1")))
		all, err := f.ClaimFanouts(context.Background(), 2, 10)
		require.NoError(f, err)
		if len(all) < 2 {
			f.Skip("the leases have not lapsed yet")
		}
		assert.Equal(f, r.Place(), all[0].After)
		assert.Equal(f, store.Place{}, all[1].After)
	}},
	{"the mark of a fan-out is remembered as that of an entry is", func(f *reopening) {
		repeats, ok := f.Store.(store.Repeats)
		if !ok {
			f.Skip("the store remembers no marks")
		}
		if _, err := repeats.Remembered(context.Background(), start); errors.Is(err, errors.ErrUnsupported) {
			f.Skip("the store remembers no marks")
		}
		o, refused := fanout(5, "1"), fanout(6, "1")
		o.Mark, refused.Mark = store.Mark{1}, store.Mark{2}
		f.begin(1, o, refused)
		f.reopen()
		marks, err := f.Store.(store.Repeats).Remembered(context.Background(), start)
		require.NoError(f, err)
		assert.Equal(f, []store.Mark{{1}}, marks)
	}},
}
