package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/openccs/openccs/store"
)

// formatVersion is the version of the layout in keys.go and record.go. A store with a newer
// version is not opened.
const formatVersion = 1

// engineFormat is the version of the engine's files.
const engineFormat = pebble.FormatTableFormatV6

const (
	dirMode             = 0o700 // messages are private
	bloomBitsPerKey     = 10
	memTablesBeforeStop = 4
	l0CompactionFiles   = 4
	l0StopFiles         = 24
	walBytesPerSync     = 512 << 10 // smooths the writes of NoSync and of large groups
	maxManifestBytes    = 16 << 20
)

// openDir locks a directory, checks the files in it, and opens the database.
func (s *Store) openDir(dir string) error {
	dir, err := s.lockDir(dir, true)
	if err != nil {
		return err
	}
	s.dir = dir
	if err := s.openDatabase(false); err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

// openDatabase checks the files of the directory and opens the database. If again is set, the
// database must exist.
func (s *Store) openDatabase(again bool) error {
	s.keeper.init(s, s.dir)
	s.damage.init(s)
	if err := s.check(s.dir); err != nil {
		return err
	}
	db, d, err := s.openEngine(again)
	if err != nil {
		return explain(err)
	}
	s.db = db
	s.disk.Store(d)
	return nil
}

// lockDir locks a directory, and returns its absolute name.
func (s *Store) lockDir(dir string, create bool) (string, error) {
	if create {
		if err := s.opts.fs.MkdirAll(dir, dirMode); err != nil {
			return "", fmt.Errorf("%w; choose a directory that the server may write to", err)
		}
	}
	// The lock identifies directories by name, so each may have only one name.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if err := s.checkForeign(dir); err != nil {
		return "", err
	}
	s.lock, err = pebble.LockDirectory(dir, s.opts.fs)
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return "", fmt.Errorf("%w; choose a directory that the server may write to", err)
	case err != nil:
		return "", fmt.Errorf("%w (%w); stop the other server, or give this one its own directory", store.ErrLocked, err)
	}
	return dir, nil
}

// openEngine opens the database.
func (s *Store) openEngine(again bool) (*pebble.DB, *disk, error) {
	d := newDisk(s)
	logger := engineLogger{log: s.opts.Logger, store: s, disk: d}
	o := s.engineOptions(d, logger)
	o.MemTableSize = s.memTableBytes()
	o.ErrorIfNotExists = again
	o.EventListener = &pebble.EventListener{}
	s.keeper.listen(o.EventListener, &d.severed)
	s.damage.listen(o.EventListener)
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1)
	go func() {
		db, err := pebble.Open(s.dir, o)
		done <- opened{db, err}
	}()
	select {
	case got := <-done:
		d.opening.Store(false)
		return got.db, d, got.err
	case err := <-d.gaveUp:
		return nil, nil, fmt.Errorf("%w: %w", errHangs, err)
	}
}

func (s *Store) engineOptions(fsys vfs.FS, logger pebble.Logger) *pebble.Options {
	o := &pebble.Options{
		FS:                          fsys,
		Lock:                        s.lock,
		Comparer:                    comparer,
		FormatMajorVersion:          engineFormat,
		CacheSize:                   s.opts.CacheBytes,
		MemTableSize:                uint64(s.opts.MemTableBytes),
		MemTableStopWritesThreshold: memTablesBeforeStop,
		L0CompactionThreshold:       l0CompactionFiles,
		L0StopWritesThreshold:       l0StopFiles,
		MaxOpenFiles:                s.opts.MaxOpenFiles,
		MaxManifestFileSize:         maxManifestBytes,
		WALBytesPerSync:             walBytesPerSync,
		Logger:                      logger,
	}
	o.Experimental.CompactionScheduler = newPausingScheduler(&s.damage)
	// The entries of a queue are not versions of one another, so their values belong beside their
	// keys.
	o.Experimental.SpanPolicyFunc = func([]byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
	}
	// Queues and remembered strings are looked up one by one, and mostly do not exist. The last
	// level has no filter, because it would be larger than the cache.
	for i := range len(o.Levels) - 1 {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
	}
	return o
}

// errHangs says that the engine could not be ended while it opened the database, and was
// abandoned.
var errHangs = errors.New("the storage engine cannot open it")

var errForeign = errors.New("it holds another program's data; give an empty directory")

// explain adds advice to an error of opening.
func explain(err error) error {
	switch {
	case fullDisk(err):
		return fmt.Errorf("the disk is full: %w; free some space and start again, nothing is lost", err)
	case pebble.IsCorruptionError(err), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the data is damaged: %w; restore a copy, or move the directory away to start with an empty store", err)
	case strings.Contains(err.Error(), "comparer name"):
		return fmt.Errorf("%w (%w)", errForeign, err)
	case strings.Contains(err.Error(), "format major version"):
		return fmt.Errorf("%w; it was written by a newer ccs: use that, or give this one another directory", err)
	}
	return err
}

// checkForeign refuses a directory with files of another program.
func (s *Store) checkForeign(dir string) error {
	names, err := s.opts.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !engineFile(name) {
			return fmt.Errorf("%s is not part of a store; give an empty directory", filepath.Join(dir, name))
		}
	}
	return nil
}

// engineFile reports whether a store's directory may hold a file of this name.
func engineFile(name string) bool {
	for _, prefix := range []string{inventoryFile, "MANIFEST-", "OPTIONS-", "CURRENT", "LOCK", "marker.", "temporary.", "lost+found", "."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, suffix := range []string{".sst", ".log", ".blob", ".dbtmp"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// readMeta checks the format, counts this run, and returns the sequence number with which to go
// on.
func (s *Store) readMeta() (seq uint64, err error) {
	format, found, err := s.getNumber(metaFormat)
	if err != nil {
		return 0, err
	}
	switch {
	case !found:
		if err := s.checkEmpty(); err != nil {
			return 0, err
		}
		if s.inventory != nil {
			return 0, fmt.Errorf("the data is damaged: the database is empty, but %s shows that there is a store; restore a copy", inventoryFile)
		}
	case format != formatVersion:
		return 0, fmt.Errorf("its format is %d and this ccs knows %d; use the ccs that wrote it, or another directory",
			format, formatVersion)
	}
	run, _, err := s.getNumber(metaRun)
	if err != nil {
		return 0, err
	}
	s.run = run + 1
	seq, _, err = s.getNumber(metaSeq)
	if err != nil {
		return 0, err
	}
	b := s.db.NewBatch()
	defer b.Close()
	if err := errors.Join(
		b.Set(metaFormat, number(formatVersion), nil),
		b.Set(metaRun, number(s.run), nil),
		s.db.Apply(b, s.writeOptions()),
	); err != nil {
		return 0, err
	}
	return seq, nil
}

// checkEmpty refuses a database that has data but no format.
func (s *Store) checkEmpty() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	if it.First() {
		return errors.Join(errForeign, it.Close())
	}
	return it.Close()
}

func (s *Store) writeOptions() *pebble.WriteOptions {
	if s.opts.NoSync {
		return pebble.NoSync
	}
	return pebble.Sync
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (s *Store) getNumber(key []byte) (n uint64, found bool, err error) {
	value, found, err := s.get(key)
	if err != nil || !found {
		return 0, false, err
	}
	if len(value) != 8 {
		return 0, false, fmt.Errorf("key %q: %w", key, errDamaged)
	}
	return binary.BigEndian.Uint64(value), true, nil
}

// get returns a copy of a value.
func (s *Store) get(key []byte) (value []byte, found bool, err error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte{}, v...)
	return value, true, closer.Close()
}

// engineLogger passes on the messages of the engine.
type engineLogger struct {
	log   func(format string, args ...any)
	store *Store
	disk  *disk
}

func (l engineLogger) Infof(format string, args ...any)  { l.log(format, args...) }
func (l engineLogger) Errorf(format string, args ...any) { l.log(format, args...) }

// Fatalf must not return, because the engine cannot go on. The engine may hold locks, so it cannot
// be closed either. The store reports this to the server, which ends the process in order.
func (l engineLogger) Fatalf(format string, args ...any) {
	l.log(format, args...)
	err := fmt.Errorf(format, args...)
	if l.disk.opening.Load() {
		l.disk.giveUp(err)
	}
	l.store.die(err)
	select {}
}
