package diskstore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// The newest marks survive a restart, within a bound.
func TestMarksAreBounded(t *testing.T) {
	const each = 10_000
	dir := t.TempDir()
	s := open(t, dir)
	batch := make([]store.Entry, each)
	n := uint64(0)
	for range 3*store.MaxRepeats/each + 1 {
		for i := range batch {
			batch[i] = entry(device(1+i%100), "m")
			batch[i].Collapse = fmt.Sprint(i / 100)
			n++
			binary.BigEndian.PutUint64(batch[i].Mark[:], n)
		}
		_, err := s.Put(context.Background(), batch, start)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	s = open(t, dir)
	marks, err := s.Remembered(context.Background(), start)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(marks), store.MaxRepeats)
	require.LessOrEqual(t, len(marks), 2*store.MaxRepeats)
	for i, m := range marks {
		require.Equal(t, n-uint64(len(marks)-1-i), binary.BigEndian.Uint64(m[:]))
	}
}
