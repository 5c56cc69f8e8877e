package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The committer adds a sync mark to each batch, which says which batches were on disk at that
// time. It goes into the log only. After damage, the marks that follow distinguish promised data
// from a write that a crash cut short.
//
// The engine's own chunks carry an offset for that. It is too low, because the engine does not
// count full blocks. It also protects only blocks before the one that carries it.
const (
	syncMarkPrefix = "ccs.sync."
	syncMarkLen    = len(syncMarkPrefix) + 8
)

// appendSyncMark says that all batches below a sequence number of the engine are on disk.
func appendSyncMark(dst []byte, below uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, syncMarkPrefix...), below)
}

// batchHead is the head of a record in a log.
type batchHead struct {
	seq, count uint64
}

func readBatchHead(rec []byte) (h batchHead, ok bool) {
	head, ok := batchrepr.ReadHeader(rec)
	return batchHead{uint64(head.SeqNum), uint64(head.Count)}, ok
}

// syncedBelow returns the number in a batch's sync mark, or 0 if it has none.
func syncedBelow(rec []byte) uint64 {
	r := batchrepr.Read(rec)
	below := uint64(0)
	for {
		kind, key, _, ok, err := r.Next()
		if err != nil || !ok {
			return below
		}
		if kind == pebble.InternalKeyKindLogData && len(key) == syncMarkLen && string(key[:len(syncMarkPrefix)]) == syncMarkPrefix {
			below = binary.BigEndian.Uint64(key[len(syncMarkPrefix):])
		}
	}
}

// logRead is the readable part of a log.
type logRead struct {
	size    int64
	valid   int64 // bytes that hold whole records
	records int   // records that change data
	next    uint64
	trailer bool
	bad     *badChunk // where the reader cannot read on, nil at the end of the log

	// The rest describes the data from bad on.
	flipped       bool   // one bit of the chunk differs
	following     int    // valid chunks
	followingMark uint64 // the highest sync mark
	followingSync int64  // the highest offset up to which the log was on disk
	padding       bool   // bad is padding, and a valid chunk comes right after it
	nextBatch     batchHead
}

// readLog reads a log, calling fn with each record.
func readLog(f vfs.File, size int64, number uint64, fn func(rec []byte) error) (*logRead, error) {
	l := &logRead{size: size}
	r := newChunkReader(f, size, chunkFormat{isLog: true, number: uint32(number)})
	for {
		rec, at, err := r.next()
		if err == nil {
			h, ok := readBatchHead(rec)
			if ok {
				l.valid, l.next = r.offset(), h.seq+h.count
				if h.count > 0 {
					l.records++
				}
				if fn != nil {
					if err := fn(rec); err != nil {
						return nil, err
					}
				}
				continue
			}
			err = &badChunk{offset: at, record: at, err: errors.New("not a batch")}
		}
		switch {
		case err == io.EOF:
			return l, nil
		case err == errLogTrailer:
			l.trailer = true
			return l, nil
		case errors.As(err, &l.bad):
			return l, l.lookOn(r)
		}
		return nil, err
	}
}

// lookOn collects the facts that distinguish damage from a torn tail, after the reader has met an
// invalid chunk.
func (l *logRead) lookOn(r *chunkReader) error {
	l.flipped = r.flipped(r.block[r.pos:])
	blockEnd := r.start + chunkBlock
	var rec []byte
	inside := false
	return r.follow(func(c chunk, at int64) {
		l.following++
		l.followingSync = max(l.followingSync, c.synced)
		l.padding = l.padding || l.bad.err == errChunkPadding && at == blockEnd
		if c.first {
			rec, inside = rec[:0], true
		}
		if !inside {
			return
		}
		if rec = append(rec, c.payload...); !c.last {
			return
		}
		inside = false
		h, ok := readBatchHead(rec)
		if !ok {
			return
		}
		if l.nextBatch == (batchHead{}) {
			l.nextBatch = h
		}
		l.followingMark = max(l.followingMark, syncedBelow(rec))
	})
}

// damaged returns why the log is known to be damaged, or "". The newest log may end with a torn
// tail. Any other log was closed.
func (l *logRead) damaged(newest bool) (reason string) {
	switch {
	case l.bad == nil && !newest && !l.trailer && l.records > 0:
		return "it has no trailer, which it got when the next log was begun"
	case l.bad == nil:
		return ""
	case !newest:
		return "it was closed, and ends before its trailer"
	case l.next > 0 && l.followingMark > l.next, l.next == 0 && l.followingMark > 0 && l.followingMark >= l.nextBatch.seq:
		return "a later record says that this one was on disk"
	case l.followingSync > l.bad.offset:
		return "a later chunk says that this one was on disk"
	case l.padding:
		return "a valid chunk follows"
	case l.flipped:
		return "one bit differs from what was written"
	}
	return ""
}

// follows says in words how much can still be read after the damage.
func (l *logRead) follows() string {
	switch {
	case l.following == 0:
		return "nothing readable follows"
	case l.nextBatch.seq > l.next && l.next > 0:
		return fmt.Sprintf("%d changes are unreadable, and %d readable chunks follow", l.nextBatch.seq-l.next, l.following)
	}
	return fmt.Sprintf("%d readable chunks follow", l.following)
}

// sumFile returns the checksum of a file's first bytes.
func sumFile(f io.ReaderAt, size int64) (uint32, error) {
	sum := crc32.New(castagnoli)
	if n, err := io.Copy(sum, io.NewSectionReader(f, 0, size)); err != nil || n < size {
		return 0, errors.Join(err, shortErr(n, size))
	}
	return sum.Sum32(), nil
}

func shortErr(n, size int64) error {
	if n < size {
		return fmt.Errorf("%d bytes instead of %d", n, size)
	}
	return nil
}
