package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/openccs/openccs/store"
)

const (
	verifyWindow   = 1 << 20 // bytes read at a time
	verifyTellFrom = 2 * time.Second
	verifyTell     = 2 * time.Second
	blockTrailer   = 5 // type and checksum
)

// span is a range of keys. Its ends may be part of it or not.
type span struct{ low, high []byte }

// hold notes the keys in a damaged part of a table.
func (d *Damage) hold(t *tableInfo, s span) {
	d.table, d.span = t, s
	d.Keys = fmt.Sprintf("%s to %s", showKey(s.low), showKey(s.high))
	low, high := queueOf(s.low), queueOf(s.high)
	switch {
	case low != "" && high != "":
		d.Queues = low + " to " + high
	case low != "":
		d.Queues = low + " and all after it"
	case high != "":
		d.Queues = "all up to " + high
	case bytes.Compare(s.low, []byte{prefixEntry}) < 0 && bytes.Compare(s.high, []byte{prefixDedup}) >= 0:
		d.Queues = "all"
	}
}

// queueOf returns the queue of the entry with a key, or "".
func queueOf(key []byte) string {
	if len(key) < queueKeyLen || key[0] != prefixEntry {
		return ""
	}
	return parseQueueKey(key).String()
}

// showKey returns a key for output, without its secrets: tokens and hashes.
func showKey(key []byte) string {
	switch {
	case len(key) == 0:
		return "none"
	case len(key) == entryKeyLen && key[0] == prefixEntry:
		k, id := parseEntryKey(key)
		return fmt.Sprintf("entry %s %d", k, id)
	case len(key) >= queueKeyLen && (key[0] == prefixEntry || key[0] == prefixDedup):
		return fmt.Sprintf("%s of %s", keyKinds[key[0]], parseQueueKey(key))
	case len(key) >= deviceTokenOff && key[0] == prefixDevice:
		return fmt.Sprintf("device %d", binary.BigEndian.Uint64(key[1:]))
	}
	if kind := keyKinds[key[0]]; kind != "" {
		return "a " + kind
	}
	return fmt.Sprintf("a key of kind %q", key[0])
}

var keyKinds = map[byte]string{
	prefixClient: "OAuth client", prefixClientOf: "sender's OAuth client", prefixDevice: "device", prefixRefresh: "refresh token",
	prefixRefreshOf: "client's refresh token", prefixMeta: "counter", prefixPresent: "session note", prefixProject: "project",
	prefixEntry: "entry", prefixDedup: "remembered string", prefixSlot: "registration slot", prefixToken: "registration",
	prefixSecret: "secret", prefixNewcomer: "new device", prefixNewcomers: "new device", prefixRepeats: "marks of messages",
	prefixApp: "app", prefixAppOf: "sender's app", prefixChannel: "channel", prefixChannelOf: "device's channel", prefixUser: "user",
	prefixDaily:      "daily count",
	prefixSubscriber: "topic's subscription", prefixSubscribed: "registration's subscription", prefixGroup: "device group", prefixMember: "group's member", prefixFanout: "fan-out", prefixProgress: "fan-out",
}

// verifyTables reads all tables and checks their checksums. It notes all damage.
func (in *inspection) verifyTables(ctx context.Context, tell func(format string, args ...any)) error {
	if in.manifest == nil || in.unsure {
		return nil
	}
	var all, done int64
	for _, t := range in.manifest.tables {
		all += t.size
	}
	broken := map[uint64]bool{}
	for _, d := range in.damages {
		if d.table != nil {
			broken[d.table.number] = true
		}
	}
	v := tableVerifier{fs: in.fs, dir: in.dir, opts: readerOptions(in.fs), window: make([]byte, verifyWindow)}
	began := time.Now()
	next := began.Add(verifyTellFrom)
	for _, number := range slices.Sorted(maps.Keys(in.manifest.tables)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := in.manifest.tables[number]
		if !broken[number] {
			d, err := v.verify(t)
			if err != nil {
				return fmt.Errorf("read %s: %w", t.name(), err)
			}
			if d != nil {
				in.add(*d)
			}
		}
		done += t.size
		if now := time.Now(); now.After(next) {
			tell("verifying tables: %d of %d MiB, %.0f MiB/s", done>>20, all>>20, float64(done)/(1<<20)/now.Sub(began).Seconds())
			next = now.Add(verifyTell)
		}
	}
	return nil
}

// plainOptions returns the engine's options for reading files without opening a store.
func plainOptions(fsys vfs.FS) *pebble.Options {
	o := (&Store{}).engineOptions(fsys, engineLogger{log: func(string, ...any) {}})
	o.EnsureDefaults()
	return o
}

func readerOptions(fsys vfs.FS) sstable.ReaderOptions { return plainOptions(fsys).MakeReaderOptions() }

// tableVerifier checks tables one after the other.
type tableVerifier struct {
	fs     vfs.FS
	dir    string
	opts   sstable.ReaderOptions
	window []byte
}

// verify returns the damage of a table, or nil.
func (v *tableVerifier) verify(t *tableInfo) (*Damage, error) {
	f, err := v.fs.Open(v.fs.PathJoin(v.dir, t.name()))
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, v.opts)
	if err != nil {
		return whole(t, err), readable.Close()
	}
	defer r.Close()
	if format, err := r.TableFormat(); err != nil || format < sstable.TableFormatPebblev6 {
		return whole(t, errors.New("its footer is damaged")), nil
	}
	layout, err := r.Layout()
	if err != nil {
		return whole(t, err), nil
	}
	at, isData, err := v.blocks(f, t.size, layout)
	switch {
	case err != nil:
		return nil, err
	case at < 0:
		return nil, nil
	case !isData:
		d := whole(t, errors.New("a block of its index or filter is damaged"))
		d.Offset = at
		return d, nil
	}
	return v.narrow(r, t, at)
}

// whole returns the damage of a table of which no part can be relied on.
func whole(t *tableInfo, err error) *Damage {
	d := &Damage{File: t.name(), Offset: -1, Problem: err.Error()}
	d.hold(t, span{t.smallest, t.largest})
	return d
}

// blocks checks all blocks of a table, in the order of the file. It returns the place of the first
// damaged one, or -1, and whether only blocks of data are damaged.
func (v *tableVerifier) blocks(f vfs.File, size int64, l *sstable.Layout) (at int64, onlyData bool, err error) {
	type part struct {
		block.Handle
		data bool
	}
	parts := make([]part, 0, len(l.Data)+len(l.Index)+8)
	for _, h := range l.Data {
		parts = append(parts, part{h.Handle, true})
	}
	others := append(append([]block.Handle{}, l.Index...), l.ValueBlock...)
	others = append(others, l.TopIndex, l.RangeDel, l.RangeKey, l.ValueIndex, l.Properties, l.MetaIndex, l.BlobReferenceIndex)
	for _, h := range l.Filter {
		others = append(others, h.Handle)
	}
	for _, h := range others {
		if h.Length > 0 {
			parts = append(parts, part{h, false})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return int(int64(a.Offset) - int64(b.Offset)) })
	at, onlyData = -1, true
	var have []byte // part of the file, from start
	start := int64(0)
	for _, p := range parts {
		offset, n := int64(p.Offset), int64(p.Length)+blockTrailer
		if offset < 0 || n > size || offset > size-n {
			return offset, false, nil // the index is wrong although its checksum is right
		}
		if offset < start || offset+n > start+int64(len(have)) {
			start = offset
			have = v.window
			if n > int64(len(have)) {
				have = make([]byte, n)
			}
			have = have[:min(int64(len(have)), size-start)]
			if _, err := f.ReadAt(have, start); err != nil {
				return 0, false, err
			}
		}
		b := have[offset-start : offset-start+n]
		if maskSum(crc32.Checksum(b[:n-blockTrailer+1], castagnoli)) == binary.LittleEndian.Uint32(b[n-blockTrailer+1:]) {
			continue
		}
		if at < 0 {
			at = offset
		}
		onlyData = onlyData && p.data
	}
	return at, onlyData, nil
}

// narrow finds the keys between which the damaged blocks of a table are.
func (v *tableVerifier) narrow(r *sstable.Reader, t *tableInfo, at int64) (*Damage, error) {
	d := &Damage{File: t.name(), Offset: at, Problem: "a block has a wrong checksum"}
	s := span{t.smallest, t.largest}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return whole(t, err), nil
	}
	readable := int64(0)
	for kv := it.First(); kv != nil; kv = it.Next() {
		s.low = append(s.low[:0:0], kv.K.UserKey...)
		readable++
	}
	if err := errors.Join(it.Error(), it.Close()); err == nil {
		return d, nil // read twice, and different: the disk is failing
	}
	if it, err = r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles); err != nil {
		return whole(t, err), nil
	}
	for kv := it.Last(); kv != nil; kv = it.Prev() {
		s.high = append(s.high[:0:0], kv.K.UserKey...)
		readable++
	}
	_ = it.Close() // it repeats the error that stopped it
	d.hold(t, s)
	d.rest = true
	if props, err := r.ReadPropertiesBlock(context.Background(), nil); err == nil {
		d.Entries = int64(props.NumEntries) - readable
	}
	return d, nil
}

// Report is the result of Verify.
type Report struct {
	Dir     string   `json:"dir"`
	Tables  int      `json:"tables"`
	Logs    int      `json:"logs"`
	Bytes   int64    `json:"bytes"` // in tables
	Torn    string   `json:"torn,omitempty"`
	Damages []Damage `json:"damages"`
}

// Verify checks all files of a store that no server uses. It changes nothing. Damage is no error.
func Verify(ctx context.Context, dir string, o Options) (*Report, error) {
	o.setDefaults()
	lock, in, err := lockAndInspect(ctx, dir, &o)
	if err != nil {
		return nil, fmt.Errorf("verify store %s: %w", dir, err)
	}
	r := in.report()
	return r, lock.Close()
}

func (in *inspection) report() *Report {
	r := &Report{Dir: in.dir, Logs: len(in.logs), Damages: in.damages}
	if in.manifest != nil {
		r.Tables = len(in.manifest.tables)
		for _, t := range in.manifest.tables {
			r.Bytes += t.size
		}
	}
	if in.torn != nil {
		r.Torn = fmt.Sprintf("%s ends within a record at offset %d; a crash does that, and nothing that was promised is lost",
			logName(in.logs[len(in.logs)-1]), in.torn.valid)
	}
	return r
}

// lockAndInspect locks a directory, which must be a store's, and inspects all of it.
func lockAndInspect(ctx context.Context, dir string, o *Options) (*pebble.Lock, *inspection, error) {
	s := &Store{opts: *o}
	dir, err := s.lockDir(dir, false)
	if err != nil {
		return nil, nil, err
	}
	in, err := inspect(o.fs, dir)
	if err == nil {
		err = in.verifyTables(ctx, o.Report)
	}
	if err == nil && in.empty {
		err = fmt.Errorf("%w: there is no store in it", store.ErrNotFound)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.lock.Close())
	}
	return s.lock, in, nil
}
