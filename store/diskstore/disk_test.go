package diskstore_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/diskstore/disktest"
)

const (
	diskSize = 1 << 30
	patience = 300 * time.Millisecond
	soon     = 30 * time.Second // bounds each wait of a test, also on a busy machine
)

// openOn opens a store that does not wait for long on a disk that can be filled and broken.
func openOn(t *testing.T, dir string, disk *disktest.Disk) *diskstore.Store {
	t.Helper()
	s, err := diskstore.Open(dir, diskstore.Options{MemTableBytes: 256 << 10, Logger: t.Logf}.
		WithFS(disk).Hurried(patience, 10*time.Millisecond, 5*time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// healthy waits until the store is healthy, or until it is not.
func healthy(t *testing.T, s *diskstore.Store, want bool) {
	t.Helper()
	require.Eventually(t, func() bool { return (s.Health() == nil) == want }, soon, time.Millisecond, "health: %v", s.Health())
}

func TestADiskThatIsNearlyFull(t *testing.T) {
	t.Parallel()
	disk := disktest.New(diskSize)
	s := openOn(t, t.TempDir(), disk)
	require.NoError(t, s.Health())
	batch := []store.Entry{entry(device(1), "a"), entry(device(1), "b")}
	batch[1].Expires = start.Add(time.Second)
	_, err := s.Put(t.Context(), batch, start)
	require.NoError(t, err)

	disk.SetFree(63 << 20)
	healthy(t, s, false)
	require.ErrorContains(t, s.Health(), "is full but for 63 MiB")
	_, err = s.Put(t.Context(), batch[:1], start)
	require.ErrorIs(t, err, store.ErrUnavailable)
	_, err = s.Register(t.Context(), store.Registration{Token: "t", Device: 1, App: "a", Senders: []string{"1"}}, start)
	require.ErrorIs(t, err, store.ErrUnavailable)

	// Calls that free space go on, and so do their receipts.
	_, err = s.Put(t.Context(), []store.Entry{entry(store.Key{Kind: store.KindReceipts, ID: 1}, "receipt")}, start)
	require.NoError(t, err)
	got, err := s.Claim(t.Context(), device(1), 1, 1, start)
	require.NoError(t, err)
	require.Len(t, got, 1)
	_, err = s.Ack(t.Context(), device(1), got[0].ID)
	require.NoError(t, err)
	expired, _, err := s.Expire(t.Context(), start.Add(time.Minute), 100)
	require.NoError(t, err)
	require.Len(t, expired, 1)

	disk.SetFree(79 << 20)
	time.Sleep(50 * time.Millisecond) // some looks at the disk
	require.Error(t, s.Health(), "between the two marks nothing changes")
	disk.SetFree(80 << 20)
	healthy(t, s, true)
	_, err = s.Put(t.Context(), batch[:1], start)
	require.NoError(t, err)
}

// traffic puts messages from several goroutines until it is stopped. It claims and acknowledges
// some of them, and records the promises of the store.
type traffic struct {
	t       *testing.T
	s       *diskstore.Store
	stop    atomic.Bool
	group   errgroup.Group
	refused atomic.Int64

	mu    sync.Mutex
	kept  map[string]store.ID // promised, by body
	held  map[string]bool     // claimed and not acknowledged
	acked map[string]bool     // Ack returned no error
	maybe map[string]bool     // Ack failed
}

const trafficQueues = 4

func startTraffic(t *testing.T, s *diskstore.Store) *traffic {
	f := &traffic{t: t, s: s, kept: map[string]store.ID{}, held: map[string]bool{}, acked: map[string]bool{}, maybe: map[string]bool{}}
	for q := range trafficQueues {
		f.group.Go(func() error { return f.run(device(q)) })
	}
	return f
}

func (f *traffic) run(k store.Key) error {
	for n := 0; !f.stop.Load(); n++ {
		batch := make([]store.Entry, 1+n%8)
		for i := range batch {
			batch[i] = entry(k, fmt.Sprintf("%s.%d.%d.%s", k, n, i, strings.Repeat("x", 1000)))
		}
		begun := time.Now()
		outcomes, err := f.s.Put(f.t.Context(), batch, start)
		if took := time.Since(begun); took > soon {
			return fmt.Errorf("a put took %s: %w", took, err)
		}
		if err != nil {
			if !errors.Is(err, store.ErrUnavailable) {
				return err
			}
			f.refused.Add(1)
			time.Sleep(time.Millisecond)
			continue
		}
		f.mu.Lock()
		for i, o := range outcomes {
			f.kept[string(batch[i].Body)] = o.ID
		}
		f.mu.Unlock()
		if n%4 != 0 {
			continue
		}
		got, err := f.s.Claim(f.t.Context(), k, 1, 4, start)
		if err != nil {
			if !errors.Is(err, store.ErrUnavailable) {
				return err
			}
			continue
		}
		for i, e := range got {
			body := string(e.Body)
			f.mu.Lock()
			again := f.held[body] || f.acked[body] || f.maybe[body]
			f.held[body] = true
			f.mu.Unlock()
			if again {
				return fmt.Errorf("%.20s was handed out twice", body)
			}
			if i%2 == 0 {
				continue // held until the end
			}
			err := f.ack(k, e.ID, n%8 == 0)
			if err != nil && !errors.Is(err, store.ErrUnavailable) {
				return err
			}
			f.mu.Lock()
			delete(f.held, body)
			f.acked[body], f.maybe[body] = err == nil, err != nil
			f.mu.Unlock()
		}
	}
	return nil
}

// ack acknowledges an entry, asynchronously if the store can and it is wanted.
func (f *traffic) ack(k store.Key, id store.ID, async bool) error {
	done := make(chan error, 1)
	if async && f.s.AckAsync(k, []store.ID{id}, func(_ []store.ID, err error) { done <- err }) {
		select {
		case err := <-done:
			return err
		case <-time.After(soon):
			return errors.New("an asynchronous acknowledgement does not end")
		}
	}
	_, err := f.s.Ack(f.t.Context(), k, id)
	return err
}

// promised returns how many messages the store has promised to keep.
func (f *traffic) promised() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept)
}

// grow waits until more messages were stored.
func (f *traffic) grow() {
	f.t.Helper()
	n := f.promised()
	require.Eventually(f.t, func() bool { return f.promised() > n+100 }, soon, time.Millisecond, "the store goes on")
}

// end stops the traffic, and checks the promises of the store: with the current leases, and with
// those after a restart.
func (f *traffic) end(reopen func() *diskstore.Store) {
	f.t.Helper()
	f.stop.Store(true)
	require.NoError(f.t, f.group.Wait())
	found := f.read(f.s, 1)
	for body := range f.kept {
		switch {
		case f.held[body], f.acked[body], f.maybe[body]:
			require.False(f.t, found[body], "%.20s was handed out before", body)
		default:
			require.True(f.t, found[body], "%.20s was promised and is gone", body)
		}
	}
	require.NoError(f.t, f.s.Close())
	found = f.read(reopen(), 2)
	for body := range f.kept {
		switch {
		case f.acked[body]:
			require.False(f.t, found[body], "%.20s was acknowledged", body)
		case !f.maybe[body]:
			require.True(f.t, found[body], "%.20s was promised and is gone", body)
		}
	}
}

func (f *traffic) read(s *diskstore.Store, l store.Lease) map[string]bool {
	f.t.Helper()
	found := map[string]bool{}
	for q := range trafficQueues {
		entries, err := s.Claim(f.t.Context(), device(q), l, 1<<30, start)
		require.NoError(f.t, err)
		for _, e := range entries {
			require.False(f.t, found[string(e.Body)], "%.20s is there twice", e.Body)
			found[string(e.Body)] = true
		}
	}
	return found
}

func TestADiskThatIsFullForAMoment(t *testing.T) {
	t.Parallel()
	dir, disk := t.TempDir(), disktest.New(diskSize)
	s := openOn(t, dir, disk)
	f := startTraffic(t, s)
	f.grow()
	disk.SetFree(0)
	healthy(t, s, false)
	time.Sleep(patience / 2)
	disk.SetFree(diskSize)
	healthy(t, s, true)
	f.grow()
	f.end(func() *diskstore.Store { return open(t, dir) })
}

func TestADiskThatIsFullForLong(t *testing.T) {
	t.Parallel()
	dir, disk := t.TempDir(), disktest.New(diskSize)
	s := openOn(t, dir, disk)
	f := startTraffic(t, s)
	f.grow()
	disk.SetFree(0)
	healthy(t, s, false)
	time.Sleep(3 * patience)
	refused := f.refused.Load()
	begun := time.Now()
	_, err := s.Put(t.Context(), []store.Entry{entry(device(9), "refused")}, start)
	require.ErrorIs(t, err, store.ErrUnavailable)
	assert.Less(t, time.Since(begun), patience, "new calls are answered at once")
	_, err = s.Claim(t.Context(), device(8), 1, 10, start)
	require.NoError(t, err, "reads go on")
	require.Greater(t, refused, int64(0))
	disk.SetFree(diskSize)
	healthy(t, s, true)
	f.grow()
	f.end(func() *diskstore.Store { return open(t, dir) })
}

// A write or sync that fails is not trusted, and neither is earlier data that was not synced. The
// database is opened again and read back.
func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	on := func(op disktest.Op, suffix string) func(disktest.Op, string) bool {
		return func(o disktest.Op, name string) bool { return o == op && strings.HasSuffix(name, suffix) }
	}
	manifest := func(op disktest.Op) func(disktest.Op, string) bool {
		return func(o disktest.Op, name string) bool { return o == op && strings.HasPrefix(name, "MANIFEST") }
	}
	for _, row := range []struct {
		name string
		op   func(op disktest.Op, name string) bool
		err  error
	}{
		{"writing the log", on(disktest.Write, ".log"), syscall.EIO},
		{"syncing the log", on(disktest.Sync, ".log"), syscall.EIO},
		{"syncing the log, for want of space", on(disktest.Sync, ".log"), syscall.ENOSPC},
		{"writing a log that may not be larger", on(disktest.Write, ".log"), syscall.EFBIG},
		{"making a log", on(disktest.Create, ".log"), syscall.EIO},
		{"making a log, for want of descriptors", on(disktest.Create, ".log"), syscall.EMFILE},
		{"writing a table", on(disktest.Write, ".sst"), syscall.EIO},
		{"syncing a table", on(disktest.Sync, ".sst"), syscall.EIO},
		{"making a table", on(disktest.Create, ".sst"), syscall.EIO},
		{"writing the manifest", manifest(disktest.Write), syscall.EIO},
		{"syncing the manifest", manifest(disktest.Sync), syscall.EIO},
		{"everything", func(disktest.Op, string) bool { return true }, syscall.EIO},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir, disk := t.TempDir(), disktest.New(diskSize)
			s := openOn(t, dir, disk)
			f := startTraffic(t, s)
			for range 2 {
				f.grow()
				disk.Break(func(op disktest.Op, name string) error {
					if row.op(op, name) {
						return row.err
					}
					return nil
				})
				healthy(t, s, false)
				disk.Break(nil)
				healthy(t, s, true)
			}
			f.grow()
			f.end(func() *diskstore.Store { return open(t, dir) })
		})
	}
}

func TestADiskThatHangs(t *testing.T) {
	t.Parallel()
	disk := disktest.New(diskSize)
	s := openOn(t, t.TempDir(), disk)
	hung := make(chan struct{})
	disk.Break(func(disktest.Op, string) error { <-hung; return nil })
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), []store.Entry{entry(device(1), "slow")}, start)
		done <- err
	}()
	healthy(t, s, false)
	_, err := s.Put(t.Context(), []store.Entry{entry(device(1), "refused")}, start)
	require.ErrorIs(t, err, store.ErrUnavailable)
	close(hung)
	require.NoError(t, <-done)
	healthy(t, s, true)
}

func TestAnEngineThatCannotGoOn(t *testing.T) {
	t.Parallel()
	dir, disk := t.TempDir(), disktest.New(diskSize)
	s := openOn(t, dir, disk)
	_, err := s.Put(t.Context(), []store.Entry{entry(device(1), "kept")}, start)
	require.NoError(t, err)
	hung, reached := make(chan struct{}), make(chan struct{}, 100)
	defer close(hung)
	disk.Break(func(disktest.Op, string) error { reached <- struct{}{}; <-hung; return nil })
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			_, err := s.Put(t.Context(), []store.Entry{entry(device(1), "lost")}, start)
			return err
		})
	}
	<-reached
	go s.Fatal("the engine's reason")
	<-s.Broken()
	require.ErrorIs(t, g.Wait(), store.ErrUnavailable, "calls under way end")
	require.ErrorContains(t, s.Health(), "the engine's reason")
	require.ErrorContains(t, s.Health(), "must be started again")
	_, err = s.Claim(t.Context(), device(1), 1, 10, start)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorContains(t, s.Close(), "the engine's reason")
	_, err = s.Claim(t.Context(), device(1), 1, 10, start)
	require.ErrorIs(t, err, store.ErrClosed)
}

func TestAStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		free int64
	}{{"nothing is free", 0}, {"the first write finds some space, the next none", 40}} {
		t.Run(row.name, func(t *testing.T) {
			dir, disk := t.TempDir(), disktest.New(diskSize)
			s := openOn(t, dir, disk)
			_, err := s.Put(t.Context(), []store.Entry{entry(device(1), "kept")}, start)
			require.NoError(t, err)
			require.NoError(t, s.Close())
			disk.SetFree(row.free)
			_, err = diskstore.Open(dir, diskstore.Options{}.WithFS(disk).Hurried(patience, 10*time.Millisecond, 5*time.Second))
			require.ErrorContains(t, err, "the disk is full")
			require.ErrorContains(t, err, "free some space and start again")
			disk.SetFree(diskSize)
			copied := t.TempDir() // an abandoned engine keeps the lock until the process ends
			require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
			got, err := openOn(t, copied, disk).Claim(t.Context(), device(1), 1, 10, start)
			require.NoError(t, err)
			require.Len(t, got, 1)
		})
	}
}
