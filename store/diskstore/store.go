package diskstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/projectcache"
)

// Options are the options of Open. The zero value is what a server uses.
type Options struct {
	// Logger gets the messages of the storage engine, one line in each call; default none.
	Logger func(format string, args ...any)
	// Report gets messages for the operator: damage, and the progress of a long verification.
	// Default: Logger.
	Report func(format string, args ...any)
	// NoSync lets Put return before its batch is on disk. It is for tests and measurements: a
	// crash of the machine loses messages that were acknowledged.
	NoSync bool

	// ServeDamaged opens a store although tables are damaged. Calls that need a damaged part fail,
	// and Put reports Damaged for its queues. Default: Open verifies all tables, and refuses if
	// one is damaged.
	ServeDamaged bool

	CacheBytes    int64 // cache for blocks and tables in memory; default 16 MiB
	MemTableBytes int   // size of a table in memory; default 32 MiB, less on a disk below 1 GiB
	Registrations int   // records kept in memory for lookups; default 65536
	SummaryBytes  int   // cache for summaries of queues with limits; default 16 MiB
	MaxOpenFiles  int   // open tables and other files of the engine; default 500, at least 74

	fs vfs.FS // for tests that break the disk

	// The rest is for tests that do not wait.
	patience     time.Duration // how long a write waits for space; default 5 s
	lookEvery    time.Duration // how often free space is looked at; default 250 ms
	closeTimeout time.Duration // limit on closing a failed database; default 10 s
}

// The defaults of Options.
const (
	defaultCacheBytes    = 16 << 20
	defaultMemTableBytes = 32 << 20
	defaultRegistrations = 1 << 16
	defaultSummaryBytes  = 16 << 20
	defaultMaxOpenFiles  = 500

	defaultPatience     = 5 * time.Second
	defaultLookEvery    = 250 * time.Millisecond // a fast disk fills many MiB in that time
	defaultCloseTimeout = 10 * time.Second
)

// WithFS makes the store use a file system that a test can break; default the operating system's.
func (o Options) WithFS(fs vfs.FS) Options {
	o.fs = fs
	return o
}

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
	o.patience = cmp.Or(o.patience, defaultPatience)
	o.lookEvery = cmp.Or(o.lookEvery, defaultLookEvery)
	o.closeTimeout = cmp.Or(o.closeTimeout, defaultCloseTimeout)
	if o.Logger == nil {
		o.Logger = func(string, ...any) {}
	}
	if o.Report == nil {
		o.Report = o.Logger
	}
}

// Store is a store.Store in a directory. Make one with Open.
type Store struct {
	// These do not change after Open.
	dir  string
	lock *pebble.Lock
	opts Options
	run  uint64 // how often the store was opened

	// life is read-locked by every call. Closing or opening the database locks it, and waits for
	// the running calls.
	life sync.RWMutex
	db   *pebble.DB           // guarded by life; nil while the database is closed
	disk atomic.Pointer[disk] // the disk of db

	health     health
	stalledAt  atomic.Int64 // last wait of a write for the disk, in Unix nanoseconds; or zero
	failing    chan error   // capacity 1: why the database must be reopened
	leaving    []*ackWork   // owned by mend: acknowledged before the failure, and still there
	closing    sync.Once
	stopping   chan struct{} // closed by Close
	background sync.WaitGroup

	committer committer
	queues    table
	sweeper   sweeper
	records   recordCache
	fanouts   fanouts
	keeper    inventoryWriter
	damage    damage
	inventory *inventory // the inventory found by Open
	projects  *projectcache.Cache
	daily     daily
	keys      projectKeys

	newDevices newDevices
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.Presence   = (*Store)(nil)
	_ store.AsyncAcker = (*Store)(nil)
	_ store.Forgetter  = (*Store)(nil)
	_ store.Health     = (*Store)(nil)
	_ store.Breakable  = (*Store)(nil)
)

// Open opens the store in a directory, and makes the directory if it does not exist. If the
// directory is in use, Open returns an error that wraps store.ErrLocked.
func Open(dir string, o Options) (*Store, error) {
	o.setDefaults()
	s := &Store{opts: o, projects: projectcache.New(), failing: make(chan error, 1), stopping: make(chan struct{})}
	s.health.init()
	s.committer.init(s)
	cache, err := lru.New[string, *store.Registration](o.Registrations)
	if err != nil {
		return nil, err
	}
	s.records.cache = cache
	s.queues.init()
	if err := s.openDir(dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := s.start(s.readMeta); err != nil {
		s.disk.Load().letGo()
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, explain(err)), s.db.Close(), s.lock.Close())
	}
	s.lookAtSpace()
	s.background.Go(s.watchSpace)
	s.background.Go(s.mend)
	return s, nil
}

// start starts the goroutines beside the engine. It goes on from the sequence number that prepare
// returns.
func (s *Store) start(prepare func() (seq uint64, err error)) error {
	seq, err := prepare()
	if err = cmp.Or(s.committer.failure(), err); err != nil {
		return err
	}
	if err := s.keeper.start(s.inventory, !s.opts.NoSync); err != nil {
		return err
	}
	s.damage.start()
	err = s.newDevices.load(s.db)
	if err == nil {
		err = s.committer.start(seq)
	}
	if err != nil {
		s.damage.stop()
		s.keeper.stop()
		return err
	}
	return nil
}

// Close writes all pending work and closes the directory.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		if err = s.close(); err != nil {
			err = fmt.Errorf("close store: %w", err)
		}
	})
	return err
}

func (s *Store) close() error {
	close(s.stopping)
	ended := make(chan error, 1)
	go func() {
		s.background.Wait()
		s.life.Lock()
		defer s.life.Unlock()
		s.health.begin(closed, store.ErrClosed)
		ended <- s.closeDatabase()
	}()
	select {
	case err := <-ended:
		return err
	case <-s.health.broken:
	}
	// The engine may hold its locks for ever. It keeps the directory until the process ends.
	err := s.health.refusal(broken)
	s.health.begin(closed, store.ErrClosed)
	return err
}

// closeDatabase closes the database and frees its directory. The caller must hold s.life.
func (s *Store) closeDatabase() error {
	if s.db == nil { // it has failed, and could not be opened again
		return errors.Join(s.committer.failure(), s.lock.Close())
	}
	return errors.Join(s.stop(), s.lock.Close())
}

// stop closes the database and ends the goroutines beside it. The caller must hold s.life.
func (s *Store) stop() error {
	failed := s.committer.stop()
	if failed != nil {
		s.disk.Load().letGo()
	}
	s.damage.stop()
	db := s.db
	s.db = nil
	err := errors.Join(failed, db.Close())
	if err == nil {
		return s.keeper.closed()
	}
	s.keeper.stop()
	return err
}

// enter begins a call. Without an error, the caller ends it with s.life.RUnlock.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.health.refusal(down); err != nil {
		return err // without waiting for the database
	}
	s.life.RLock()
	if err := s.health.refusal(down); err != nil {
		s.life.RUnlock()
		return err
	}
	return nil
}
