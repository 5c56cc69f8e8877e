package diskstore

import "github.com/cockroachdb/pebble/v2/vfs"

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
