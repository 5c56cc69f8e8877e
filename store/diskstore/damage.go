package diskstore

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

const (
	maxDamaged       = 1000            // known damaged parts of tables at a time
	maxFailedCompact = 3               // failed compactions in a row, before a pause
	compactPause     = 5 * time.Minute // the engine avoids an old damaged table for this long
	damagedQueue     = 64              // reports of the engine that wait for look

	// These reports name no table.
	flushedTable = "flushed"
	pausedTable  = "paused"
)

// damage holds the parts of tables that cannot be read while the store is used. Reads of them fail
// in the engine. Writes to their queues are refused.
type damage struct {
	spans atomic.Pointer[[]span] // nil without damage

	s       *Store
	reports chan string // names of tables
	ending  chan struct{}
	done    sync.WaitGroup

	mu    sync.Mutex
	files map[string]bool // files that are reported

	scheduler *pausingScheduler
	compactor pausingDB
	failed    atomic.Int32 // failed compactions in a row
	resting   atomic.Bool  // compactions pause
}

func (d *damage) init(s *Store) {
	d.s, d.files = s, map[string]bool{}
	d.reports, d.ending = make(chan string, damagedQueue), make(chan struct{})
	d.spans.Store(nil)
	d.failed.Store(0)
	d.resting.Store(false)
}

// start starts the goroutine that handles reports of the engine.
func (d *damage) start() {
	d.done.Go(func() {
		pause := time.NewTimer(compactPause)
		pause.Stop()
		defer pause.Stop()
		for {
			select {
			case name := <-d.reports:
				if name == pausedTable {
					pause.Reset(compactPause)
				} else {
					d.look(name)
				}
			case <-pause.C:
				d.resume()
			case <-d.ending:
				return
			}
		}
	})
}

// stop ends that goroutine, before the engine is closed.
func (d *damage) stop() {
	close(d.ending)
	d.done.Wait()
}

// listen makes the engine report damage. The engine may hold its locks during a report. Without a
// listener the engine ends the process.
func (d *damage) listen(l *pebble.EventListener) {
	l.DataCorruption = func(info pebble.DataCorruptionInfo) { d.report(filepath.Base(info.Path)) }
	l.BackgroundError = func(err error) {
		if !pebble.IsCorruptionError(err) {
			d.s.opts.Logger("background error: %v", err)
			return
		}
		if d.failed.Add(1) >= maxFailedCompact && !d.resting.Swap(true) {
			d.failed.Store(0)
			if !d.report(pausedTable) {
				d.resting.Store(false)
			}
		}
	}
	compacted := l.CompactionEnd
	l.CompactionEnd = func(info pebble.CompactionInfo) {
		if info.Err == nil {
			d.failed.Store(0)
		}
		compacted(info)
	}
	flushed := l.FlushEnd
	l.FlushEnd = func(info pebble.FlushInfo) {
		flushed(info)
		if d.spans.Load() != nil {
			d.report(flushedTable)
		}
	}
}

// pausingScheduler is the engine's scheduler of compactions, with a pause. The constructor for
// tests lacks only a ticker, which matters where the number of concurrent compactions may grow.
// Here it is one.
type pausingScheduler struct {
	*pebble.ConcurrencyLimitScheduler
	d *damage
}

func newPausingScheduler(d *damage) *pausingScheduler {
	s := &pausingScheduler{pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest(), d}
	d.scheduler = s
	return s
}

// Register gives the scheduler a database that allows no compaction during a pause.
func (s *pausingScheduler) Register(goroutines int, db pebble.DBForCompaction) {
	s.d.compactor = pausingDB{db, s.d}
	s.ConcurrencyLimitScheduler.Register(goroutines, s.d.compactor)
}

type pausingDB struct {
	pebble.DBForCompaction
	d *damage
}

func (db pausingDB) GetAllowedWithoutPermission() int {
	if db.d.resting.Load() {
		return 0
	}
	return db.DBForCompaction.GetAllowedWithoutPermission()
}

// resume ends a pause and starts a compaction that waits.
func (d *damage) resume() {
	d.resting.Store(false)
	ok, handle := d.scheduler.TrySchedule()
	if !ok {
		return
	}
	if waiting, _ := d.compactor.GetWaitingCompaction(); !waiting || !d.compactor.Schedule(handle) {
		handle.Done()
	}
}

// report queues a table that the engine could not read. If too many wait, the engine reports it
// again.
func (d *damage) report(name string) (taken bool) {
	d.mu.Lock()
	known := d.files[name]
	d.mu.Unlock()
	if known {
		return true
	}
	select {
	case d.reports <- name:
		return true
	default:
		return false
	}
}

// look finds the damage in a table.
func (d *damage) look(name string) {
	if name == flushedTable {
		if d.s.db.Metrics().Levels[0].Sublevels >= l0StopFiles-memTablesBeforeStop {
			d.giveUp()
		}
		return
	}
	d.mu.Lock()
	known := d.files[name]
	d.mu.Unlock()
	if known {
		return
	}
	t, err := d.s.tableNamed(name)
	if err != nil || t == nil {
		return // the table was removed in the meantime
	}
	v := tableVerifier{fs: d.s.opts.fs, dir: d.s.keeper.dir, opts: readerOptions(d.s.opts.fs), window: make([]byte, verifyWindow)}
	found, err := v.verify(t)
	if err != nil {
		found = whole(t, err)
	}
	if found != nil {
		d.found(*found)
	}
}

// found notes damage and logs it, once for each file.
func (d *damage) found(f Damage) {
	if d.note(f) {
		d.s.opts.Report(`damaged file: %s. Its queues are refused and the others are served; `+
			`stop the server and use "ccs store repair"`, f)
	}
}

func (d *damage) note(f Damage) (isNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[f.File] || len(d.files) >= maxDamaged {
		return false
	}
	d.files[f.File] = true
	var spans []span
	if old := d.spans.Load(); old != nil {
		spans = slices.Clone(*old)
	}
	spans = append(spans, f.span)
	d.spans.Store(&spans)
	return true
}

// tableNamed returns the engine's description of a table, or nil.
func (s *Store) tableNamed(name string) (*tableInfo, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, err
	}
	for level, tables := range levels {
		for i := range tables {
			info := &tables[i]
			if t := (&tableInfo{number: uint64(info.FileNum)}); t.name() == name {
				t.level, t.size, t.smallest, t.largest = level, int64(info.Size), info.Smallest.UserKey, info.Largest.UserKey
				return t, nil
			}
		}
	}
	return nil, nil
}

var errStuck = errors.New("the storage engine cannot go on beside a damaged file")

// giveUp ends the store in order, before writes wait for compactions that cannot be done.
func (d *damage) giveUp() {
	d.mu.Lock()
	names := slices.Sorted(maps.Keys(d.files))
	d.mu.Unlock()
	for _, name := range names {
		d.s.keeper.damage(name)
	}
	d.s.die(fmt.Errorf(`%w: %s; stop the server and use "ccs store repair"`, errStuck, strings.Join(names, ", ")))
}

// hits reports whether a queue has a part that cannot be read.
func (d *damage) hits(k store.Key) bool {
	spans := d.spans.Load()
	if spans == nil {
		return false
	}
	for _, prefix := range []byte{prefixEntry, prefixDedup} {
		var first [queueKeyLen]byte
		putQueueKey(first[:], prefix, k)
		for _, s := range *spans {
			// The last key below the span counts too, because keys after it may be missing.
			if bytes.Compare(s.high, first[:]) >= 0 && (bytes.Compare(s.low, first[:]) <= 0 || bytes.HasPrefix(s.low, first[:])) {
				return true
			}
		}
	}
	return false
}

// after returns the first key after the damaged part that a key is in, or nil.
func (d *damage) after(key []byte) []byte {
	spans := d.spans.Load()
	if spans == nil {
		return nil
	}
	for _, s := range *spans {
		if bytes.Compare(s.low, key) <= 0 && bytes.Compare(key, s.high) < 0 {
			return s.high
		}
	}
	return nil
}
