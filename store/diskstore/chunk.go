package diskstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
)

// The engine keeps logs and manifests as chunks in blocks. A chunk has a checksum (4 bytes), a
// length (2), a type (1) and a part of a record. In logs, the low half of the log's number (4)
// follows the type, and perhaps an offset up to which the log was on disk (8). The engine takes an
// invalid chunk for the end of the file. This reader distinguishes the end from damage.
const (
	chunkBlock        = 32 << 10
	chunkHeader       = 7
	chunkHeaderLog    = chunkHeader + 4
	chunkHeaderSynced = chunkHeaderLog + 8

	chunkOffLen    = 4
	chunkOffType   = 6
	chunkOffLog    = 7
	chunkOffSynced = 11

	// These are the first of four types: a whole record, and its first, middle and last part.
	chunkPlain  = 1
	chunkLog    = 5
	chunkSynced = 9
	chunkTypes  = 13

	maxFlipHeader = chunkHeaderSynced * 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskSum returns a checksum in the form in which the engine stores it.
func maskSum(sum uint32) uint32 { return bits.RotateLeft32(sum, -15) + 0xa282ead8 }

func unmaskSum(sum uint32) uint32 { return bits.RotateLeft32(sum-0xa282ead8, 15) }

// chunk is one valid chunk.
type chunk struct {
	payload     []byte
	size        int // header included
	first, last bool
	synced      int64 // the log was on disk up to this offset when the chunk was written
}

var (
	errChunkZero    = errors.New("zeros")
	errChunkType    = errors.New("unknown chunk type")
	errChunkOwner   = errors.New("chunk of another file")
	errChunkLength  = errors.New("chunk exceeds its block")
	errChunkSum     = errors.New("wrong checksum")
	errChunkPadding = errors.New("nonzero padding")
	errChunkOrder   = errors.New("record without its first part")
	errLogTrailer   = errors.New("trailer")
)

// chunkFormat says which chunks a file may have.
type chunkFormat struct {
	isLog  bool
	number uint32 // of the log
}

// parse reads the chunk at the start of b, which is the rest of a block.
func (f chunkFormat) parse(b []byte) (c chunk, err error) {
	header := chunkHeader
	if len(b) < header {
		return c, errChunkLength
	}
	sum := binary.LittleEndian.Uint32(b)
	length := int(binary.LittleEndian.Uint16(b[chunkOffLen:]))
	kind := b[chunkOffType]
	switch {
	case sum == 0 && length == 0 && kind == 0:
		return c, errChunkZero
	case kind >= chunkTypes || kind == 0 || f.isLog != (kind >= chunkLog):
		return c, errChunkType
	case kind >= chunkSynced:
		header = chunkHeaderSynced
	case kind >= chunkLog:
		header = chunkHeaderLog
	}
	if header > len(b) {
		return c, errChunkLength
	}
	if f.isLog {
		if number := binary.LittleEndian.Uint32(b[chunkOffLog:]); number != f.number {
			if number == f.number+1 && sum == 0 && length == 0 && kind == chunkLog {
				return c, errLogTrailer
			}
			return c, errChunkOwner
		}
	}
	c.size = header + length
	if c.size > len(b) {
		return c, errChunkLength
	}
	if maskSum(crc32.Checksum(b[chunkOffType:c.size], castagnoli)) != sum {
		return c, errChunkSum
	}
	if header == chunkHeaderSynced {
		c.synced = int64(binary.LittleEndian.Uint64(b[chunkOffSynced:]))
	}
	part := (kind - 1) % 4
	c.first, c.last = part <= 1, part == 0 || part == 3
	c.payload = b[header:c.size]
	return c, nil
}

// flipped reports whether one bit of the chunk at the start of b differs from the written chunk. A
// write that was cut short never looks like that.
func (f chunkFormat) flipped(b []byte) bool {
	trial := bytes.Clone(b)
	for bit := range min(maxFlipHeader, len(b)*8) {
		trial[bit/8] ^= 1 << (bit % 8)
		if _, err := f.parse(trial); err == nil {
			return true
		}
		trial[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := f.parse(b); err != errChunkSum {
		return false
	}
	// The checksum is linear. The change by one bit depends only on the distance of the bit from
	// the end.
	header := chunkHeader
	switch kind := b[chunkOffType]; {
	case kind >= chunkSynced:
		header = chunkHeaderSynced
	case kind >= chunkLog:
		header = chunkHeaderLog
	}
	size := header + int(binary.LittleEndian.Uint16(b[chunkOffLen:]))
	diff := crc32.Checksum(b[chunkOffType:size], castagnoli) ^ unmaskSum(binary.LittleEndian.Uint32(b))
	var effect [8]uint32
	for bit := range effect {
		effect[bit] = castagnoli[1<<bit]
	}
	for range size - chunkOffType {
		for bit := range effect {
			if effect[bit] == diff {
				return true
			}
			effect[bit] = castagnoli[effect[bit]&0xff] ^ effect[bit]>>8
		}
	}
	return false
}

// chunkReader reads the records of a log or manifest, a block at a time.
type chunkReader struct {
	chunkFormat
	r    io.ReaderAt
	size int64

	buf   [chunkBlock]byte
	block []byte // the current block
	start int64  // offset of the block
	pos   int    // in the block
	rec   []byte
}

func newChunkReader(r io.ReaderAt, size int64, format chunkFormat) *chunkReader {
	return &chunkReader{chunkFormat: format, r: r, size: size}
}

// offset returns the offset of the reader in the file.
func (r *chunkReader) offset() int64 { return r.start + int64(r.pos) }

// load reads the block that begins at an offset. It returns io.EOF after the end of the file.
func (r *chunkReader) load(start int64) error {
	r.start, r.pos = start, 0
	n := min(chunkBlock, r.size-start)
	r.block = r.buf[:max(0, n)]
	if n <= 0 {
		return io.EOF
	}
	if _, err := r.r.ReadAt(r.block, start); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// badChunk says where the reader cannot read on.
type badChunk struct {
	offset int64
	record int64 // start of the record that the chunk is part of
	err    error
}

func (e *badChunk) Error() string { return fmt.Sprintf("%v at offset %d", e.err, e.offset) }
func (e *badChunk) Unwrap() error { return e.err }

// next returns the next record, valid until the next call, and its offset. It returns io.EOF at
// the end of a file that ends with a whole record, errLogTrailer at a log's trailer, and *badChunk
// where it cannot read on.
func (r *chunkReader) next() (rec []byte, at int64, err error) {
	r.rec = r.rec[:0]
	if r.block == nil {
		if err := r.load(0); err != nil {
			return nil, 0, err
		}
	}
	for inside := false; ; {
		rest := r.block[r.pos:]
		padding := len(rest) < chunkHeader || r.isLog && len(rest) < chunkHeaderSynced && allZero(rest[:chunkHeader])
		if padding && (len(r.block) == chunkBlock || len(rest) == 0) {
			if !allZero(rest) {
				return nil, 0, r.bad(errChunkPadding, inside, at)
			}
			err := r.load(r.start + chunkBlock)
			if err == io.EOF && inside {
				return nil, 0, r.bad(io.ErrUnexpectedEOF, inside, at)
			}
			if err != nil {
				return nil, r.offset(), err
			}
			continue
		}
		c, err := r.parse(rest)
		switch {
		case err == errLogTrailer && !inside:
			return nil, r.offset(), err
		case err != nil:
			return nil, 0, r.bad(err, inside, at)
		case c.first == inside:
			return nil, 0, r.bad(errChunkOrder, inside, at)
		}
		if !inside {
			at, inside = r.offset(), true
		}
		r.pos += c.size
		if c.last && len(r.rec) == 0 {
			return c.payload, at, nil
		}
		if r.rec = append(r.rec, c.payload...); c.last {
			return r.rec, at, nil
		}
	}
}

func (r *chunkReader) bad(err error, inside bool, record int64) error {
	b := &badChunk{offset: r.offset(), record: record, err: err}
	if !inside {
		b.record = b.offset
	}
	return b
}

// follow calls fn with each valid chunk after the reader's place, at any offset.
func (r *chunkReader) follow(fn func(c chunk, at int64)) error {
	for pos := r.pos + 1; ; pos = 0 {
		for pos+chunkHeader <= len(r.block) {
			if pos = r.candidate(pos); pos < 0 {
				break
			}
			c, err := r.parse(r.block[pos:])
			if err != nil {
				pos++
				continue
			}
			fn(c, r.start+int64(pos))
			pos += c.size
		}
		if err := r.load(r.start + chunkBlock); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// candidate returns the next place in the block, from pos on, where a chunk may begin, or -1.
func (r *chunkReader) candidate(pos int) int {
	if !r.isLog {
		return pos
	}
	if pos+chunkHeaderLog > len(r.block) {
		return -1
	}
	i := bytes.Index(r.block[pos+chunkOffLog:], binary.LittleEndian.AppendUint32(nil, r.number))
	if i < 0 {
		return -1
	}
	return pos + i
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
