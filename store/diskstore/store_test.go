package diskstore_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/storetest"
)

func open(t testing.TB, dir string) *diskstore.Store {
	t.Helper()
	s, err := diskstore.Open(dir, diskstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // closed already by some tests
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func TestStoreThatRemembersLittle(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := diskstore.Open(t.TempDir(), diskstore.Options{
			CacheBytes: 1, MemTableBytes: 1 << 20, Registrations: 1, SummaryBytes: 1,
		})
		require.NoError(t, err)
		return s
	})
}

func TestStoreThatDoesNotSync(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := diskstore.Open(t.TempDir(), diskstore.Options{NoSync: true})
		require.NoError(t, err)
		return s
	})
}

func TestReopen(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store { return open(t, dir) })
}

// The tests use these times.
var start = time.UnixMilli(1_400_000_000_000).UTC()

func device(n int) store.Key { return store.Key{Kind: store.KindDevice, ID: uint64(n)} }

func entry(k store.Key, body string) store.Entry {
	return store.Entry{
		Key: k, Rank: store.RankNormal, App: "com.example.app", Accepted: start,
		Expires: start.Add(28 * 24 * time.Hour), Body: []byte(body),
	}
}

func TestDirectory(t *testing.T) {
	t.Run("a directory that is not there is made, for its owner alone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		open(t, dir)
		info, err := os.Stat(dir)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	})
	t.Run("a directory is opened once at a time, by whatever name", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir)
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(dir, link))
		wd, err := os.Getwd()
		require.NoError(t, err)
		relative, err := filepath.Rel(wd, dir)
		require.NoError(t, err)
		for _, name := range []string{dir, dir + "/", link, relative} {
			_, err := diskstore.Open(name, diskstore.Options{})
			require.ErrorIs(t, err, store.ErrLocked, name)
			assert.ErrorContains(t, err, "its own directory")
		}
	})
	t.Run("a closed store frees its directory", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, open(t, dir).Close())
		open(t, dir)
	})
	t.Run("a directory with other files is refused and left as it is", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "photo.jpg"), []byte("x"), 0o600))
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "photo.jpg is not part of a store; give an empty directory")
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, names, 1)
	})
	t.Run("a directory that cannot be made is an error that says what to do", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		_, err := diskstore.Open(filepath.Join(file, "dir"), diskstore.Options{})
		require.ErrorContains(t, err, "choose a directory that the server may write to")
	})
	t.Run("another program's database is refused", func(t *testing.T) {
		dir := t.TempDir()
		db := engine(t, dir, pebble.DefaultComparer)
		require.NoError(t, db.Set([]byte("their key"), []byte("x"), pebble.Sync))
		require.NoError(t, db.Close())
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "another program's data")
		_, err = diskstore.Open(dir, diskstore.Options{})
		require.NotErrorIs(t, err, store.ErrLocked, "a refusal must free the directory")
	})
	t.Run("a database without a format is refused unless it is empty", func(t *testing.T) {
		dir := t.TempDir()
		db := engine(t, dir, diskstore.Comparer)
		require.NoError(t, db.Set([]byte("their key"), []byte("x"), pebble.Sync))
		require.NoError(t, db.Close())
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "another program's data")
		db = engine(t, dir, diskstore.Comparer)
		require.NoError(t, db.Delete([]byte("their key"), pebble.Sync))
		require.NoError(t, db.Close())
		open(t, dir)
	})
	t.Run("a newer format is refused", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, open(t, dir).Close())
		db := engine(t, dir, diskstore.Comparer)
		require.NoError(t, db.Set([]byte("mf"), []byte{0, 0, 0, 0, 0, 0, 0, 99}, pebble.Sync))
		require.NoError(t, db.Close())
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "its format is 99")
	})
	t.Run("a newer engine's directory is refused", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, open(t, dir).Close())
		markers, err := filepath.Glob(filepath.Join(dir, "marker.format-version.*"))
		require.NoError(t, err)
		require.NotEmpty(t, markers)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "marker.format-version.999999.999"), nil, 0o600))
		_, err = diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "written by a newer ccs")
	})
}

// engine opens a directory without the store.
func engine(t *testing.T, dir string, order *pebble.Comparer) *pebble.DB {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{
		FormatMajorVersion: pebble.FormatTableFormatV6, Logger: quiet{t}, Comparer: order,
	})
	require.NoError(t, err)
	return db
}

type quiet struct{ t *testing.T }

func (quiet) Infof(string, ...any)                {}
func (quiet) Errorf(string, ...any)               {}
func (q quiet) Fatalf(format string, args ...any) { q.t.Fatalf(format, args...) }

func TestTornDirectory(t *testing.T) {
	// fill makes a directory with tables and a log, as a crash would leave it.
	fill := func(t *testing.T) string {
		dir, copied := t.TempDir(), ""
		for range 2 { // opening writes the first half into a table; the second stays in the log
			s := open(t, dir)
			for i := range 300 {
				_, err := s.Put(t.Context(), []store.Entry{entry(device(i%10), "a"), entry(device(i%10), "b")}, start)
				require.NoError(t, err)
			}
			copied = t.TempDir()
			require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
			require.NoError(t, s.Close())
		}
		return copied
	}
	count := func(t *testing.T, s *diskstore.Store) (n int) {
		for i := range 10 {
			entries, err := s.Claim(t.Context(), device(i), 1, 1000, start)
			require.NoError(t, err)
			n += len(entries)
		}
		return n
	}
	newest := func(t *testing.T, dir, pattern string) string {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, names)
		return names[len(names)-1]
	}
	t.Run("a copy taken while the store runs has everything", func(t *testing.T) {
		assert.Equal(t, 1200, count(t, open(t, fill(t))))
	})
	t.Run("a log whose end is missing costs the end", func(t *testing.T) {
		dir := fill(t)
		log := newest(t, dir, "*.log")
		info, err := os.Stat(log)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(log, info.Size()/2))
		s := open(t, dir)
		n := count(t, s)
		assert.Less(t, n, 1200)
		assert.Zero(t, n%2, "a batch is there or is not")
	})
	t.Run("a missing table is an error that says what to do", func(t *testing.T) {
		dir := fill(t)
		require.NoError(t, os.Remove(newest(t, dir, "*.sst")))
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "restore a copy")
	})
	t.Run("a broken manifest is an error that says what to do", func(t *testing.T) {
		dir := fill(t)
		require.NoError(t, os.WriteFile(newest(t, dir, "MANIFEST-*"), []byte("nonsense, and enough of it"), 0o600))
		_, err := diskstore.Open(dir, diskstore.Options{})
		require.ErrorContains(t, err, "restore a copy")
	})
}
