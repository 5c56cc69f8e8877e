// Package atomicfile replaces files atomically: a reader sees the old content or the new content,
// never a part. The same holds for the next start after a crash.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Write replaces the file at path with data. The file has exactly the permissions of perm,
// whatever the umask. Its folder must exist. Errors name the path.
func Write(path string, data []byte, perm os.FileMode) (err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+name+".*") // 0600 until it has all data
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	return replace(f, path)
}

// replace renames a complete temporary file to its final name.
func replace(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// File is a file that is written step by step. Its path has the old content until Commit, and
// keeps it after Abort.
type File struct {
	f    *os.File
	path string // "" if f is the requested file itself, not a temporary file beside it
	done bool
}

// Create begins to write the file at path. As far as possible, it returns an error at once if
// Commit could not replace the file. An existing file keeps its permissions. A new one has the
// same permissions as from os.Create.
//
// Create writes directly to a path that is not a regular file, such as a pipe, because it has no
// content to protect. It also writes directly to everything in /dev, because /dev/stdout may lead
// to a file that other processes have open.
func Create(path string) (*File, error) {
	if strings.HasPrefix(path, "/dev/") {
		return direct(path)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // keep the link
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder", path)
	case !info.Mode().IsRegular():
		return direct(path)
	default:
		old, err := os.OpenFile(path, os.O_WRONLY, 0) // do not replace a file that its owner protects
		if err != nil {
			return nil, err
		}
		old.Close()
	}
	f, err := createBeside(path)
	if err != nil {
		return nil, err
	}
	if info != nil {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			f.Close()
			os.Remove(f.Name())
			return nil, err
		}
	}
	return &File{f: f, path: path}, nil
}

// direct opens the file at path for direct writes.
func direct(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &File{f: f}, nil
}

// createBeside makes a temporary file in the folder of path, with the permissions that the umask
// allows.
func createBeside(path string) (*os.File, error) {
	dir, name := filepath.Split(path)
	const tries = 100
	for try := 1; ; try++ {
		temporary := filepath.Join(dir, "."+name+"."+strconv.FormatUint(uint64(rand.Uint32()), 36))
		f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil || try == tries || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// Write appends b to the new content.
func (w *File) Write(b []byte) (int, error) { return w.f.Write(b) }

// Commit replaces the file at the path with the new content. If that fails, the temporary file
// stays, and the error names it.
func (w *File) Commit() error {
	if w.done {
		return os.ErrClosed
	}
	w.done = true
	if w.path == "" {
		return w.f.Close()
	}
	if err := replace(w.f, w.path); err != nil {
		w.f.Close()
		return fmt.Errorf("%w; what was written is in %s", err, w.f.Name())
	}
	return nil
}

// Abort discards the new content, unless Commit was called.
func (w *File) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	err := w.f.Close()
	if w.path != "" {
		err = errors.Join(err, os.Remove(w.f.Name()))
	}
	return err
}

// syncDir makes a rename durable. File systems that cannot sync a folder do not need it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
