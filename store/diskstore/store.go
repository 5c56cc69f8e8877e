package diskstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	lru "github.com/hashicorp/golang-lru/v2"

	"openccs/store"
	"openccs/store/internal/projectcache"
)

// Options for Open. The zero value is what a server uses.
type Options struct {
	// Logger gets what the storage engine has to say, a line a call; default none.
	Logger func(format string, args ...any)
	// NoSync lets Put return before its batch is on disk. For tests and measurements: a crash of the
	// machine loses messages that were acknowledged.
	NoSync bool

	// ServeDamaged opens a store although tables are damaged. Calls that need a damaged part fail, and Put
	// reports Damaged for its queues. Default: Open verifies all tables, and refuses.
	ServeDamaged bool

	CacheBytes    int64 // of blocks read from disk; default 16 MiB, of which the tables in memory take their part
	MemTableBytes int   // gathered in memory before a table is written; default 32 MiB
	Registrations int   // records kept in memory for lookups; default 65536
	SummaryBytes  int   // what is remembered of queues that have limits; default 16 MiB
	MaxOpenFiles  int   // tables that the engine keeps open, with its other files; default 500, and never below 74

	fs vfs.FS // for tests that break the disk
}

// The defaults of Options.
const (
	defaultCacheBytes    = 16 << 20
	defaultMemTableBytes = 32 << 20
	defaultRegistrations = 1 << 16
	defaultSummaryBytes  = 16 << 20
	defaultMaxOpenFiles  = 500
)

func (o *Options) setDefaults() {
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes <= 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	if o.Registrations <= 0 {
		o.Registrations = defaultRegistrations
	}
	if o.SummaryBytes <= 0 {
		o.SummaryBytes = defaultSummaryBytes
	}
	if o.MaxOpenFiles <= 0 {
		o.MaxOpenFiles = defaultMaxOpenFiles
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = func(string, ...any) {}
	}
}

// Store is a store.Store in a directory. Use Open.
type Store struct {
	// Static after Open.
	db   *pebble.DB
	lock *pebble.Lock
	opts Options
	run  uint64 // how often the store was opened

	// life is read-locked by every call and locked by Close, which so waits for the calls under way.
	life   sync.RWMutex
	closed bool

	committer committer
	queues    table
	sweeper   sweeper
	records   recordCache
	keeper    keeper
	damage    damage
	inventory *inventory // that was there when the store was opened
	projects  *projectcache.Cache
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Presence  = (*Store)(nil)
	_ store.Forgetter = (*Store)(nil)
)

// Open opens the store in a directory, which is made if it is not there. A directory that is in use
// gives an error that wraps store.ErrLocked.
func Open(dir string, o Options) (*Store, error) {
	o.setDefaults()
	s := &Store{opts: o, projects: projectcache.New()}
	cache, err := lru.New[string, *store.Registration](o.Registrations)
	if err != nil {
		return nil, err
	}
	s.records.cache = cache
	s.queues.init()
	s.damage.init(s)
	if err := s.openDir(dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), s.db.Close(), s.lock.Close())
	}
	return s, nil
}

// start begins what runs beside the engine.
func (s *Store) start() error {
	seq, err := s.readMeta()
	if err != nil {
		return err
	}
	if err := s.keeper.start(s.inventory, !s.opts.NoSync); err != nil {
		return err
	}
	s.damage.start()
	if err := s.committer.start(s, seq); err != nil {
		s.damage.stop()
		s.keeper.stop()
		return err
	}
	return nil
}

// Close writes what is under way and closes the directory.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.committer.stop(); err != nil {
		// The engine may hang on to locks for ever: leave it and the directory to the process's end.
		return fmt.Errorf("close store: %w", err)
	}
	s.damage.stop()
	err := s.db.Close()
	if err == nil {
		err = s.keeper.closed()
	} else {
		s.keeper.stop()
	}
	if err := errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// enter begins a call; the caller ends it with s.life.RUnlock if there is no error.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return store.ErrClosed
	}
	if err := s.committer.failure(); err != nil {
		s.life.RUnlock()
		return err
	}
	return nil
}
