package diskstore

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// WithFS makes the store use a file system that a test can break.
func (o Options) WithFS(fs vfs.FS) Options {
	o.fs = fs
	return o
}

// Comparer is the order of keys in the database.
var Comparer = comparer

// Waiting is how many calls wait for the committer.
func (s *Store) Waiting() (n int) {
	s.committer.mu.Lock()
	defer s.committer.mu.Unlock()
	for _, l := range s.committer.waiting.order {
		n += len(l.works) - l.next
	}
	return n
}

// SealAfter is how long nothing must be written until a sync mark is written.
const SealAfter = sealAfter

// RecordEnds returns where the records of a log end.
func RecordEnds(b []byte, name string) (ends []int) {
	var number uint64
	if _, err := fmt.Sscanf(name, "%d.log", &number); err != nil {
		panic(err)
	}
	r := newChunkReader(bytes.NewReader(b), int64(len(b)), chunkFormat{isLog: true, number: uint32(number)})
	for {
		if _, _, err := r.next(); err != nil {
			return ends
		}
		ends = append(ends, int(r.offset()))
	}
}

// FailedCompactions is how many compactions have failed.
func (s *Store) FailedCompactions() int64 { return s.db.Metrics().Compact.FailedCount }
