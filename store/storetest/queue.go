package storetest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

var queueCases = []testCase{
	{"an entry is in its queue until it is acknowledged", func(f fixture) {
		has := func(k store.Key, id store.ID) bool {
			there, err := f.Has(context.Background(), k, id)
			require.NoError(f, err)
			return there
		}
		ids := f.keep(message("n"), message("h", high))
		assert.True(f, has(device, ids[0]))
		assert.True(f, has(device, ids[1]))
		assert.False(f, has(device, ids[1]+1000))
		assert.False(f, has(another, ids[0]))
		assert.False(f, has(device, 1<<61))
		f.claim(device, 1, 1)
		assert.True(f, has(device, ids[1]), "a claimed one, too")
		f.ack(device, ids[1])
		assert.False(f, has(device, ids[1]))
		assert.True(f, has(device, ids[0]))
	}},
	{"an entry comes back as it was put", func(f fixture) {
		e := message("hello", high, app("app\x00subtype"), collapse("k"), dedup("d", day))
		e.Accepted = start.Add(123456 * time.Microsecond)
		e.Expires = start.Add(time.Hour + 789*time.Millisecond)
		id := f.keep(e)[0]
		got := f.claim(device, 1, 10)
		require.Len(f, got, 1)
		assert.Equal(f, id, got[0].ID)
		f.same(e, got[0])
	}},
	{"an entry may have no app and no body", func(f fixture) {
		e := message("")
		e.App, e.Body = "", nil
		f.keep(e)
		got := f.claim(device, 1, 10)
		require.Len(f, got, 1)
		f.same(e, got[0])
	}},
	{"a body of a megabyte comes back whole", func(f fixture) {
		e := message("")
		e.Body = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		f.keep(message("before"), e, message("after"))
		got := f.claim(device, 1, 10)
		require.Len(f, got, 3)
		assert.True(f, bytes.Equal(e.Body, got[1].Body))
	}},
	{"an empty batch is stored", func(f fixture) { assert.Empty(f, f.put()) }},
	{"an unknown queue is empty", func(f fixture) { assert.Empty(f, f.claim(device, 1, 10)) }},
	{"entries are claimed in the order they were put", func(f fixture) {
		f.keep(message("a"), message("b"))
		f.keep(message("c"))
		assert.Equal(f, []string{"a", "b", "c"}, bodies(f.claim(device, 1, 10)))
	}},
	{"high rank goes before normal, each in its order", func(f fixture) {
		f.keep(message("n1"), message("h1", high), message("n2"), message("h2", high))
		assert.Equal(f, []string{"h1", "h2", "n1", "n2"}, bodies(f.claim(device, 1, 10)))
	}},
	{"high rank that comes later goes before normal that still waits", func(f fixture) {
		f.keep(message("n1"), message("n2"))
		assert.Equal(f, []string{"n1"}, bodies(f.claim(device, 1, 1)))
		f.keep(message("h1", high))
		assert.Equal(f, []string{"h1", "n2"}, bodies(f.claim(device, 1, 10)))
	}},
	{"a marker cannot be put", func(f fixture) {
		for _, change := range []func(*store.Entry){
			func(e *store.Entry) { e.Rank = store.RankMarker },
			func(e *store.Entry) { e.Deleted = 1 },
		} {
			_, err := f.Put(context.Background(), []store.Entry{message("a"), message("m", change)}, start)
			require.Error(f, err)
		}
		assert.Empty(f, f.waiting(device))
	}},
	{"IDs grow with every put and carry the rank", func(f fixture) {
		ids := append(f.keep(message("a"), message("b")), f.keep(message("c"))...)
		assert.True(f, slices.IsSorted(ids))
		assert.Len(f, slices.Compact(ids), 3)
		assert.Equal(f, store.RankNormal, ids[0].Rank())
		h := f.keep(message("h", high))[0]
		assert.Equal(f, store.RankHigh, h.Rank())
		assert.Greater(f, h.Seq(), ids[2].Seq())
	}},
	{"an ID is not given out again after its entry was acknowledged", func(f fixture) {
		first := f.keep(message("a"))[0]
		f.claim(device, 1, 1)
		f.ack(device, first)
		f.release(device, 1)
		assert.Greater(f, f.keep(message("b"))[0], first)
	}},
	{"a batch may belong to many queues", func(f fixture) {
		outcomes := f.put(message("d1"), message("s1", in(sender)), message("a1", in(another)), message("d2"))
		for _, o := range outcomes {
			assert.Equal(f, store.Stored, o.Result)
		}
		assert.Equal(f, []string{"d1", "d2"}, bodies(f.claim(device, 1, 10)))
		assert.Equal(f, []string{"s1"}, bodies(f.claim(sender, 2, 10)))
		assert.Equal(f, []string{"a1"}, bodies(f.claim(another, 3, 10)))
	}},
	{"queues of different kinds with the same number are different", func(f fixture) {
		f.keep(message("d"), message("s", in(sender)))
		receipts := store.Key{Kind: store.KindReceipts, ID: sender.ID}
		assert.Empty(f, f.claim(receipts, 1, 10))
		assert.Equal(f, []string{"s"}, bodies(f.claim(sender, 1, 10)))
	}},
	{"put keeps no memory of the batch", func(f fixture) {
		batch := []store.Entry{message("body")}
		f.keep(batch...)
		copy(batch[0].Body, "XXXX")
		batch[0].App = "changed"
		got := f.claim(device, 1, 1)
		require.Len(f, got, 1)
		assert.Equal(f, "body", string(got[0].Body))
		assert.Equal(f, "com.example.app", got[0].App)
	}},
	{"what was claimed belongs to the caller", func(f fixture) {
		f.keep(message("body"))
		copy(f.claim(device, 1, 1)[0].Body, "XXXX")
		f.release(device, 1)
		assert.Equal(f, []string{"body"}, bodies(f.claim(device, 2, 1)))
	}},
	{"purge forgets all entries of one app, claimed ones included", func(f fixture) {
		f.keep(message("a1"), message("b1", app("other")), message("a2", high), message("a3", collapse("k")))
		claimed := f.claim(device, 1, 1)
		assert.Len(f, f.purge(device, "com.example.app"), 3)
		assert.Equal(f, idsOf(claimed), f.ack(device, idsOf(claimed)...))
		f.release(device, 1)
		assert.Equal(f, []string{"b1"}, f.waiting(device))
	}},
	{"purge leaves other queues alone, and an unknown one too", func(f fixture) {
		f.keep(message("a"))
		assert.Empty(f, f.purge(another, "com.example.app"))
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
	{"purge lets a collapse key and the limit start anew", func(f fixture) {
		f.keep(message("k1", collapse("k"), away))
		f.fill(100, away)
		f.purge(device, "com.example.app")
		f.keep(message("k2", collapse("k"), away), message("n", away))
		assert.Equal(f, []string{"k2", "n"}, f.waiting(device))
	}},
}

var leaseCases = []testCase{
	{"claim hands out no more than asked for, and goes on where it stopped", func(f fixture) {
		f.keep(message("a"), message("b"), message("c"))
		assert.Equal(f, []string{"a", "b"}, bodies(f.claim(device, 1, 2)))
		assert.Equal(f, []string{"c"}, bodies(f.claim(device, 1, 2)))
		assert.Empty(f, f.claim(device, 1, 2))
	}},
	{"claim of none hands out none", func(f fixture) {
		f.keep(message("a"))
		assert.Empty(f, f.claim(device, 1, 0))
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
	{"a lease sees what is put after it claimed all there was", func(f fixture) {
		assert.Empty(f, f.claim(device, 1, 10))
		f.keep(message("a"))
		assert.Equal(f, []string{"a"}, bodies(f.claim(device, 1, 10)))
		f.keep(message("b"), message("h", high))
		assert.Equal(f, []string{"h", "b"}, bodies(f.claim(device, 1, 10)))
	}},
	{"claims of two leases never overlap", func(f fixture) {
		f.fill(20)
		var all []string
		for i := range 10 {
			all = append(all, bodies(f.claim(device, store.Lease(1+i%2), 2))...)
		}
		assert.Len(f, all, 20)
		assert.True(f, slices.IsSorted(all))
		assert.Len(f, slices.Compact(all), 20)
	}},
	{"release gives back at the old place, before newer entries", func(f fixture) {
		f.keep(message("a"), message("b"), message("h", high), message("c"))
		assert.Equal(f, []string{"h", "a", "b"}, bodies(f.claim(device, 1, 3)))
		f.keep(message("d"))
		f.release(device, 1)
		assert.Equal(f, []string{"h", "a", "b", "c", "d"}, bodies(f.claim(device, 2, 10)))
	}},
	{"release gives back at the old place while another lease lives", func(f fixture) {
		f.fill(10)
		f.claim(device, 1, 3)
		assert.Equal(f, []string{"003", "004"}, bodies(f.claim(device, 2, 2)))
		f.claim(device, 3, 2)
		f.release(device, 1)
		f.release(device, 3)
		assert.Equal(f, []string{"000", "001", "002", "005", "006", "007"}, bodies(f.claim(device, 2, 6)))
		assert.Equal(f, []string{"008", "009"}, bodies(f.claim(device, 4, 6)))
	}},
	{"a second release does not hide what the first gave back", func(f fixture) {
		f.fill(9)
		f.claim(device, 1, 3)
		f.claim(device, 2, 3)
		f.release(device, 1)
		assert.Equal(f, []string{"000"}, bodies(f.claim(device, 3, 1)))
		f.release(device, 2)
		assert.Equal(f, []string{"001", "002", "003", "004", "005", "006", "007", "008"}, bodies(f.claim(device, 4, 10)))
	}},
	{"release does not give back what was acknowledged", func(f fixture) {
		ids := f.keep(message("a"), message("b"), message("c"))
		f.claim(device, 1, 10)
		f.ack(device, ids[1])
		f.release(device, 1)
		assert.Equal(f, []string{"a", "c"}, bodies(f.claim(device, 2, 10)))
	}},
	{"release touches no other lease and no other queue", func(f fixture) {
		f.keep(message("a"), message("b"), message("x", in(another)))
		f.claim(device, 1, 1)
		f.claim(device, 2, 1)
		f.claim(another, 1, 1)
		f.release(device, 2)
		assert.Equal(f, []string{"b"}, f.waiting(device))
		assert.Empty(f, f.waiting(another))
	}},
	{"release of an unknown lease is no error", func(f fixture) {
		f.release(device, 99)
		f.keep(message("a"))
		f.release(device, 99)
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
	{"a lease may go on after it was released", func(f fixture) {
		f.keep(message("a"))
		f.claim(device, 1, 1)
		f.release(device, 1)
		assert.Equal(f, []string{"a"}, bodies(f.claim(device, 1, 1)))
	}},
	{"ack of what is not there is harmless", func(f fixture) {
		f.ack(device, 1, 2, store.MakeID(store.RankHigh, 3))
		f.ack(device)
		id := f.keep(message("a"))[0]
		f.ack(another, id)
		assert.Equal(f, []string{"a"}, f.waiting(device))
	}},
	{"ack twice is harmless", func(f fixture) {
		ids := f.keep(message("a"), message("b", limited(store.Limit{Messages: 2})))
		f.claim(device, 1, 10)
		f.ack(device, ids[0])
		f.ack(device, ids[0])
		f.ack(device, ids[0], ids[0])
		outcomes := f.put(
			message("c", limited(store.Limit{Messages: 2})), message("d", limited(store.Limit{Messages: 2})))
		assert.Equal(f, store.Stored, outcomes[0].Result)
		assert.Equal(f, store.Refused, outcomes[1].Result, "the second ack must not make room")
		assert.Equal(f, []string{"c"}, bodies(f.claim(device, 1, 10)))
	}},
	{"an entry that was never claimed may be acknowledged", func(f fixture) {
		ids := f.keep(message("a"), message("b"), message("c"))
		f.ack(device, ids[0], ids[2])
		assert.Equal(f, []string{"b"}, f.waiting(device))
	}},
	{"an entry that waits while a lease lives may be acknowledged", func(f fixture) {
		ids := f.fill(30)
		f.claim(device, 1, 2)
		f.ack(device, ids[2], ids[29])
		ids = append(ids, f.keep(message("x"), message("y"))...)
		f.ack(device, ids[30])
		got := bodies(f.claim(device, 1, 100))
		assert.Len(f, got, 27)
		assert.Equal(f, []string{"003", "y"}, []string{got[0], got[26]})
	}},
	{"an entry may be acknowledged after its lease was released", func(f fixture) {
		ids := f.keep(message("a"), message("b"))
		f.claim(device, 1, 10)
		f.claim(device, 2, 10)
		f.release(device, 1)
		f.ack(device, ids[0])
		assert.Equal(f, []string{"b"}, bodies(f.claim(device, 2, 10)))
	}},
	{"a new lease does not see what was acknowledged just before", func(f fixture) {
		for i := range 50 {
			ids := f.fill(10)
			l := store.Lease(100 + i)
			assert.Equal(f, ids, idsOf(f.claim(device, l, 100)))
			f.ack(device, ids...)
			f.release(device, l)
		}
		assert.Empty(f, f.waiting(device))
	}},
	{"a long queue is claimed in order through several leases", func(f fixture) {
		want := f.fill(1000)
		var got []store.ID
		for l := store.Lease(1); len(got) < 1000; l++ {
			for range 3 {
				got = append(got, idsOf(f.claim(device, l, 33))...)
			}
			f.ack(device, got[max(0, len(got)-99):]...)
			f.release(device, l)
		}
		assert.Equal(f, want, got)
	}},
}
