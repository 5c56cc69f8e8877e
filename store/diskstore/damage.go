package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"openccs/store"
)

const (
	maxDamaged       = 1000            // parts of tables that are known to be damaged at a time
	maxFailedCompact = 3               // compactions that fail one after the other before they pause
	compactPause     = 5 * time.Minute // as long as the engine keeps away from a damaged table that is not new
	damagedQueue     = 64              // reports of the engine that wait to be looked at
)

// damage knows the parts of tables that cannot be read while the store is used. Reads of them fail in the
// engine; writes to their queues are refused.
type damage struct {
	spans atomic.Pointer[[]span] // nil while nothing is damaged

	s       *Store
	reports chan string // names of tables
	done    sync.WaitGroup

	mu    sync.Mutex
	files map[string]bool // that are reported

	failed  atomic.Int32 // compactions, one after the other
	resting atomic.Int64 // compactions pause until then, in nanoseconds
}

func (d *damage) init(s *Store) {
	d.s, d.files, d.reports = s, map[string]bool{}, make(chan string, damagedQueue)
}

// start begins to look at what the engine reports.
func (d *damage) start() {
	d.done.Go(func() {
		for name := range d.reports {
			d.look(name)
		}
	})
}

// stop ends that. The engine must be closed.
func (d *damage) stop() {
	close(d.reports)
	d.done.Wait()
}

// listen makes the engine tell of damage. It may hold its locks meanwhile. Without a listener the engine ends
// the process.
func (d *damage) listen(l *pebble.EventListener) {
	l.DataCorruption = func(info pebble.DataCorruptionInfo) { d.report(filepath.Base(info.Path)) }
	l.BackgroundError = func(err error) {
		if !pebble.IsCorruptionError(err) {
			d.s.opts.Logger("background error: %v", err)
			return
		}
		if d.failed.Add(1) == maxFailedCompact {
			d.resting.Store(time.Now().Add(compactPause).UnixNano())
			d.failed.Store(0)
		}
	}
	compacted := l.CompactionEnd
	l.CompactionEnd = func(info pebble.CompactionInfo) {
		if info.Err == nil {
			d.failed.Store(0)
		}
		compacted(info)
	}
	l.WriteStallBegin = func(info pebble.WriteStallBeginInfo) {
		if d.spans.Load() != nil && info.Reason == stallByL0 {
			d.giveUp()
		}
	}
}

// stallByL0 is the engine's reason when compactions do not keep up.
const stallByL0 = "L0 file count limit exceeded"

// compactions is how many compactions the engine may run.
func (d *damage) compactions() (lower, upper int) {
	if until := d.resting.Load(); until != 0 {
		if time.Now().UnixNano() < until {
			return 0, 0
		}
		d.resting.CompareAndSwap(until, 0)
	}
	return 1, 1
}

// report hands on a table that the engine could not read. If too many wait, the engine reports it again.
func (d *damage) report(name string) {
	d.mu.Lock()
	known := d.files[name]
	d.mu.Unlock()
	if known {
		return
	}
	select {
	case d.reports <- name:
	default:
	}
}

// look finds out what is damaged in a table.
func (d *damage) look(name string) {
	d.mu.Lock()
	known := d.files[name]
	d.mu.Unlock()
	if known {
		return
	}
	t, err := d.s.tableNamed(name)
	if err != nil || t == nil {
		return // it has gone meanwhile
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[f.File] || len(d.files) >= maxDamaged {
		return
	}
	d.files[f.File] = true
	var spans []span
	if old := d.spans.Load(); old != nil {
		spans = slices.Clone(*old)
	}
	spans = append(spans, f.span)
	d.spans.Store(&spans)
	d.s.opts.Logger("damaged file: %s. Its queues are refused and the others are served; "+
		`stop the server and use "ccs store repair"`, f)
}

// tableNamed returns what the engine knows of a table, or nil.
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

// giveUp ends the store in order: writes wait for compactions that can never be done.
func (d *damage) giveUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.files {
		d.s.keeper.damage(name)
	}
	names := slices.Collect(func(yield func(string) bool) {
		for name := range d.files {
			if !yield(name) {
				return
			}
		}
	})
	slices.Sort(names)
	d.s.committer.fail(fmt.Errorf("%w: %v; use %q", errStuck, names, "ccs store repair"))
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
			// The last key below the span counts too: what comes after it may be missing.
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

// wait waits until what was reported has been looked at, or ctx ends.
func (d *damage) wait(ctx context.Context) {
	for len(d.reports) > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}
