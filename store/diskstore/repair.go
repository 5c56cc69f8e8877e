package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	engine "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// Repaired says what Repair does to a damaged store.
type Repaired struct {
	Dir     string   `json:"dir"`
	Aside   string   `json:"aside,omitempty"` // directory with the damaged files
	Damages []Damage `json:"damages"`
	Lost    []string `json:"lost"` // known losses, a line each
}

// ErrDeclined says that Repair was told not to go on.
var ErrDeclined = errors.New("nothing was changed")

// Repair changes a damaged store so that it opens. Before any change it calls ask with the
// expected losses. It moves damaged files into a new directory beside the store's.
func Repair(ctx context.Context, dir string, o Options, ask func(Repaired) (bool, error)) (*Repaired, error) {
	o.setDefaults()
	s := &Store{opts: o}
	dir, err := s.lockDir(dir, false)
	if err != nil {
		return nil, fmt.Errorf("repair store %s: %w", dir, err)
	}
	r, err := repairLocked(ctx, dir, &o, ask)
	if err = errors.Join(err, s.lock.Close()); err != nil {
		return nil, fmt.Errorf("repair store %s: %w", dir, err)
	}
	return r, nil
}

func repairLocked(ctx context.Context, dir string, o *Options, ask func(Repaired) (bool, error)) (*Repaired, error) {
	in, err := inspect(o.fs, dir)
	if err != nil {
		return nil, err
	}
	if in.empty {
		return nil, errors.New("there is no store in it")
	}
	r := &repair{inspection: in}
	if err := r.plan(ctx, o); err != nil {
		return nil, err
	}
	done := Repaired{Dir: dir, Damages: r.damages, Lost: r.lost}
	if len(r.damages) == 0 {
		return &done, nil
	}
	if ok, err := ask(done); err != nil || !ok {
		return nil, errors.Join(err, ErrDeclined)
	}
	done.Aside, err = r.apply()
	return &done, err
}

// repair is a running repair.
type repair struct {
	*inspection
	lost []string

	newManifest bool     // the manifest is written again
	aside       []string // files to move
	free        uint64   // the next free file number
}

func (r *repair) lose(format string, args ...any) {
	r.lost = append(r.lost, fmt.Sprintf(format, args...))
}

// plan finds all damage, and all data that can be saved.
func (r *repair) plan(ctx context.Context, o *Options) error {
	if r.manifest == nil || r.unsure {
		if err := r.planManifest(); err != nil {
			return err
		}
		r.unsure = false
		for _, check := range []func() error{r.checkOptions, r.checkTables, r.checkLogs} {
			if err := check(); err != nil {
				return err
			}
		}
	}
	if err := r.verifyTables(ctx, o.Report); err != nil {
		return err
	}
	r.free = r.manifest.nextFile
	for _, name := range r.list {
		var number uint64
		if _, err := fmt.Sscanf(name[strings.LastIndexByte(name, '-')+1:], "%d", &number); err == nil {
			r.free = max(r.free, number+1)
		}
	}
	for _, d := range r.damages {
		switch {
		case d.table != nil:
			r.newManifest = true
			switch {
			case d.rest:
				r.lose("%s: %d keys of queues %s", d.File, d.Entries, d.Queues)
			default:
				r.lose("%s: all keys of queues %s that are in no other table", d.File, d.Queues)
			}
		case d.log != 0 && d.Offset < 0:
			r.lose("%s: all changes that were not in tables yet", d.File)
		case d.log != 0:
			r.lose("%s: what was written after offset %d; %s", d.File, d.Offset, d.Follows)
		}
	}
	return nil
}

// planManifest finds the state that the manifest described: from the manifest, its copy, or their
// common edits.
func (r *repair) planManifest() error {
	r.newManifest = true
	copied, name := r.readCopy()
	if r.manifestName == "" {
		r.manifestName = name
		for _, n := range r.list {
			if name == "" && strings.HasPrefix(n, "MANIFEST-") {
				r.manifestName = n // the last one
			}
		}
	}
	own, err := readFile(r.fs, r.fs.PathJoin(r.dir, r.manifestName), maxManifestReadable)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if name == r.manifestName && len(copied) > 0 {
		if whole := append(copied, own[min(len(own), len(copied)):]...); whole != nil {
			if m, err := readManifestBytes(whole); err == nil && m.bad == nil && m.comparer == comparer.Name {
				r.manifest = m
				return nil
			}
		}
	}
	m, err := readManifestBytes(own)
	if err != nil {
		return err
	}
	if m.comparer != comparer.Name {
		return fmt.Errorf("neither %s nor its copy can be read: no manifest says which tables belong to the store; restore a copy", r.manifestName)
	}
	lost := m.salvage(own)
	r.manifest = m
	r.lose("%s: %d bytes of changes to the list of tables; messages in tables that it does not list any more", r.manifestName, lost)
	for _, n := range r.list {
		var number uint64
		if c, _ := fmt.Sscanf(n, "%d.sst", &number); c == 1 && strings.HasSuffix(n, ".sst") && m.tables[number] == nil {
			r.aside = append(r.aside, n)
			r.lose("%s: it is not listed any more, and may have been replaced before", n)
		}
	}
	return nil
}

// readCopy returns the copy of the manifest, if the inventory has its checksum.
func (r *repair) readCopy() (b []byte, name string) {
	if r.inventory == nil {
		return nil, ""
	}
	b, err := readFile(r.fs, r.fs.PathJoin(r.dir, manifestCopy), maxManifestReadable)
	want := r.inventory.Manifest
	if err != nil || int64(len(b)) < want.Size || crc32.Checksum(b[:want.Size], castagnoli) != want.Sum {
		return nil, want.Name
	}
	return b[:want.Size], want.Name
}

// memFile implements a file in memory.
type memFile struct {
	vfs.File
	*bytes.Reader
}

func (f memFile) Read(p []byte) (int, error)              { return f.Reader.Read(p) }
func (f memFile) ReadAt(p []byte, off int64) (int, error) { return f.Reader.ReadAt(p, off) }

func readManifestBytes(b []byte) (*manifestRead, error) {
	return readManifest(memFile{Reader: bytes.NewReader(b)}, int64(len(b)))
}

// salvage applies the readable edits after the damage. It returns the number of bytes that were
// not read.
func (m *manifestRead) salvage(b []byte) (lost int64) {
	if m.bad == nil {
		return 0
	}
	r := newChunkReader(bytes.NewReader(b), int64(len(b)), chunkFormat{})
	for r.start+int64(r.pos) < m.valid || r.block == nil {
		if _, _, err := r.next(); err != nil {
			break
		}
	}
	lost = int64(len(b)) - m.valid
	var rec []byte
	inside := false
	_ = r.follow(func(c chunk, _ int64) {
		if c.first {
			rec, inside = rec[:0], true
		}
		if rec = append(rec, c.payload...); inside && c.last {
			inside = false
			if m.apply(rec) == nil {
				lost -= int64(len(rec))
			}
		}
	})
	m.bad = nil
	return lost
}

// apply carries out the plan. It returns the directory with the damaged files.
func (r *repair) apply() (aside string, err error) {
	if aside, err = r.makeAside(); err != nil {
		return "", err
	}
	for _, d := range r.damages {
		switch {
		case d.log != 0 && !slices.Contains(r.logs, d.log): // it is missing
		case d.log != 0:
			if err := r.rewriteLog(d.log, aside); err != nil {
				return aside, fmt.Errorf("save %s: %w", d.File, err)
			}
		case d.table != nil:
			delete(r.manifest.tables, d.table.number)
			r.aside = append(r.aside, d.File)
			if !d.rest {
				continue
			}
			t, err := r.saveTable(d)
			if err != nil {
				return aside, fmt.Errorf("save %s: %w", d.File, err)
			}
			if t != nil {
				r.manifest.tables[t.number] = t
			}
		case strings.HasPrefix(d.File, optionsPrefix):
			r.aside = append(r.aside, d.File)
		}
	}
	if r.newManifest {
		if err := r.writeManifest(); err != nil {
			return aside, err
		}
	}
	// The next Open makes a new inventory.
	for _, name := range append(r.aside, inventoryFile) {
		err := r.fs.Rename(r.fs.PathJoin(r.dir, name), r.fs.PathJoin(aside, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return aside, err
		}
	}
	return aside, errors.Join(syncDir(r.fs, r.dir), syncDir(r.fs, aside))
}

func (r *repair) makeAside() (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", r.dir, n)
		if _, err := r.fs.Stat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, r.fs.MkdirAll(aside, dirMode)
		} else if err != nil {
			return "", err
		}
	}
}

// number returns a free file number.
func (r *repair) number() uint64 {
	n := r.free
	r.free++
	return n
}

// writeManifest writes the known state of the store as a new manifest, and makes it the current
// one.
func (r *repair) writeManifest() error {
	m := r.manifest
	name := fmt.Sprintf("MANIFEST-%06d", r.number())
	m.nextFile = r.free
	for _, t := range m.tables {
		m.lastSeq = max(m.lastSeq, t.lastSeq)
	}
	f, err := r.fs.Create(r.fs.PathJoin(r.dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := engine.NewWriter(f)
	_, err = w.WriteRecord(m.snapshot())
	if err = errors.Join(err, w.Close(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if r.inventory == nil || name != r.manifestName {
		r.aside = append(r.aside, r.manifestName)
	}
	return errors.Join(r.mark("manifest", name), r.mark("format-version", fmt.Sprintf("%03d", uint64(engineFormat))))
}

// mark moves one of the engine's markers, or makes it.
func (r *repair) mark(marker, value string) error {
	m, old, err := atomicfs.LocateMarker(r.fs, r.dir, marker)
	if err != nil {
		return err
	}
	if old != value {
		err = m.Move(value)
	}
	return errors.Join(err, m.Close())
}

// saveTable writes the readable part of a table as a new table, which replaces it. It returns nil
// if no part is readable.
func (r *repair) saveTable(d Damage) (*tableInfo, error) {
	from, err := r.fs.Open(r.fs.PathJoin(r.dir, d.File))
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(from)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	o := plainOptions(r.fs)
	old, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		return nil, errors.Join(err, readable.Close())
	}
	defer old.Close()
	t := *d.table
	t.number = r.number()
	path := r.fs.PathJoin(r.dir, t.name())
	to, err := r.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	w := sstable.NewRawWriter(objstorageprovider.NewFileWritable(to), o.MakeWriterOptions(t.level, engineFormat.MaxTableFormat()))
	n, err := copyReadable(w, old, d.span)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, r.fs.Remove(path))
	}
	if n == 0 {
		return nil, r.fs.Remove(path)
	}
	info, err := r.fs.Stat(path)
	if err != nil {
		return nil, err
	}
	t.size = info.Size()
	return &t, nil
}

// copyReadable copies the keys before and after the damaged part of a table. It returns how many
// it copied.
func copyReadable(w sstable.RawWriter, r *sstable.Reader, damaged span) (n int, err error) {
	for _, after := range []bool{false, true} {
		it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
		if err != nil {
			return n, err
		}
		kv := it.First()
		if after {
			kv = it.SeekGE(damaged.high, 0)
		}
		for ; kv != nil; kv = it.Next() {
			value, _, err := kv.Value(nil)
			if err == nil {
				err = w.Add(kv.K, value, false)
			}
			if err != nil {
				return n, errors.Join(err, it.Close())
			}
			n++
		}
		_ = it.Close() // the damage, again
	}
	return n, copyRangeDeletions(w, r)
}

func copyRangeDeletions(w sstable.RawWriter, r *sstable.Reader) error {
	it, err := r.NewRawRangeDelIter(context.Background(), sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil || it == nil {
		return err
	}
	defer it.Close()
	s, err := it.First()
	for ; s != nil && err == nil; s, err = it.Next() {
		if err := w.EncodeSpan(*s); err != nil {
			return err
		}
	}
	return err
}

// rewriteLog replaces a log by one with all its readable records.
func (r *repair) rewriteLog(number uint64, aside string) error {
	name := logName(number)
	f, size, err := openSized(r.fs, r.fs.PathJoin(r.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	w := logWriter{number: uint32(number)}
	temp := r.fs.PathJoin(r.dir, fmt.Sprintf("%06d.dbtmp", number))
	if w.f, err = r.fs.Create(temp, vfs.WriteCategoryUnspecified); err != nil {
		return err
	}
	err = salvageLog(f, size, number, w.write)
	if err = errors.Join(err, w.close()); err != nil {
		return errors.Join(err, r.fs.Remove(temp))
	}
	return errors.Join(
		r.fs.Rename(r.fs.PathJoin(r.dir, name), r.fs.PathJoin(aside, name)),
		r.fs.Rename(temp, r.fs.PathJoin(r.dir, name)),
	)
}

// salvageLog calls fn with all readable batches of a log.
func salvageLog(f io.ReaderAt, size int64, number uint64, fn func(rec []byte) error) error {
	r := newChunkReader(f, size, chunkFormat{isLog: true, number: uint32(number)})
	for {
		rec, _, err := r.next()
		if err == io.EOF || err == errLogTrailer {
			return nil
		}
		var bad *badChunk
		if errors.As(err, &bad) {
			break
		}
		if err == nil {
			err = fn(rec)
		}
		if err != nil {
			return err
		}
	}
	var rec []byte
	var failed error
	inside := false
	err := r.follow(func(c chunk, _ int64) {
		if c.first {
			rec, inside = rec[:0], true
		}
		if rec = append(rec, c.payload...); inside && c.last && failed == nil {
			inside = false
			if _, ok := readBatchHead(rec); ok {
				failed = fn(rec)
			}
		}
	})
	return errors.Join(err, failed)
}

// logWriter writes a log.
type logWriter struct {
	f      vfs.File
	number uint32
	block  []byte // data since its start
}

// write appends a record.
func (w *logWriter) write(rec []byte) error {
	for first := true; first || len(rec) > 0; first = false {
		if chunkBlock-len(w.block) < chunkHeaderSynced {
			if err := w.flush(); err != nil {
				return err
			}
		}
		n := min(len(rec), chunkBlock-len(w.block)-chunkHeaderLog)
		kind := byte(chunkLog)
		switch last := n == len(rec); {
		case first && !last:
			kind = chunkLog + 1
		case !first && !last:
			kind = chunkLog + 2
		case !first:
			kind = chunkLog + 3
		}
		at := len(w.block)
		w.block = append(w.block, 0, 0, 0, 0)
		w.block = binary.LittleEndian.AppendUint16(w.block, uint16(n))
		w.block = append(w.block, kind)
		w.block = append(binary.LittleEndian.AppendUint32(w.block, w.number), rec[:n]...)
		binary.LittleEndian.PutUint32(w.block[at:], maskSum(crc32.Checksum(w.block[at+chunkOffType:], castagnoli)))
		rec = rec[n:]
	}
	return nil
}

// flush fills the block with zeros and writes it.
func (w *logWriter) flush() error {
	w.block = append(w.block, make([]byte, chunkBlock-len(w.block))...)
	_, err := w.f.Write(w.block)
	w.block = w.block[:0]
	return err
}

// close ends the log with a trailer.
func (w *logWriter) close() error {
	var err error
	if chunkBlock-len(w.block) < chunkHeaderSynced {
		err = w.flush()
	}
	w.block = append(w.block, 0, 0, 0, 0, 0, 0, chunkLog)
	w.block = binary.LittleEndian.AppendUint32(w.block, w.number+1)
	_, werr := w.f.Write(w.block)
	return errors.Join(err, werr, w.f.Sync(), w.f.Close())
}
