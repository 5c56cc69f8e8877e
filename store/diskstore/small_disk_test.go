package diskstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/diskstore/disktest"
)

// A store on a small disk keeps no old logs that fill it. Messages that come and go need no space
// for long.
func TestASmallDiskHasRoomForTheLogs(t *testing.T) {
	t.Parallel()
	const (
		rounds, batch = 600, 100
		body          = 4 << 10
	)
	disk := disktest.New(200 << 20)
	s, err := diskstore.Open(t.TempDir(), diskstore.Options{Logger: t.Logf}.
		WithFS(disk).Hurried(patience, 10*time.Millisecond, 5*time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	text := strings.Repeat("x", body)
	entries := make([]store.Entry, batch)
	for i := range rounds {
		for j := range entries {
			entries[j] = entry(device(1), fmt.Sprint(i, " ", j, text))
		}
		_, err := s.Put(t.Context(), entries, start)
		require.NoError(t, err, "round %d: %v", i, s.Health())
		got, err := s.Claim(t.Context(), device(1), 1, batch, start)
		require.NoError(t, err)
		ids := make([]store.ID, len(got))
		for j, e := range got {
			ids[j] = e.ID
		}
		_, err = s.Ack(t.Context(), device(1), ids...)
		require.NoError(t, err)
	}
	usage, err := disk.GetDiskUsage("")
	require.NoError(t, err)
	assert.Less(t, usage.UsedBytes>>20, usage.TotalBytes>>20/2, "MiB")
	require.NoError(t, s.Health())
}
