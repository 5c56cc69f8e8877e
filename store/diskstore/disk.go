package diskstore

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system for one opening of the database. The engine cannot go on after an error
// from its log or its manifest: it calls Fatalf, or panics with its locks held. So it gets none
// of these errors:
//
//   - A write that fails for lack of space or descriptors waits and is tried again, at most for the
//     patience of the store.
//   - A write that fails otherwise, or for longer, severs the engine from the disk. From then on
//     writes to its log and manifest seem to succeed, but the files stay as they are. Tables are
//     neither written nor removed.
//
// The store is told before a severed write returns, and acknowledges nothing from then on. A
// severed engine can still be read and be closed. The next opening of the database then reads the
// true contents of the disk.
type disk struct {
	vfs.FS
	fail     func(error) // told before the engine is severed
	waits    func(error) // told of a failure that is tried again
	patience time.Duration

	opening  atomic.Bool // errors are passed on, since the engine handles them, except those of tables
	gaveUp   chan error  // capacity 1: why the database cannot be opened
	severed  atomic.Bool
	severing sync.Mutex
	parted   chan struct{} // closed when reads have ended: tables fail now
	part     sync.Once

	mu   sync.Mutex
	open map[*diskFile]struct{} // files other than tables: the engine waits for each write to them
}

// retryEvery is the pause between two attempts of a waiting operation.
const retryEvery = 50 * time.Millisecond

var errSevered = errors.New("the engine is severed from the disk")

func newDisk(s *Store) *disk {
	d := &disk{
		FS: s.opts.fs, fail: s.fail, waits: s.stall, patience: s.opts.patience,
		gaveUp: make(chan error, 1), parted: make(chan struct{}), open: map[*diskFile]struct{}{},
	}
	d.opening.Store(true)
	return d
}

// sever severs the engine from the disk because of an error.
func (d *disk) sever(err error) {
	d.severing.Lock()
	defer d.severing.Unlock()
	if d.severed.Load() {
		return
	}
	d.fail(err)
	d.severed.Store(true)
}

// giveUp ends the opening of the database, and does not return.
func (d *disk) giveUp(err error) {
	d.severed.Store(true)
	select {
	case d.gaveUp <- err:
	default:
	}
	select {}
}

// letGo ends the engine's running operations after it was severed, so that it can be closed.
func (d *disk) letGo() { d.part.Do(func() { close(d.parted) }) }

// passes reports whether a failed operation may succeed later without a change by the store.
func passes(err error) bool {
	return fullDisk(err) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

func fullDisk(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// rescue handles a write that failed, or that must not be done since the engine is severed. The
// engine gets the returned error.
func (d *disk) rescue(op *operation, err error) error {
	if d.opening.Load() && !d.severed.Load() {
		if op.table { // the engine would try it for ever
			d.giveUp(err)
		}
		return err
	}
	if err != nil && !d.severed.Load() && passes(err) && op.again != nil {
		err = d.wait(op, err)
		if err == nil || op.table && !d.severed.Load() {
			return err // the engine drops the table, which frees its space, and begins it again
		}
	}
	if err != nil {
		d.sever(err)
	}
	if !op.table {
		return nil
	}
	<-d.parted
	time.Sleep(retryEvery) // the engine begins a table again at once
	return errSevered
}

// operation is a write by the engine.
type operation struct {
	table bool         // it is for a table; the engine survives its failure
	again func() error // tries it once more; nil if that must not be done
}

// wait tries an operation again until it succeeds, fails for another reason, or has failed for too
// long.
func (d *disk) wait(op *operation, err error) error {
	for late := time.Now().Add(d.patience); passes(err) && time.Now().Before(late) && !d.severed.Load(); {
		d.waits(err)
		time.Sleep(retryEvery)
		if err = op.again(); err == nil {
			return nil
		}
	}
	return err
}

// isTable reports whether a file is a table, or belongs to one.
func isTable(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".sst" || ext == ".blob"
}

// openFile opens a file for writing.
func (d *disk) openFile(name string, do func() (vfs.File, error)) (vfs.File, error) {
	f := &diskFile{disk: d, name: filepath.Base(name), table: isTable(name)}
	try := func() (err error) { f.File, err = do(); return err }
	var err error
	severed := d.severed.Load()
	if !severed {
		err = try()
	}
	if severed || err != nil {
		if err := d.rescue(&operation{table: f.table, again: try}, err); err != nil {
			return nil, err
		}
		if f.File == nil {
			f.File = nullFile{name: filepath.Base(name)}
		}
	}
	if !f.table {
		d.mu.Lock()
		d.open[f] = struct{}{}
		d.mu.Unlock()
	}
	return f, nil
}

// slowest returns the duration of the longest write for which the engine waits.
func (d *disk) slowest(now time.Time) (longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for f := range d.open {
		if since := f.since.Load(); since != 0 {
			longest = max(longest, now.Sub(time.Unix(0, since)))
		}
	}
	return longest
}

// synced returns how many bytes of an open file are known to be on disk.
func (d *disk) synced(name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for f := range d.open {
		if f.name == name {
			return f.synced.Load()
		}
	}
	return 0
}

// alter changes a directory.
func (d *disk) alter(do func() error) error {
	var err error
	if !d.severed.Load() {
		if err = do(); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return d.rescue(&operation{again: do}, err)
}

// Create implements vfs.FS.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.openFile(name, func() (vfs.File, error) { return d.FS.Create(name, category) })
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.openFile(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.openFile(newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir implements vfs.FS. The engine opens a directory only to sync it.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.openFile(name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (d *disk) Link(oldname, newname string) error {
	return d.alter(func() error { return d.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (d *disk) Rename(oldname, newname string) error {
	return d.alter(func() error { return d.FS.Rename(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (d *disk) MkdirAll(dir string, perm fs.FileMode) error {
	return d.alter(func() error { return d.FS.MkdirAll(dir, perm) })
}

// Remove implements vfs.FS. The engine goes on even if a file could not be removed.
func (d *disk) Remove(name string) error {
	if d.severed.Load() {
		return nil
	}
	return d.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (d *disk) RemoveAll(name string) error {
	if d.severed.Load() {
		return nil
	}
	return d.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file that the engine writes.
type diskFile struct {
	vfs.File
	disk   *disk
	name   string
	table  bool
	bytes  atomic.Int64 // bytes written in order
	synced atomic.Int64 // bytes of those that were on disk at the last sync
	since  atomic.Int64 // start of the running write, in Unix nanoseconds; zero without one
}

// begin notes that the engine waits for a write. The caller must call end.
func (f *diskFile) begin() {
	if !f.table {
		f.since.Store(time.Now().UnixNano())
	}
}

func (f *diskFile) end() { f.since.Store(0) }

// Write implements vfs.File. If the disk takes only a part, Write writes the rest once there is
// space.
func (f *diskFile) Write(p []byte) (n int, err error) {
	f.begin()
	defer f.end()
	if !f.disk.severed.Load() {
		if n, err = f.File.Write(p); err == nil {
			f.bytes.Add(int64(n))
			return n, nil
		}
	}
	err = f.disk.rescue(&operation{table: f.table, again: func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	}}, err)
	if err != nil {
		return n, err
	}
	f.bytes.Add(int64(len(p)))
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	if !f.disk.severed.Load() {
		if n, err = f.File.WriteAt(p, off); err == nil {
			return n, nil
		}
	}
	err = f.disk.rescue(&operation{table: f.table, again: func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	}}, err)
	if err != nil {
		return n, err
	}
	return len(p), nil
}

// Sync implements vfs.File. A failed sync is never tried again. The system may have dropped the
// data, and report success next time.
func (f *diskFile) Sync() error { return f.syncAll(f.File.Sync) }

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error { return f.syncAll(f.File.SyncData) }

// syncAll syncs all data that was written before.
func (f *diskFile) syncAll(do func() error) error {
	bytes := f.bytes.Load()
	err := f.sync(do)
	if err == nil && !f.disk.severed.Load() {
		f.synced.Store(bytes)
	}
	return err
}

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f *diskFile) sync(do func() error) error {
	f.begin()
	defer f.end()
	var err error
	if !f.disk.severed.Load() {
		if err = do(); err == nil {
			return nil
		}
	}
	return f.disk.rescue(&operation{table: f.table}, err)
}

// Close implements vfs.File.
func (f *diskFile) Close() error {
	f.disk.mu.Lock()
	delete(f.disk.open, f)
	f.disk.mu.Unlock()
	err := f.File.Close()
	if err == nil || f.disk.opening.Load() {
		return err
	}
	return f.disk.rescue(&operation{table: f.table}, err)
}

// nullFile is the new file that a severed engine gets.
type nullFile struct{ name string }

func (nullFile) Close() error                           { return nil }
func (nullFile) Read([]byte) (int, error)               { return 0, io.EOF }
func (nullFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nullFile) Write(p []byte) (int, error)            { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Preallocate(int64, int64) error         { return nil }
func (f nullFile) Stat() (vfs.FileInfo, error)          { return nullInfo(f), nil }
func (nullFile) Sync() error                            { return nil }
func (nullFile) SyncTo(int64) (bool, error)             { return true, nil }
func (nullFile) SyncData() error                        { return nil }
func (nullFile) Prefetch(int64, int64) error            { return nil }
func (nullFile) Fd() uintptr                            { return vfs.InvalidFd }

type nullInfo struct{ name string }

func (i nullInfo) Name() string         { return i.name }
func (nullInfo) Size() int64            { return 0 }
func (nullInfo) Mode() fs.FileMode      { return 0o600 }
func (nullInfo) ModTime() time.Time     { return time.Time{} }
func (nullInfo) IsDir() bool            { return false }
func (nullInfo) Sys() any               { return nil }
func (nullInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
