package diskstore_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

func sender(n int) store.Key { return store.Key{Kind: store.KindSender, ID: uint64(n)} }

// A caller with one message waits for the groups in progress, not for all queued work of the
// others.
func TestCallersTakeTurns(t *testing.T) {
	const calls, batch = 100, 500
	var closed atomic.Bool
	opened := make(chan struct{})
	open := sync.OnceFunc(func() { close(opened) })
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if closed.Load() && strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			<-opened
		}
		return nil
	}))
	s, err := diskstore.Open(t.TempDir(), diskstore.Options{}.WithFS(fs))
	require.NoError(t, err)
	defer s.Close()
	defer open()

	closed.Store(true)
	body := strings.Repeat("x", 200)
	var done atomic.Int64
	var g errgroup.Group
	for range calls {
		g.Go(func() error {
			entries := make([]store.Entry, batch)
			for i := range entries {
				entries[i] = entry(device(i), body)
			}
			_, err := s.Put(store.WithCaller(context.Background(), sender(1)), entries, start)
			done.Add(1)
			return err
		})
	}
	const underWay = 20 // calls that the committer may have taken while nothing is synced
	require.Eventually(t, func() bool { return s.Waiting() >= calls-underWay }, time.Minute, time.Millisecond)
	before := s.Waiting()
	var first int64
	g.Go(func() error {
		_, err := s.Put(store.WithCaller(context.Background(), sender(2)), []store.Entry{entry(device(1000), body)}, start)
		first = done.Load()
		return err
	})
	require.Eventually(t, func() bool { return s.Waiting() > before }, time.Minute, time.Millisecond)
	open()
	require.NoError(t, g.Wait())
	t.Logf("%d of %d calls were done before the one", first, calls)
	assert.Less(t, first, int64(calls/4))
}
