package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// largeStore makes a store whose copy takes a while.
func largeStore(t *testing.T, dir string) (messages int) {
	t.Helper()
	s, err := diskstore.Open(filepath.Join(dir, "store"), diskstore.Options{NoSync: true})
	require.NoError(t, err)
	batch := make([]store.Entry, 1000)
	for ; messages < 20_000; messages += len(batch) {
		for i := range batch {
			batch[i] = store.Entry{
				Key: store.Key{Kind: store.KindDevice, ID: uint64(messages/10 + i)}, Rank: store.RankNormal, App: "app",
				Accepted: time.Now(), Expires: time.Now().Add(time.Hour), Body: make([]byte, 500),
			}
		}
		_, err := s.Put(t.Context(), batch, time.Now())
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	return messages
}

// size returns how many bytes the files of a directory have.
func size(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil { // otherwise it is gone already
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}

func TestAnInterruptedCopyGoesOn(t *testing.T) {
	old := filepath.Join(t.TempDir(), "old")
	messages := largeStore(t, old)
	checkpoint := filepath.Join(old, "store.copy.json")
	begun := func(to string) {
		require.Eventually(t, func() bool { return size(to) > 1<<20 }, patience, time.Millisecond)
	}
	finish := func(t *testing.T, to string) {
		t.Helper()
		r := copyStore(t, old, to)
		assert.True(t, r.Resumed)
		assert.True(t, r.Verified, "a copy that was resumed is always verified")
		assert.Equal(t, messages, r.Messages)
		assert.NoFileExists(t, checkpoint)
	}
	t.Run("after Ctrl-C", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "new")
		cmd := program(t, "store", "copy", "--from", old, "--to", to)
		begun(to)
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &exit)
		assert.Equal(t, exitFailed, exit.ExitCode())
		assert.Contains(t, cmd.Stderr.(*lines).String(), "run the same command again to go on")
		got := ccs(t, "store", "copy", "--from", old, "--to", filepath.Join(t.TempDir(), "elsewhere"))
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "belongs to a copy between other stores")
		finish(t, to)
	})
	t.Run("after kill -9", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "new")
		cmd := program(t, "store", "copy", "--from", old, "--to", to)
		begun(to)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		finish(t, to)
	})
	t.Run("and begins anew when what it had copied is gone", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "new")
		cmd := program(t, "store", "copy", "--from", old, "--to", to)
		begun(to)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.NoError(t, os.RemoveAll(to))
		r := copyStore(t, old, to)
		assert.False(t, r.Resumed)
		assert.Equal(t, messages, r.Messages)
	})
	t.Run("and fails when both stores came to differ", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "new")
		cmd := program(t, "store", "copy", "--from", old, "--to", to)
		begun(to)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Equal(t, exitDone, ccs(t, "project", "create", "--data", to).code)
		got := ccs(t, "store", "copy", "--from", old, "--to", to)
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "the stores differ")
		assert.Contains(t, got.stderr, "--to:   projects 1,")
		assert.NoFileExists(t, checkpoint)
	})
	t.Run("after kill -9, into Redis", func(t *testing.T) {
		redis := redistest.Single(t)
		cmd := program(t, "store", "copy", "--from", old, "--to", redis.URL("r:"))
		require.Eventually(t, func() bool { return redis.Do("DBSIZE").(int64) > 1000 }, patience, time.Millisecond)
		redis.Pause()
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		redis.Resume()
		finish(t, redis.URL("r:"))
	})
}

// The target of a copy must be empty. One with several pages, of every kind of data, is left as it
// is.
func TestACopyIntoARedisThatHoldsDataIsRefused(t *testing.T) {
	there, other := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "other")
	s, err := diskstore.Open(filepath.Join(there, "store"), diskstore.Options{NoSync: true})
	require.NoError(t, err)
	batch := make([]store.Entry, 3*store.PageSize)
	for i := range batch {
		batch[i] = store.Entry{
			Key: store.Key{Kind: store.KindSender, ID: uint64(1 + i%100)}, Rank: store.RankNormal, App: "app", Body: make([]byte, 10),
			Accepted: time.Now(), Expires: time.Now().Add(time.Hour), Dedup: strconv.Itoa(i), DedupFor: time.Hour,
		}
	}
	outcomes, err := s.Put(t.Context(), batch, time.Now())
	require.NoError(t, err)
	left := 0
	for i, o := range outcomes {
		if i%19 == 0 {
			left++
			continue
		}
		_, err := s.Ack(t.Context(), batch[i].Key, o.ID) // its remembered string stays
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	to := redistest.Single(t).URL("r:")
	before := copyStore(t, there, to)
	require.Equal(t, left, before.Messages)
	require.Equal(t, len(batch), before.Remembered)

	require.Equal(t, exitDone, ccs(t, "project", "create", "--data", other).code)
	got := ccs(t, "store", "copy", "--from", other, "--to", to)
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "copy into an empty store")
	assert.Equal(t, before.counts, copyStore(t, there, to).counts, "it has all of it already")
}
