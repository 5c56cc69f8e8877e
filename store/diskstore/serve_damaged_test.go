package diskstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// logged collects log lines about damage.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) log(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line := fmt.Sprintf(format, args...); strings.HasPrefix(line, "damaged file") {
		l.lines = append(l.lines, line)
	}
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.lines...)
}

// flip flips a bit in the middle of a file.
func flip(t *testing.T, path string, at float64) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[int(float64(len(b))*at)] ^= 1
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.Write(b)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// fillQueues puts incompressible messages into queues, and flushes them into a table.
func fillQueues(t *testing.T, dir string, queues int) {
	s, err := diskstore.Open(dir, diskstore.Options{NoSync: true})
	require.NoError(t, err)
	for q := range queues {
		_, err := s.Put(t.Context(), []store.Entry{entry(device(q), fmt.Sprintf("%x", []byte(noise(q))))}, start)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	open(t, dir).Close() // flushes the log
}

// noise returns a text of 1,000 bytes that differs from queue to queue.
func noise(q int) string {
	b := make([]byte, 500)
	x := uint32(q + 1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func tables(t *testing.T, dir string) []string {
	found, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	require.NoError(t, err)
	return found
}

// outcomes returns the queues that cannot be read and those that cannot be written.
func outcomes(t *testing.T, s *diskstore.Store, queues int) (unread, unwritten []int) {
	for q := range queues {
		_, err := s.Claim(t.Context(), device(q), 1, 10, start)
		if err != nil {
			unread = append(unread, q)
		}
	}
	for q := range queues {
		put, err := s.Put(t.Context(), []store.Entry{entry(device(q), "new"), entry(device(q+queues), "other")}, start)
		require.NoError(t, err)
		require.Equal(t, store.Stored, put[1].Result, "the others are served")
		if put[0].Result == store.Damaged {
			unwritten = append(unwritten, q)
		}
	}
	return unread, unwritten
}

func TestDamagedTable(t *testing.T) {
	const queues = 300
	const patience, tick = 10 * time.Second, time.Millisecond
	t.Run("it is refused at the start", func(t *testing.T) {
		dir := t.TempDir()
		fillQueues(t, dir, queues)
		name := tables(t, dir)[0]
		flip(t, name, 0.5)
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, filepath.Base(name))
		require.ErrorContains(t, err, "queues d:")
	})
	t.Run("with ServeDamaged the other queues are served", func(t *testing.T) {
		dir := t.TempDir()
		fillQueues(t, dir, queues)
		name := tables(t, dir)[0]
		flip(t, name, 0.5)
		var l logged
		s, err := diskstore.Open(dir, diskstore.Options{ServeDamaged: true, Logger: l.log})
		require.NoError(t, err)
		unread, unwritten := outcomes(t, s, queues)
		assert.NotEmpty(t, unread)
		assert.Less(t, len(unread), 20)
		assert.Subset(t, unwritten, unread)
		assert.Less(t, len(unwritten), 20)
		require.NoError(t, s.Close())
		lines := l.all()
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], filepath.Base(name))
	})
	t.Run("damage that is found later fails its queues, in reads and compactions", func(t *testing.T) {
		dir := t.TempDir()
		fillQueues(t, dir, queues)
		var l logged
		s, err := diskstore.Open(dir, diskstore.Options{Logger: l.log, MemTableBytes: 256 << 10, CacheBytes: 1, NoSync: true})
		require.NoError(t, err)
		name := tables(t, dir)[0]
		flip(t, name, 0.5)
		unread, _ := outcomes(t, s, queues)
		assert.NotEmpty(t, unread)
		require.Eventually(t, func() bool { return len(l.all()) > 0 }, patience, tick)
		_, unwritten := outcomes(t, s, queues)
		assert.Subset(t, unwritten, unread)
		assert.Less(t, len(unwritten), 20)
		// Compactions that meet the damage fail, and then avoid it.
		body := strings.Repeat("x", 4000)
		for n := range 2000 {
			_, err := s.Put(t.Context(), []store.Entry{entry(device(n%queues), body)}, start)
			require.NoError(t, err)
		}
		assert.Less(t, s.FailedCompactions(), int64(10))
		assert.Len(t, l.all(), 1, "damage is reported once")
		require.NoError(t, s.Close())
		_, err = diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, filepath.Base(name))
	})
	t.Run("where the engine cannot go on, the store ends in order and the next start names the file", func(t *testing.T) {
		dir := t.TempDir()
		t.Cleanup(func() { // an engine that cannot go on may still write files
			assert.Eventually(t, func() bool { return os.RemoveAll(dir) == nil }, patience, tick)
		})
		fillQueues(t, dir, queues)
		name := tables(t, dir)[0]
		flip(t, name, 0.5)
		s, err := diskstore.Open(dir, diskstore.Options{ServeDamaged: true, MemTableBytes: 256 << 10, NoSync: true})
		require.NoError(t, err)
		var failed error
		for n := 0; n < 10_000 && failed == nil; n++ {
			_, failed = s.Put(t.Context(), []store.Entry{entry(device(n%queues), noise(n)+noise(n+1)+noise(n+2)+noise(n+3))}, start)
		}
		require.ErrorContains(t, failed, filepath.Base(name))
		assert.Less(t, s.FailedCompactions(), int64(10))
		require.Error(t, s.Close())
	})
}
