package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
)

// accountCases check that calls return what they did to a queue, so that a caller can follow its
// contents.
var accountCases = []testCase{
	{"ack returns the IDs that were not there", func(f fixture) {
		ids := f.keep(message("a"), message("b"), message("c"), message("k1", collapse("k")))
		f.claim(device, 1, 10)
		assert.Empty(f, f.ack(device, ids[0]))
		assert.Equal(f, ids[:1], f.ack(device, ids[0]), "acknowledged before")
		f.put(message("k2", collapse("k")))
		assert.ElementsMatch(f, []store.ID{ids[3], 77}, f.ack(device, ids[1], ids[3], 77), "replaced, and never given out")
		assert.Equal(f, ids[2:3], f.ack(device, ids[2], ids[2]), "twice in one call")
		assert.Equal(f, []store.ID{78}, f.ack(another, 78), "a queue that is not there")
		assert.Empty(f, f.ack(device))
	}},
	{"ack ends an entry that nobody has claimed", func(f fixture) {
		ids := f.keep(message("a"), message("b"))
		assert.Empty(f, f.ack(device, ids[1]))
		assert.Equal(f, ids[1:], f.ack(device, ids...))
		assert.Empty(f, f.waiting(device))
	}},
	{"purge returns the IDs of what it forgot", func(f fixture) {
		ids := f.keep(message("a"), message("b", app("other")), message("c", high), message("d", collapse("k")))
		f.claim(device, 1, 1)
		f.ack(device, ids[0])
		assert.ElementsMatch(f, ids[2:], f.purge(device, "com.example.app"))
		assert.Empty(f, f.purge(device, "com.example.app"))
	}},
	{"purge returns the markers that it forgot", func(f fixture) {
		f.fill(100, away)
		marker := f.put(message("over", away))[0].ID
		assert.Equal(f, []store.ID{marker}, f.purge(device, "com.example.app"))
	}},
	{"an entry that is acknowledged and displaced at the same time ends once", func(f fixture) {
		const rounds = 150
		ended, kept, acked := map[store.ID]int{}, 0, make([][]store.ID, rounds)
		var g errgroup.Group
		g.Go(func() error {
			for range rounds {
				batch := make([]store.Entry, 8)
				for i := range batch {
					batch[i] = message(fmt.Sprint(i), limited(store.Limit{Messages: 10, CollapseKeys: 4, Overflow: store.Discard}))
				}
				batch[3].Collapse, batch[6].Collapse = "a", "b"
				outcomes, err := f.Put(context.Background(), batch, start)
				if err != nil {
					return err
				}
				for _, o := range outcomes {
					kept++
					for _, id := range o.Displaced {
						ended[id]++
					}
				}
			}
			return nil
		})
		g.Go(func() error {
			for round := range rounds {
				l := store.Lease(1 + round)
				for range 3 {
					entries, err := f.Claim(context.Background(), device, l, 5, start)
					if err != nil {
						return err
					}
					ids := idsOf(entries)
					missing, err := f.Ack(context.Background(), device, ids...)
					if err != nil {
						return err
					}
					for _, id := range ids {
						if !slices.Contains(missing, id) {
							acked[round] = append(acked[round], id)
						}
					}
				}
				if err := f.Release(context.Background(), device, l); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(f, g.Wait())
		for _, id := range slices.Concat(acked...) {
			ended[id]++
		}
		for id, n := range ended {
			assert.Equal(f, 1, n, "%s", id)
		}
		assert.Equal(f, kept, len(ended)+len(f.waiting(device)))
	}},
	{"what random calls return says what the queues hold", func(f fixture) {
		b := &books{fixture: f, r: rand.New(rand.NewPCG(uint64(f.seed()), 0)), now: start}
		for range 400 {
			b.step()
		}
		b.balance()
	}},
}

// seed returns a seed and logs it, so that a failure can be reproduced.
func (f fixture) seed() int64 {
	seed := time.Now().UnixNano()
	f.Logf("seed %d", seed)
	return seed
}

// books follows some queues by the results of a store's calls.
type books struct {
	fixture
	r   *rand.Rand
	now time.Time

	kept  int                  // entries that a Put has stored
	ended int                  // entries that a call reported as gone
	there [3]map[store.ID]bool // by queue: stored and not ended
}

func (b *books) key(i int) store.Key {
	return store.Key{Kind: store.KindDevice, ID: device.ID + uint64(i)}
}

func (b *books) step() {
	i := b.r.IntN(len(b.there))
	k, lease := b.key(i), store.Lease(1+i*3+b.r.IntN(3))
	switch n := b.r.IntN(100); {
	case n < 45:
		b.put()
	case n < 65:
		claimed := b.claimAt(b.now, k, lease, b.r.IntN(40))
		for _, e := range claimed {
			require.Contains(b, b.there[i], e.ID, "claimed, and not in the books")
		}
		if b.r.IntN(2) == 0 {
			b.acked(i, idsOf(claimed))
		}
	case n < 75: // some that may be claimed or not, and one that may never have existed
		var ids []store.ID
		for id := range b.there[i] {
			if len(ids) < 5 {
				ids = append(ids, id)
			}
		}
		if id := store.MakeID(store.RankNormal, uint64(1+b.r.IntN(1000))); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		b.acked(i, ids)
	case n < 85:
		b.release(k, lease)
	case n < 90:
		for _, e := range b.sweep(b.now, 50) {
			b.end(int(e.Key.ID-device.ID), e.ID)
		}
	case n < 92:
		for _, id := range b.purge(k, b.app()) {
			b.end(i, id)
		}
	default:
		b.now = b.now.Add(time.Duration(b.r.IntN(3000)) * time.Millisecond)
	}
}

func (b *books) app() string { return fmt.Sprint("app", b.r.IntN(2)) }

func (b *books) put() {
	batch, of := make([]store.Entry, 1+b.r.IntN(20)), make([]int, 20)
	for i := range batch {
		of[i] = b.r.IntN(len(b.there))
		e := message(fmt.Sprint(b.kept, " ", i), in(b.key(of[i])), app(b.app()))
		e.Rank = store.RankHigh + store.Rank(b.r.IntN(2))
		e.Accepted, e.Expires = b.now, b.now.Add(time.Duration(1+b.r.IntN(60_000))*time.Millisecond)
		if b.r.IntN(4) == 0 {
			e.Collapse = fmt.Sprint(b.r.IntN(7))
		}
		if b.r.IntN(4) == 0 {
			e.Dedup, e.DedupFor = fmt.Sprint(b.r.IntN(300)), time.Duration(1+b.r.IntN(20_000))*time.Millisecond
		}
		switch b.r.IntN(3) {
		case 0:
			e.Limit = store.Limit{Messages: 10, CollapseKeys: 4, Overflow: store.Discard}
		case 1:
			e.Limit = store.Limit{Messages: 100, CollapseKeys: 4}
		}
		batch[i] = e
	}
	for i, o := range b.putAt(b.now, batch...) {
		for _, id := range o.Displaced {
			b.end(of[i], id)
		}
		switch o.Result {
		case store.Refused, store.Duplicate:
			require.Zero(b, o.ID)
			require.Empty(b, o.Displaced)
			continue
		case store.Collapsed:
			require.Len(b, o.Displaced, 1)
		}
		if b.there[of[i]] == nil {
			b.there[of[i]] = map[store.ID]bool{}
		}
		require.NotContains(b, b.there[of[i]], o.ID)
		b.there[of[i]][o.ID] = true
		b.kept++
	}
}

func (b *books) acked(i int, ids []store.ID) {
	missing := b.ack(b.key(i), ids...)
	for _, id := range ids {
		if at := slices.Index(missing, id); at >= 0 {
			require.NotContains(b, b.there[i], id, "missing, and yet in the books")
			missing = slices.Delete(missing, at, at+1)
			continue
		}
		b.end(i, id)
	}
	require.Empty(b, missing, "missing, and never asked for")
}

func (b *books) end(i int, id store.ID) {
	b.Helper()
	require.Contains(b, b.there[i], id, "ended, and not in the books")
	delete(b.there[i], id)
	b.ended++
}

// balance compares the books with the queues.
func (b *books) balance() {
	waiting := 0
	for i := range b.there {
		for l := range store.Lease(9) {
			b.release(b.key(i), 1+l)
		}
		for id := range b.there[i] {
			has, err := b.Has(context.Background(), b.key(i), id)
			require.NoError(b, err)
			require.True(b, has, "in the books, and not in its queue")
		}
		for _, e := range b.claimAt(start, b.key(i), 100, 1<<20) {
			require.Contains(b, b.there[i], e.ID, "in its queue, and not in the books")
		}
		waiting += len(b.there[i])
	}
	assert.Equal(b, b.kept, b.ended+waiting)
}
