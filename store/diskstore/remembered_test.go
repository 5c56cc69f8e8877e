package diskstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"openccs/store"
	"openccs/store/diskstore"
)

// More strings than the filter in memory begins with, while it is gathered and after: none is taken for new.
func TestEveryStringIsKnownHoweverManyThereAre(t *testing.T) {
	const strings, size = 150_000, 1000
	dir := t.TempDir()
	put := func(s *diskstore.Store, from int, want store.Result) {
		batch := make([]store.Entry, size)
		for i := range batch {
			batch[i] = entry(device(1), "")
			batch[i].Dedup, batch[i].DedupFor = fmt.Sprint(from+i), 48*time.Hour
		}
		outcomes, err := s.Put(t.Context(), batch, start)
		require.NoError(t, err)
		for i, o := range outcomes {
			require.Equal(t, want, o.Result, "string %d", from+i)
		}
	}
	for round := range 3 {
		s, err := diskstore.Open(dir, diskstore.Options{NoSync: true})
		require.NoError(t, err)
		for from := 0; from < strings; from += size {
			if round == 0 {
				put(s, from, store.Stored)
				put(s, from/2/size*size, store.Duplicate)
			} else {
				put(s, from, store.Duplicate)
			}
		}
		put(s, strings+round*size, store.Stored)
		require.NoError(t, s.Close())
	}
}
