package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

var collapseCases = []testCase{
	{"a new entry replaces the old one of its key, place and all", func(f fixture) {
		old := f.keep(message("k1", collapse("k")))[0]
		f.keep(message("n"))
		o := f.put(message("k2", collapse("k")))[0]
		assert.Equal(f, store.Collapsed, o.Result)
		assert.Greater(f, o.ID, old)
		assert.Equal(f, []store.ID{old}, o.Displaced)
		assert.Equal(f, []string{"n", "k2"}, f.waiting(device))
	}},
	{"a replacement takes the new rank", func(f fixture) {
		f.keep(message("n"), message("k1", collapse("k")))
		f.put(message("k2", collapse("k"), high))
		f.put(message("k3", collapse("k"), high))
		assert.Equal(f, []string{"k3", "n"}, f.waiting(device))
		f.put(message("k4", collapse("k")))
		assert.Equal(f, []string{"n", "k4"}, f.waiting(device))
	}},
	{"entries of one batch collapse", func(f fixture) {
		o := f.put(message("k1", collapse("k")), message("k2", collapse("k")), message("k3", collapse("k")))
		assert.Equal(f, []store.Result{store.Stored, store.Collapsed, store.Collapsed}, resultsOf(o))
		assert.Nil(f, o[0].Displaced)
		assert.Equal(f, []store.ID{o[0].ID}, o[1].Displaced)
		assert.Equal(f, []store.ID{o[1].ID}, o[2].Displaced)
		assert.Equal(f, []string{"k3"}, f.waiting(device))
	}},
	{"a key belongs to its app and its queue", func(f fixture) {
		f.keep(message("a", collapse("k")), message("b", collapse("k"), app("other")), message("c", collapse("k"), in(another)))
		assert.Equal(f, []string{"a", "b"}, f.waiting(device))
		assert.Equal(f, []string{"c"}, f.waiting(another))
	}},
	{"a claimed entry is replaced as well, and its late ack is harmless", func(f fixture) {
		old := f.keep(message("k1", collapse("k")))[0]
		f.claim(device, 1, 10)
		o := f.put(message("k2", collapse("k")))[0]
		assert.Equal(f, store.Collapsed, o.Result)
		assert.Equal(f, []store.ID{old}, o.Displaced)
		f.ack(device, old)
		assert.Equal(f, []string{"k2"}, bodies(f.claim(device, 1, 10)))
		f.release(device, 1)
		assert.Equal(f, []string{"k2"}, f.waiting(device))
	}},
	{"a replaced entry does not come back with its lease", func(f fixture) {
		f.keep(message("k1", collapse("k")))
		f.claim(device, 1, 10)
		f.claim(device, 2, 10)
		f.put(message("k2", collapse("k")))
		f.release(device, 1)
		assert.Equal(f, []string{"k2"}, bodies(f.claim(device, 2, 10)))
	}},
	{"an acknowledged key is stored anew", func(f fixture) {
		id := f.keep(message("k1", collapse("k")))[0]
		f.claim(device, 1, 1)
		f.ack(device, id)
		assert.Nil(f, f.put(message("k2", collapse("k")))[0].Displaced)
		assert.Equal(f, []string{"k2"}, f.waiting(device))
	}},
	{"of more than four keys the least recently put is evicted", func(f fixture) {
		for _, k := range []string{"1", "2", "3", "4"} {
			f.keep(message(k, collapse(k), connected))
		}
		assert.Equal(f, store.Collapsed, f.put(message("1b", collapse("1"), connected))[0].Result)
		f.keep(message("5", collapse("5"), connected))
		assert.Equal(f, []string{"3", "4", "1b", "5"}, f.waiting(device))
		f.keep(message("6", collapse("6"), connected, high))
		f.keep(message("7", collapse("7"), connected), message("8", collapse("8"), connected))
		assert.Equal(f, []string{"6", "5", "7", "8"}, f.waiting(device), "age counts, not rank")
	}},
	{"an entry whose key pushes another one out names it", func(f fixture) {
		var old []store.ID
		for _, k := range []string{"1", "2", "3", "4"} {
			o := f.put(message(k, collapse(k), connected))[0]
			assert.Nil(f, o.Displaced)
			old = append(old, o.ID)
		}
		f.claim(device, 1, 1)
		o := f.put(message("5", collapse("5"), connected), message("6", collapse("6"), connected))
		assert.Equal(f, []store.Result{store.Stored, store.Stored}, resultsOf(o))
		assert.Equal(f, old[:1], o[0].Displaced, "claimed or not")
		assert.Equal(f, old[1:2], o[1].Displaced)
	}},
	{"keys of other apps are not evicted", func(f fixture) {
		for i := range 6 {
			f.keep(message(fmt.Sprint("a", i), collapse(fmt.Sprint(i)), connected))
			f.keep(message(fmt.Sprint("b", i), collapse(fmt.Sprint(i)), connected, app("other")))
		}
		assert.Equal(f, []string{"a2", "b2", "a3", "b3", "a4", "b4", "a5", "b5"}, f.waiting(device))
	}},
	{"a limit that was higher before evicts down to the new one", func(f fixture) {
		for i := range 6 {
			f.keep(message(fmt.Sprint(i), collapse(fmt.Sprint(i))))
		}
		o := f.put(message("x", collapse("x"), limited(store.Limit{CollapseKeys: 3})))[0]
		assert.Equal(f, store.Stored, o.Result)
		assert.Len(f, o.Displaced, 4)
		assert.Equal(f, []string{"4", "5", "x"}, f.waiting(device))
	}},
	{"an expired key makes room for a new one", func(f fixture) {
		f.keep(message("1", collapse("1"), connected))
		f.keep(message("2", collapse("2"), connected, expires(start.Add(time.Second))))
		f.keep(message("3", collapse("3"), connected), message("4", collapse("4"), connected))
		later := start.Add(time.Minute)
		assert.Nil(f, f.putAt(later, message("5", collapse("5"), connected))[0].Displaced)
		assert.Equal(f, []string{"1", "3", "4", "5"}, bodies(f.claimAt(later, device, 1, 10)))
	}},
}

var limitCases = []testCase{
	{"no limit, no refusal", func(f fixture) {
		f.fill(300)
		assert.Len(f, f.waiting(device), 300)
	}},
	{"refuse leaves a full queue as it is", func(f fixture) {
		three := limited(store.Limit{Messages: 3})
		f.fill(2, three)
		o := f.put(message("c", three), message("d", three), message("e", three, app("other")))
		assert.Equal(f, []store.Result{store.Stored, store.Refused, store.Refused}, resultsOf(o))
		assert.Nil(f, o[1].Displaced)
		assert.Zero(f, o[1].ID)
		assert.Equal(f, []string{"000", "001", "c"}, f.waiting(device))
		assert.Equal(f, store.Stored, f.put(message("x", three, in(another)))[0].Result)
	}},
	{"refuse counts every entry of the queue, claimed ones and markers too", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		f.keep(message("k", collapse("k")), message("u"))
		f.claim(device, 1, 2)
		assert.Equal(f, store.Refused, f.put(message("x", limited(store.Limit{Messages: 3})))[0].Result)
		assert.Equal(f, store.Stored, f.put(message("x", limited(store.Limit{Messages: 4})))[0].Result)
	}},
	{"an acknowledged entry makes room", func(f fixture) {
		two := limited(store.Limit{Messages: 2})
		ids := f.fill(2, two)
		assert.Equal(f, store.Refused, f.put(message("x", two))[0].Result)
		f.claim(device, 1, 1)
		f.ack(device, ids[0])
		assert.Equal(f, store.Stored, f.put(message("y", two))[0].Result)
		f.ack(device, ids[1])
		assert.Equal(f, store.Stored, f.put(message("z", two))[0].Result)
		assert.Equal(f, store.Refused, f.put(message("x", two))[0].Result)
	}},
	{"a replacement is not refused, for the queue does not grow", func(f fixture) {
		two := limited(store.Limit{Messages: 2, CollapseKeys: 1})
		f.keep(message("k1", two, collapse("k")), message("n", two))
		assert.Equal(f, store.Collapsed, f.put(message("k2", two, collapse("k")))[0].Result)
		assert.Equal(f, store.Stored, f.put(message("j", two, collapse("j")))[0].Result)
		assert.Equal(f, []string{"n", "j"}, f.waiting(device))
	}},
	{"the 101st message for a device that is away leaves one marker for all of them", func(f fixture) {
		ids := f.fill(100, away)
		o := f.put(message("over", away))[0]
		assert.Equal(f, store.Discarded, o.Result)
		assert.Equal(f, store.RankMarker, o.ID.Rank())
		assert.ElementsMatch(f, ids, o.Displaced)
		got := f.claim(device, 1, 1000)
		require.Len(f, got, 1)
		assert.Equal(f, o.ID, got[0].ID)
		assert.Equal(f, store.RankMarker, got[0].Rank)
		assert.Equal(f, "com.example.app", got[0].App)
		assert.Equal(f, device, got[0].Key)
		assert.Equal(f, 101, got[0].Deleted)
		assert.Empty(f, got[0].Body)
	}},
	{"an overflow in the middle of a batch", func(f fixture) {
		batch := make([]store.Entry, 0, 205)
		for i := range 205 {
			batch = append(batch, message(fmt.Sprintf("%03d", i), away))
		}
		o := f.put(batch...)
		for i := range o {
			want := store.Stored
			if i == 100 || i == 201 {
				want = store.Discarded
			}
			require.Equal(f, want, o[i].Result, "entry %d", i)
		}
		assert.ElementsMatch(f, outcomeIDs(o[:100]), o[100].Displaced)
		assert.ElementsMatch(f, outcomeIDs(o[100:201]), o[201].Displaced, "the first marker too")
		assert.Equal(f, []string{"marker com.example.app 202", "202", "203", "204"}, f.waiting(device))
	}},
	{"an overflow throws away neither what came while connected, nor what collapses, nor other apps", func(f fixture) {
		f.keep(message("c1", connected), message("c2", connected, high))
		f.keep(message("k", collapse("k"), away), message("o", app("other"), away))
		ids := f.fill(100, away)
		assert.ElementsMatch(f, ids, f.put(message("over", away))[0].Displaced)
		assert.Equal(f, []string{"marker com.example.app 101", "c2", "c1", "k", "o"}, f.waiting(device))
	}},
	{"what came while connected does not count", func(f fixture) {
		f.fill(150, connected)
		f.fill(100, away)
		assert.Len(f, f.waiting(device), 250)
		assert.Equal(f, store.Discarded, f.put(message("over", away))[0].Result)
		assert.Len(f, f.waiting(device), 151)
	}},
	{"what collapses never overflows", func(f fixture) {
		f.fill(100, away)
		f.keep(message("k", collapse("k"), away))
		assert.Len(f, f.waiting(device), 101)
	}},
	{"what a lease holds neither counts nor is thrown away", func(f fixture) {
		ids := f.fill(100, away)
		assert.Len(f, f.claim(device, 1, 40), 40)
		ids = append(ids[40:], f.fill(40, away)...)
		assert.ElementsMatch(f, ids, f.put(message("over", away))[0].Displaced)
		f.release(device, 1)
		got := f.waiting(device)
		assert.Len(f, got, 41)
		assert.Equal(f, []string{"marker com.example.app 101", "000", "001"}, got[:3])
	}},
	{"what is acknowledged does not count", func(f fixture) {
		ids := f.fill(100, away)
		f.ack(device, ids[:10]...)
		f.fill(10, away)
		assert.Equal(f, store.Discarded, f.put(message("over", away))[0].Result)
	}},
	{"what has expired does not count and is not in the marker", func(f fixture) {
		f.fill(60, away, expires(start.Add(time.Second)))
		f.fill(40, away)
		later := start.Add(time.Minute)
		for range 60 {
			require.Equal(f, store.Stored, f.putAt(later, message("late", away))[0].Result)
		}
		o := f.putAt(later, message("over", away))[0]
		assert.Equal(f, store.Discarded, o.Result)
		assert.Len(f, o.Displaced, 100, "what has expired is left to the sweep")
		assert.Equal(f, []string{"marker com.example.app 101"}, bodies(f.claimAt(later, device, 1, 1000)))
		assert.Len(f, f.sweep(later, 1000), 60)
	}},
	{"messages after the marker are stored normally", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		f.fill(100, away)
		got := f.waiting(device)
		assert.Len(f, got, 101)
		assert.Equal(f, "marker com.example.app 101", got[0])
	}},
	{"a second overflow adds to the marker that still waits", func(f fixture) {
		f.fill(100, away)
		first := f.put(message("over", away))[0].ID
		f.fill(100, away)
		assert.NotEqual(f, first, f.put(message("over", away, high))[0].ID, "an entry never changes under its ID")
		f.keep(message("h", high, away))
		assert.Equal(f, []string{"marker com.example.app 202", "h"}, f.waiting(device))
	}},
	{"a marker that is claimed stays as it is, and a second overflow makes a new one", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		claimed := f.claim(device, 1, 10)
		assert.Equal(f, []string{"marker com.example.app 101"}, bodies(claimed))
		f.fill(100, away)
		assert.Len(f, f.put(message("over", away))[0].Displaced, 100)
		second := f.claim(device, 2, 10)
		assert.Equal(f, []string{"marker com.example.app 101"}, bodies(second))
		f.ack(device, claimed[0].ID)
		f.release(device, 1)
		f.release(device, 2)
		assert.Equal(f, []string{"marker com.example.app 101"}, f.waiting(device))
	}},
	{"markers that wait are joined by the next overflow", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		f.claim(device, 1, 10)
		f.fill(100, away)
		f.put(message("over", away))
		f.release(device, 1)
		f.fill(100, away)
		assert.Len(f, f.put(message("over", away))[0].Displaced, 102)
		assert.Equal(f, []string{"marker com.example.app 303"}, f.waiting(device))
	}},
	{"each app has its own marker", func(f fixture) {
		for range 101 {
			f.put(message("a", away), message("b", away, app("other")))
		}
		assert.ElementsMatch(f, []string{"marker com.example.app 101", "marker other 101"}, f.waiting(device))
	}},
	{"acknowledging the marker forgets it", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		f.ack(device, idsOf(f.claim(device, 1, 10))...)
		f.fill(100, away)
		f.put(message("over", away))
		assert.Equal(f, []string{"marker com.example.app 101"}, bodies(f.claim(device, 1, 10)))
	}},
	{"purge forgets the marker", func(f fixture) {
		f.fill(100, away)
		f.put(message("over", away))
		f.purge(device, "com.example.app")
		assert.Empty(f, f.waiting(device))
	}},
	{"a lease that has seen an empty queue sees the marker", func(f fixture) {
		assert.Empty(f, f.claim(device, 1, 10))
		f.fill(100, away)
		f.put(message("over", away))
		assert.Equal(f, []string{"marker com.example.app 101"}, bodies(f.claim(device, 1, 10)))
	}},
}

var dedupCases = []testCase{
	{"a second entry in the same batch is a duplicate", func(f fixture) {
		o := f.put(message("a", dedup("x", day)), message("b", dedup("x", day)), message("c", dedup("y", day)))
		assert.Equal(f, []store.Result{store.Stored, store.Duplicate, store.Stored}, resultsOf(o))
		assert.Zero(f, o[1].ID)
		assert.Equal(f, []string{"a", "c"}, f.waiting(device))
	}},
	{"a second entry in a later batch is a duplicate", func(f fixture) {
		f.keep(message("a", dedup("x", day)))
		assert.Equal(f, store.Duplicate, f.put(message("b", dedup("x", day)))[0].Result)
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
	{"the same string in another queue is no duplicate", func(f fixture) {
		f.keep(message("a", dedup("x", day)), message("b", dedup("x", day), in(another)), message("c", dedup("x", day), in(sender)))
	}},
	{"no string, no duplicate", func(f fixture) { f.keep(message("a"), message("a")) }},
	{"a duplicate is known after the entry was acknowledged, for as long as was asked for", func(f fixture) {
		e := message("a", dedup("x", day))
		id := f.keep(e)[0]
		f.claim(device, 1, 1)
		f.ack(device, id)
		f.release(device, 1)
		f.sweep(start.Add(day-1), 100)
		assert.Equal(f, store.Duplicate, f.putAt(start.Add(day-time.Millisecond), e)[0].Result)
		assert.Equal(f, store.Stored, f.putAt(start.Add(day), e)[0].Result)
		assert.Equal(f, store.Duplicate, f.putAt(start.Add(day), e)[0].Result)
	}},
	{"a duplicate is forgotten after its time, sweep or no sweep", func(f fixture) {
		e := message("a", dedup("x", time.Hour))
		f.keep(e)
		f.sweep(start.Add(time.Hour), 1)
		assert.Equal(f, store.Stored, f.putAt(start.Add(time.Hour), e)[0].Result)
		f.sweep(start.Add(2*time.Hour-time.Millisecond), 1)
		assert.Equal(f, store.Duplicate, f.putAt(start.Add(2*time.Hour-time.Millisecond), e)[0].Result)
	}},
	{"a refused entry is not remembered", func(f fixture) {
		one := limited(store.Limit{Messages: 1})
		id := f.keep(message("a", one))[0]
		e := message("b", one, dedup("x", day))
		assert.Equal(f, store.Refused, f.put(e)[0].Result)
		f.ack(device, id)
		assert.Equal(f, store.Stored, f.put(e)[0].Result)
	}},
	{"a discarded entry is remembered, so that the marker counts it once", func(f fixture) {
		f.fill(100, away)
		e := message("over", away, dedup("x", day))
		assert.Equal(f, store.Discarded, f.put(e)[0].Result)
		assert.Equal(f, store.Duplicate, f.put(e)[0].Result)
	}},
	{"a duplicate replaces nothing", func(f fixture) {
		f.keep(message("a", dedup("x", day), collapse("k")))
		o := f.put(message("b", dedup("x", day), collapse("k")))[0]
		assert.Equal(f, store.Duplicate, o.Result)
		assert.Nil(f, o.Displaced)
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
}

func outcomeIDs(outcomes []store.Outcome) []store.ID {
	var ids []store.ID
	for _, o := range outcomes {
		ids = append(ids, o.ID)
	}
	return ids
}

func resultsOf(outcomes []store.Outcome) []store.Result {
	var all []store.Result
	for _, o := range outcomes {
		all = append(all, o.Result)
	}
	return all
}
