package diskstore

import (
	"bytes"
	"fmt"
	"time"

	"github.com/openccs/openccs/store"
)

// Hurried shortens the waits of the store.
func (o Options) Hurried(patience, lookEvery, closeTimeout time.Duration) Options {
	o.patience, o.lookEvery, o.closeTimeout = patience, lookEvery, closeTimeout
	return o
}

// Fatal calls the method that the engine calls when it cannot go on. It does not return.
func (s *Store) Fatal(reason string) {
	engineLogger{log: s.opts.Logger, store: s, disk: s.disk.Load()}.Fatalf("%s", reason)
}

// Comparer is the order of keys in the database.
var Comparer = comparer

// Waiting returns how many calls wait for the committer.
func (s *Store) Waiting() (n int) {
	s.committer.mu.Lock()
	defer s.committer.mu.Unlock()
	for _, l := range s.committer.waiting.order {
		n += len(l.works) - l.next
	}
	return n
}

// FillNewDevices makes the store forget which devices have a note.
func (s *Store) FillNewDevices() {
	for device := range uint64(maxNewDevices) {
		s.newDevices.add(1<<60 + device)
	}
}

// SealAfter is the pause in writing after which a sync mark is written.
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

// FailedCompactions returns how many compactions have failed.
func (s *Store) FailedCompactions() int64 { return s.db.Metrics().Compact.FailedCount }

// Marks are the marks of a queue, by the lease of each.
type Marks struct{ ms marks }

func (m *Marks) Set(id store.ID, l store.Lease) { m.ms.set(id, mark{lease: l}) }
func (m *Marks) Remove(id store.ID)             { m.ms.remove(id) }
func (m *Marks) Empty() bool                    { return m.ms.empty() }

// RemoveLease removes the marks of a lease.
func (m *Marks) RemoveLease(l store.Lease) {
	m.ms.retain(func(_ store.ID, m *mark) bool { return m.lease != l })
}

// Lease returns the lease of an entry's mark.
func (m *Marks) Lease(id store.ID) (store.Lease, bool) {
	if found := m.ms.of(id); found != nil {
		return found.lease, true
	}
	return 0, false
}

// All returns the IDs that have marks.
func (m *Marks) All() (ids []store.ID) {
	m.ms.retain(func(id store.ID, _ *mark) bool { ids = append(ids, id); return true })
	return ids
}

// Cap returns for how many marks there is memory.
func (m *Marks) Cap() (n int) {
	for r := range m.ms {
		n += cap(m.ms[r].all)
	}
	return n
}
