package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// These are the tags of the engine's version edits that this reader knows. A store has no others:
// it uses no range keys, blobs or virtual tables.
const (
	tagComparator    = 1
	tagLogNumber     = 2
	tagNextFile      = 3
	tagLastSequence  = 4
	tagCompactTo     = 5
	tagDeletedTable  = 6
	tagPrevLog       = 9
	tagNewTable2     = 100
	tagNewTable4     = 103
	tagRemoveBacking = 106

	customTagEnd        = 1
	customTagMustKnow   = 1 << 6
	engineLevels        = 7
	internalKeyTrailer  = 8
	maxManifestReadable = 256 << 20 // far above maxManifestBytes, at which the engine begins a new one
)

// tableInfo is a manifest's description of a table.
type tableInfo struct {
	number            uint64
	level             int
	size              int64
	smallest, largest []byte // user keys
	lastSeq           uint64
	tag               uint64
	bounds            []byte // part of the edit: all after the size
}

func (t *tableInfo) name() string { return fmt.Sprintf("%06d.sst", t.number) }

func logName(number uint64) string { return fmt.Sprintf("%06d.log", number) }

// manifest is the state after the edits of a manifest.
type manifest struct {
	comparer string
	minLog   uint64 // logs before this one are in tables
	nextFile uint64
	lastSeq  uint64
	tables   map[uint64]*tableInfo
}

var errEdit = errors.New("version edit cannot be read")

// apply applies the version edit in a record. It returns an error that wraps errEdit if it cannot
// read the edit.
func (m *manifest) apply(rec []byte) error {
	d := editReader{rest: rec}
	var deleted []uint64
	var added []*tableInfo
	for len(d.rest) > 0 && d.err == nil {
		switch tag := d.uvarint(); tag {
		case tagComparator:
			m.comparer = string(d.text())
		case tagLogNumber:
			m.minLog = d.uvarint()
		case tagNextFile:
			m.nextFile = d.uvarint()
		case tagLastSequence:
			m.lastSeq = d.uvarint()
		case tagPrevLog, tagRemoveBacking:
			d.uvarint()
		case tagCompactTo:
			d.level()
			d.text()
		case tagDeletedTable:
			d.level()
			deleted = append(deleted, d.uvarint())
		case tagNewTable2, tagNewTable4:
			added = append(added, d.table(tag))
		default:
			d.fail("unknown tag %d", tag)
		}
	}
	if d.err != nil {
		return d.err
	}
	// A table that moves to another level is in both lists.
	for _, number := range deleted {
		delete(m.tables, number)
	}
	for _, t := range added {
		m.tables[t.number] = t
	}
	return nil
}

// editReader parses a version edit. After the first error it returns zeros.
type editReader struct {
	rest []byte
	err  error
}

func (d *editReader) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errEdit, fmt.Sprintf(format, args...))
	}
	d.rest = nil
}

func (d *editReader) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail("a number is cut short")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *editReader) text() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail("a text is cut short")
		return nil
	}
	text := d.rest[:n:n]
	d.rest = d.rest[n:]
	return text
}

func (d *editReader) level() int {
	level := d.uvarint()
	if level >= engineLevels {
		d.fail("level %d", level)
	}
	return int(level)
}

func (d *editReader) table(tag uint64) *tableInfo {
	t := &tableInfo{level: d.level(), number: d.uvarint(), size: int64(d.uvarint()), tag: tag}
	bounds := d.rest
	for _, key := range []*[]byte{&t.smallest, &t.largest} {
		k := d.text()
		if len(k) < internalKeyTrailer {
			d.fail("key of %d bytes", len(k))
			return t
		}
		*key = append([]byte{}, k[:len(k)-internalKeyTrailer]...)
	}
	d.uvarint() // smallest sequence number
	t.lastSeq = d.uvarint()
	for tag == tagNewTable4 {
		tag := d.uvarint()
		if tag == customTagEnd || d.err != nil {
			break
		}
		if tag&customTagMustKnow != 0 {
			d.fail("unknown field %d of a table", tag)
		}
		d.text()
	}
	t.bounds = append([]byte{}, bounds[:len(bounds)-len(d.rest)]...)
	return t
}

// snapshot returns one version edit that leads to the state.
func (m *manifest) snapshot() []byte {
	b := binary.AppendUvarint(nil, tagComparator)
	b = append(binary.AppendUvarint(b, uint64(len(m.comparer))), m.comparer...)
	for _, field := range []struct{ tag, value uint64 }{{tagLogNumber, m.minLog}, {tagNextFile, m.nextFile}, {tagLastSequence, m.lastSeq}} {
		b = binary.AppendUvarint(binary.AppendUvarint(b, field.tag), field.value)
	}
	for _, number := range slices.Sorted(maps.Keys(m.tables)) {
		t := m.tables[number]
		for _, n := range []uint64{t.tag, uint64(t.level), t.number, uint64(t.size)} {
			b = binary.AppendUvarint(b, n)
		}
		b = append(b, t.bounds...)
	}
	return b
}

// manifestRead is the readable part of a manifest file.
type manifestRead struct {
	manifest
	valid int64 // bytes that hold whole records
	bad   *badChunk
	torn  bool // bad is a write that was cut short
}

// readManifest reads a manifest as far as possible.
func readManifest(f vfs.File, size int64) (*manifestRead, error) {
	if size > maxManifestReadable {
		return nil, fmt.Errorf("%d bytes are too many", size)
	}
	m := &manifestRead{manifest: manifest{tables: map[uint64]*tableInfo{}}}
	r := newChunkReader(f, size, chunkFormat{})
	for {
		rec, at, err := r.next()
		if err == nil {
			if err = m.apply(rec); err == nil {
				m.valid = r.offset()
				continue
			}
			err = &badChunk{offset: at, record: at, err: err}
		}
		switch {
		case err == io.EOF:
			return m, nil
		case !errors.As(err, &m.bad):
			return nil, err
		}
		m.torn, err = r.manifestTorn(m.bad)
		return m, err
	}
}

// manifestTorn reports whether an invalid chunk at the reader's place is a write that was cut
// short. The engine syncs every edit before it writes the next, so nothing valid may follow. The
// file must also end within the chunk, or with zeros that a crashed machine left.
func (r *chunkReader) manifestTorn(bad *badChunk) (bool, error) {
	if errors.Is(bad.err, errEdit) {
		return false, nil
	}
	rest := append([]byte{}, r.block[r.pos:]...)
	flipped := r.flipped(rest)
	full := len(r.block) == chunkBlock
	followed := false
	if err := r.follow(func(chunk, int64) { followed = true }); err != nil {
		return false, err
	}
	switch {
	case followed || flipped:
		return false, nil
	case bad.err == io.ErrUnexpectedEOF, !full && bad.err == errChunkLength:
		return true, nil
	}
	return allZero(rest[len(rest)/2:]), nil // a lost write leaves more than a few zeros
}
