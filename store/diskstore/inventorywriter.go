package diskstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// inventoryWriter keeps the inventory current. The engine reports new files to it, and its own
// goroutine writes.
type inventoryWriter struct {
	fs  vfs.FS
	dir string
	log func(format string, args ...any)

	mu       sync.Mutex
	manifest string // name of the current one
	logs     []uint64
	damaged  []string
	measured inventoryLog

	wake chan struct{} // capacity 1
	done sync.WaitGroup

	// The goroutine owns these while it runs.
	inv    *inventory
	failed bool // the last write failed, which was logged
}

func (k *inventoryWriter) init(s *Store, dir string) {
	k.fs, k.dir, k.log = s.opts.fs, dir, s.opts.Logger
	k.manifest, k.logs, k.damaged, k.measured = "", nil, nil, inventoryLog{}
	k.wake = make(chan struct{}, 1)
}

// listen makes the engine report changes to the writer. The engine may hold its locks during a
// report. Reports of a severed engine are not true.
func (k *inventoryWriter) listen(l *pebble.EventListener, severed *atomic.Bool) {
	l.ManifestCreated = func(info pebble.ManifestCreateInfo) {
		if info.Err != nil || severed.Load() {
			return
		}
		k.change(func() { k.manifest = filepath.Base(info.Path) })
	}
	l.WALCreated = func(info pebble.WALCreateInfo) {
		if info.Err != nil || severed.Load() {
			return
		}
		k.change(func() {
			k.forget(uint64(info.RecycledFileNum))
			if k.logs = append(k.logs, uint64(info.FileNum)); len(k.logs) > maxInventoryLog {
				k.logs = slices.Delete(k.logs, 0, 1)
			}
		})
	}
	l.WALDeleted = func(info pebble.WALDeleteInfo) {
		if !severed.Load() {
			k.change(func() { k.forget(uint64(info.FileNum)) })
		}
	}
	l.FlushEnd = func(pebble.FlushInfo) { k.change(func() {}) }
	l.CompactionEnd = func(pebble.CompactionInfo) { k.change(func() {}) }
}

func (k *inventoryWriter) forget(number uint64) {
	k.logs = slices.DeleteFunc(k.logs, func(n uint64) bool { return n == number })
}

// damage notes a file with damage that stops the engine.
func (k *inventoryWriter) damage(name string) {
	k.change(func() {
		if !slices.Contains(k.damaged, name) {
			k.damaged = append(k.damaged, name)
		}
	})
}

func (k *inventoryWriter) change(what func()) {
	k.mu.Lock()
	what()
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// start writes the inventory of a store that has just been opened, and then whenever it changes.
// synced says that the log is on disk as it is now.
func (k *inventoryWriter) start(old *inventory, synced bool) error {
	if k.inv = old; old == nil {
		k.inv = newInventory()
	}
	k.inv.Damaged, k.inv.Manifest = nil, inventoryPart{}
	if synced {
		if err := k.measure(); err != nil {
			return err
		}
	}
	if err := k.update(); err != nil {
		return err
	}
	k.done.Go(func() {
		for range k.wake {
			err := k.update()
			if err != nil && !k.failed {
				k.log("the inventory of the store is out of date: %v", err)
			}
			k.failed = err != nil
		}
	})
	return nil
}

// measure notes the size of the log with which the store began.
func (k *inventoryWriter) measure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	number := k.logs[len(k.logs)-1]
	info, err := k.fs.Stat(k.fs.PathJoin(k.dir, logName(number)))
	if err == nil {
		k.measured = inventoryLog{Number: number, Size: info.Size()}
	}
	return err
}

// sealed notes how much of the newest log is on disk. Its last record is a sync mark, which may be
// missing: the engine may have padded the block instead of ending with it.
func (k *inventoryWriter) sealed(d *disk) {
	k.mu.Lock()
	number := uint64(0) // no log has this number
	if n := len(k.logs); n > 0 {
		number = k.logs[n-1]
	}
	k.mu.Unlock()
	size := d.synced(logName(number)) - chunkHeaderSynced
	if size <= 0 {
		return
	}
	k.change(func() {
		if k.measured.Number != number || k.measured.Size < size {
			k.measured = inventoryLog{Number: number, Size: size}
		}
	})
}

// stop ends the goroutine. The engine must be closed.
func (k *inventoryWriter) stop() {
	close(k.wake)
	k.done.Wait()
}

// closed writes the inventory of a store whose engine has been closed. All its logs are complete.
func (k *inventoryWriter) closed() error {
	k.stop()
	if err := k.refresh(); err != nil {
		return err
	}
	for i := range k.inv.Logs {
		l := &k.inv.Logs[i]
		f, size, err := openSized(k.fs, k.fs.PathJoin(k.dir, logName(l.Number)))
		if err != nil {
			return err
		}
		sum, err := sumFile(f, size)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("read %s: %w", logName(l.Number), err)
		}
		l.Closed, l.Size, l.Sum = true, size, sum
	}
	return k.inv.write(k.fs, k.dir)
}

func (k *inventoryWriter) update() error {
	if err := k.refresh(); err != nil {
		return err
	}
	return k.inv.write(k.fs, k.dir)
}

// refresh updates the inventory in memory, and the copy of the manifest.
func (k *inventoryWriter) refresh() error {
	k.mu.Lock()
	name := k.manifest
	k.inv.Logs = k.inv.Logs[:0]
	for _, number := range k.logs {
		l := inventoryLog{Number: number}
		if number == k.measured.Number {
			l = k.measured
		}
		k.inv.Logs = append(k.inv.Logs, l)
	}
	k.inv.Damaged = slices.Clone(k.damaged)
	k.mu.Unlock()
	return k.copyManifest(name)
}

// copyManifest appends the new part of the manifest to its copy. An edit that the engine is
// writing now is copied with the next change.
func (k *inventoryWriter) copyManifest(name string) error {
	part := inventoryPart{Name: name}
	if part.Name == k.inv.Manifest.Name {
		part = k.inv.Manifest
	}
	from, size, err := openSized(k.fs, k.fs.PathJoin(k.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a newer manifest replaced it; the writer will be told soon
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	defer from.Close()
	if size == part.Size && part.Size > 0 {
		return nil
	}
	// The inventory promises these bytes, so they must be on disk. Windows does not sync a file
	// opened for reading.
	if err := from.Sync(); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	path := k.fs.PathJoin(k.dir, manifestCopy)
	var to vfs.File
	if part.Size == 0 {
		to, err = k.fs.Create(path, vfs.WriteCategoryUnspecified)
	} else {
		to, err = k.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	buf := make([]byte, min(size-part.Size, 1<<20))
	for err == nil && part.Size < size {
		var n int
		if n, err = from.ReadAt(buf[:min(int64(len(buf)), size-part.Size)], part.Size); n > 0 && (err == nil || err == io.EOF) {
			part.Sum = crc32.Update(part.Sum, castagnoli, buf[:n])
			_, err = to.WriteAt(buf[:n], part.Size)
			part.Size += int64(n)
		}
	}
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	k.inv.Manifest = part
	return nil
}
