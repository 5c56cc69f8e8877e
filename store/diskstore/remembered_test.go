package diskstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// The test has more strings than the filter in memory can hold at first, while it is gathered and
// after. None is taken for new. It asks for only a few known strings of every batch, because each
// is a read from disk, which is slow with the race detector.
func TestEveryStringIsKnownHoweverManyThereAre(t *testing.T) {
	const strings, size, asked = 150_000, 1000, 20
	dir := t.TempDir()
	put := func(s *diskstore.Store, from, n int, want store.Result) {
		batch := make([]store.Entry, n)
		for i := range batch {
			batch[i] = entry(device(1), "")
			batch[i].Dedup, batch[i].DedupFor = fmt.Sprint(from+i*size/n), 48*time.Hour
		}
		outcomes, err := s.Put(t.Context(), batch, start)
		require.NoError(t, err)
		for i, o := range outcomes {
			require.Equal(t, want, o.Result, "string %s", batch[i].Dedup)
		}
	}
	for round := range 3 {
		s, err := diskstore.Open(dir, diskstore.Options{NoSync: true})
		require.NoError(t, err)
		for from := 0; from < strings; from += size {
			if round == 0 {
				put(s, from, size, store.Stored)
				put(s, from/2/size*size, asked, store.Duplicate)
			} else {
				put(s, from+round, asked, store.Duplicate)
			}
		}
		put(s, strings+round*size, size, store.Stored)
		require.NoError(t, s.Close())
	}
}
