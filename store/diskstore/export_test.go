package diskstore

import (
	"bytes"
	"fmt"
	"time"
)

// Hurried makes the store wait for less.
func (o Options) Hurried(patience, lookEvery, closeTimeout time.Duration) Options {
	o.patience, o.lookEvery, o.closeTimeout = patience, lookEvery, closeTimeout
	return o
}

// Fatal is what the engine calls when it cannot go on. It does not return.
func (s *Store) Fatal(reason string) {
	engineLogger{log: s.opts.Logger, store: s, disk: s.disk.Load()}.Fatalf("%s", reason)
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
