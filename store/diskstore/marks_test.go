package diskstore_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// TestMarksOfQueueLikeMap makes the same random changes to the marks of a queue and to a map.
func TestMarksOfQueueLikeMap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		var ms diskstore.Marks
		want := map[store.ID]store.Lease{}
		next := uint64(0)
		some := func() store.ID { return store.MakeID(store.Rank(r.IntN(4)), uint64(r.IntN(int(next)+2))) }
		for range 3000 {
			switch n := r.IntN(10); {
			case n < 4: // as a claim does
				next++
				id, l := store.MakeID(store.Rank(r.IntN(3)), next), store.Lease(1+r.IntN(3))
				ms.Set(id, l)
				want[id] = l
			case n < 5:
				id, l := store.MakeID(store.Rank(r.IntN(3)), uint64(r.IntN(int(next)+1))), store.Lease(1+r.IntN(3))
				ms.Set(id, l)
				want[id] = l
			case n < 9 && len(want) > 0: // as an acknowledgement does, most of the time in order
				id := some()
				if r.IntN(3) > 0 {
					id = slices.Min(keysOf(want))
				}
				ms.Remove(id)
				delete(want, id)
			case r.IntN(50) == 0:
				gone := store.Lease(1 + r.IntN(3))
				ms.RemoveLease(gone)
				for id, l := range want {
					if l == gone {
						delete(want, id)
					}
				}
			}
			id := some()
			l, ok := ms.Lease(id)
			wantLease, wantOK := want[id]
			require.Equal(t, wantOK, ok)
			require.Equal(t, wantLease, l)
			require.Equal(t, len(want) == 0, ms.Empty())
		}
		all := keysOf(want)
		slices.Sort(all)
		require.Equal(t, all, ms.All())
	}
}

// A mark that stays at the front does not keep the memory of marks that were removed after it.
func TestMarksOfQueueAreBounded(t *testing.T) {
	t.Parallel()
	var ms diskstore.Marks
	ms.Set(store.MakeID(store.RankNormal, 1), 1)
	for seq := range uint64(100_000) {
		id := store.MakeID(store.RankNormal, 2+seq)
		ms.Set(id, 1)
		ms.Remove(id)
	}
	require.Less(t, ms.Cap(), 200)
	ms.Remove(store.MakeID(store.RankNormal, 1))
	require.True(t, ms.Empty())
}

func keysOf(m map[store.ID]store.Lease) (all []store.ID) {
	for id := range m {
		all = append(all, id)
	}
	return all
}
