// Package disktest simulates a disk that tests fill and break. Any goroutine may use it.
package disktest

import (
	"path/filepath"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op is an operation on a file.
type Op int

// The operations that a test may break.
const (
	Write  Op = iota // a part of the data may have been written
	Sync             // of a file or a directory
	Create           // or open for writing
	Rename
)

// Disk is the operating system's file system with a limit and with faults.
type Disk struct {
	vfs.FS

	mu    sync.Mutex
	total int64 // bytes of the disk
	used  int64 // bytes written and not removed, and bytes that others use
	taken bool  // other users take what becomes free
	fault func(op Op, name string) error
}

// New makes a disk with a size in bytes.
func New(total int64) *Disk { return &Disk{FS: vfs.Default, total: total} }

// SetFree leaves so many bytes free, as if other users took the rest and what becomes free later.
// That ends when the whole disk is free.
func (d *Disk) SetFree(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used, d.taken = d.total-bytes, bytes < d.total
}

// Break makes an operation fail if fault returns an error for it. fault gets the base name of the
// file and may block. A nil fault repairs the disk.
func (d *Disk) Break(fault func(op Op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

func (d *Disk) check(op Op, name string) error {
	d.mu.Lock()
	fault := d.fault
	d.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op, filepath.Base(name))
}

// take uses up to n bytes and returns how many it used.
func (d *Disk) take(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := max(0, min(int64(n), d.total-d.used))
	d.used += got
	return int(got)
}

// GetDiskUsage implements vfs.FS.
func (d *Disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := max(0, d.total-d.used)
	return vfs.DiskUsage{AvailBytes: uint64(free), TotalBytes: uint64(d.total), UsedBytes: uint64(d.total - free)}, nil
}

func (d *Disk) open(name string, do func() (vfs.File, error)) (vfs.File, error) {
	if err := d.check(Create, name); err != nil {
		return nil, err
	}
	if d.take(1) == 0 {
		return nil, syscall.ENOSPC
	}
	f, err := do()
	if err != nil {
		return nil, err
	}
	return &file{f, d, name}, nil
}

// Create implements vfs.FS.
func (d *Disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.Create(name, category) })
}

// OpenReadWrite implements vfs.FS.
func (d *Disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *Disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	size := d.size(oldname)
	f, err := d.open(newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, category) })
	if err == nil {
		d.give(size)
	}
	return f, err
}

// OpenDir implements vfs.FS.
func (d *Disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &file{f, d, name}, nil
}

// Rename implements vfs.FS.
func (d *Disk) Rename(oldname, newname string) error {
	if err := d.check(Rename, newname); err != nil {
		return err
	}
	return d.FS.Rename(oldname, newname)
}

// Remove implements vfs.FS.
func (d *Disk) Remove(name string) error {
	size := d.size(name)
	if err := d.FS.Remove(name); err != nil {
		return err
	}
	d.give(size)
	return nil
}

func (d *Disk) size(name string) int64 {
	info, err := d.FS.Stat(name)
	if err != nil || info.IsDir() {
		return 0
	}
	return info.Size()
}

func (d *Disk) give(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.taken {
		d.used = max(0, d.used-bytes)
	}
}

// Unwrap implements vfs.FS.
func (d *Disk) Unwrap() vfs.FS { return d.FS }

type file struct {
	vfs.File
	disk *Disk
	name string
}

// Write implements vfs.File. Data that does not fit is not written.
func (f *file) Write(p []byte) (int, error) {
	if err := f.disk.check(Write, f.name); err != nil {
		n, _ := f.File.Write(p[:len(p)/2]) // as a disk may do
		return n, err
	}
	n, err := f.File.Write(p[:f.disk.take(len(p))])
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	if err := f.disk.check(Sync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *file) SyncData() error {
	if err := f.disk.check(Sync, f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

// Fd implements vfs.File. It returns no descriptor, so that no access bypasses the disk.
func (f *file) Fd() uintptr { return vfs.InvalidFd }
