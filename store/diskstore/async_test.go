package diskstore_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// Asynchronous acknowledgements cause no sync while other work does: they end with the sync of the
// next Put. They also end without other work, and when the store is closed.
func TestAsynchronousAcksShareASync(t *testing.T) {
	t.Parallel()
	var syncs atomic.Int64
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	var held atomic.Bool
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			syncs.Add(1)
			if held.Load() {
				<-hold
			}
		}
		return nil
	}))
	dir := t.TempDir()
	s, err := diskstore.Open(dir, diskstore.Options{}.WithFS(fs))
	require.NoError(t, err)
	defer s.Close()
	const acks = 300
	batch := make([]store.Entry, 2*acks)
	for i := range batch {
		batch[i] = entry(device(1), "x")
	}
	_, err = s.Put(t.Context(), batch, start)
	require.NoError(t, err)
	got, err := s.Claim(t.Context(), device(1), 1, acks, start)
	require.NoError(t, err)
	require.Len(t, got, acks)

	before := syncs.Load()
	done := make(chan error, acks)
	for _, e := range got {
		require.True(t, s.AckAsync(device(1), []store.ID{e.ID}, func(_ []store.ID, err error) { done <- err }))
	}
	for range acks {
		require.NoError(t, <-done)
	}
	assert.Less(t, syncs.Load()-before, int64(acks/2))

	// None is done before its sync.
	got, err = s.Claim(t.Context(), device(1), 1, acks, start)
	require.NoError(t, err)
	held.Store(true)
	at := syncs.Load()
	require.True(t, s.AckAsync(device(1), []store.ID{got[0].ID}, func(_ []store.ID, err error) { done <- err }))
	require.Eventually(t, func() bool { return syncs.Load() > at }, soon, time.Millisecond)
	assert.Empty(t, done)
	held.Store(false)
	release()
	require.NoError(t, <-done)

	for _, e := range got[1:] {
		require.True(t, s.AckAsync(device(1), []store.ID{e.ID}, func(_ []store.ID, err error) { done <- err }))
	}
	require.NoError(t, s.Close())
	for range got[1:] {
		require.NoError(t, <-done)
	}
	assert.False(t, s.AckAsync(device(1), []store.ID{got[0].ID}, func([]store.ID, error) { t.Error("it is closed") }))
}
