package diskstore

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The inventory is a small file beside the engine's files. It says that the store exists and lists
// its files, so that a missing or older file differs from an empty store. The copy of the manifest
// lets Repair restore it.
const (
	inventoryFile   = "INVENTORY"
	inventoryTemp   = "INVENTORY.dbtmp"
	manifestCopy    = "INVENTORY.manifest"
	inventoryFormat = 1
	maxInventory    = 1 << 20
	maxInventoryLog = 64 // logs listed; the engine has fewer
)

// inventory is the content of the file: a line of JSON, and a line with its checksum.
type inventory struct {
	Format   int            `json:"format"`
	Store    string         `json:"store"` // random name of the store
	Manifest inventoryPart  `json:"manifest"`
	Logs     []inventoryLog `json:"logs"`
	Damaged  []string       `json:"damaged,omitempty"` // files with damage that stops the engine
}

// inventoryPart is a file whose first bytes do not change.
type inventoryPart struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Sum  uint32 `json:"sum"`
}

// inventoryLog is a log. If it is closed, it has exactly this size and checksum. Otherwise it has
// at least this size.
type inventoryLog struct {
	Number uint64 `json:"number"`
	Closed bool   `json:"closed,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Sum    uint32 `json:"sum,omitempty"`
}

func newInventory() *inventory {
	return &inventory{Format: inventoryFormat, Store: rand.Text()}
}

var errInventory = errors.New("its checksum is wrong")

// readInventory reads the inventory. It returns nil if there is none, and an error that wraps
// errInventory if it cannot be trusted.
func readInventory(fsys vfs.FS, dir string) (*inventory, error) {
	b, err := readFile(fsys, fsys.PathJoin(dir, inventoryFile), maxInventory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body, sum, _ := bytes.Cut(b, []byte("\n"))
	inv := &inventory{}
	if string(sum) != inventorySum(body) || json.Unmarshal(body, inv) != nil {
		return nil, errInventory
	}
	if inv.Format != inventoryFormat {
		return nil, fmt.Errorf("%s has format %d and this ccs knows %d; use the ccs that wrote it", inventoryFile, inv.Format, inventoryFormat)
	}
	return inv, nil
}

func inventorySum(body []byte) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum(body, castagnoli))
}

// write replaces the file.
func (inv *inventory) write(fsys vfs.FS, dir string) error {
	body, err := json.Marshal(inv)
	if err != nil {
		return err
	}
	b := append(append(body, '\n'), inventorySum(body)...)
	temp := fsys.PathJoin(dir, inventoryTemp)
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write %s: %w", inventoryFile, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = fsys.Rename(temp, fsys.PathJoin(dir, inventoryFile))
	}
	if err = errors.Join(err, syncDir(fsys, dir)); err != nil {
		return fmt.Errorf("write %s: %w", inventoryFile, err)
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFile reads a file of at most max bytes.
func readFile(fsys vfs.FS, path string, max int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s is larger than %d bytes", path, max)
	}
	return b, err
}

// openSized opens a file for reading and returns its size.
func openSized(fsys vfs.FS, path string) (vfs.File, int64, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}
