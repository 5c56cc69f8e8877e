package diskstore

import (
	"encoding/binary"
	"errors"
	"iter"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// remembered separates strings that are not remembered from those that may be, without a read from
// disk. Nearly every message is new, and a read costs more than the rest of its processing. It is
// a Bloom filter over the keys of all strings. It is gathered from disk in the background when the
// store is opened, and again when too many of its strings have been forgotten. Until it is
// complete, every string may be remembered.
type remembered struct {
	// Owned by the committer.
	filter filter // nil until the first is gathered
	next   filter // being gathered; nil while none is
	count  int    // strings in filter
	added  int    // strings in next that came since the gathering began
	enough int    // strings in filter at which to gather again

	gathered chan gathered // capacity 1
	ending   atomic.Bool
	done     sync.WaitGroup
}

// gathered is the state of the disk when the gathering began.
type gathered struct {
	filter filter
	count  int
	err    error
}

const (
	filterMinBits  = 1 << 20
	filterMaxBits  = 1 << 26 // 8 MiB
	filterBitsEach = 10      // one in a hundred new strings is then looked up
	filterProbes   = 6
)

// start begins to gather. Call it before the committer runs.
func (r *remembered) start(db *pebble.DB) error {
	r.gathered = make(chan gathered, 1)
	return r.gather(db)
}

func (r *remembered) stop() {
	r.ending.Store(true)
	r.done.Wait()
}

func (r *remembered) gather(db *pebble.DB) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixDedup}, UpperBound: []byte{prefixDedup + 1}})
	if err != nil {
		return err
	}
	r.next, r.added = newFilter(2*r.count), 0
	g := gathered{filter: newFilter(2 * r.count)}
	r.done.Go(func() {
		for it.First(); it.Valid() && !r.ending.Load(); it.Next() {
			g.filter.add(it.Key())
			g.count++
		}
		g.err = errors.Join(it.Error(), it.Close())
		r.gathered <- g
	})
	return nil
}

// add notes that a string is remembered.
func (r *remembered) add(key *dedupKey) {
	if r.filter != nil {
		r.filter.add(key[:])
		r.count++
	}
	if r.next != nil {
		r.next.add(key[:])
		r.added++
	}
}

// may reports whether a string may be remembered.
func (r *remembered) may(key *dedupKey) bool { return r.filter == nil || r.filter.has(key[:]) }

// turn installs a gathered filter, and begins with the next when the filter has too many strings.
func (r *remembered) turn(db *pebble.DB) error {
	select {
	case g := <-r.gathered:
		if pebble.IsCorruptionError(g.err) {
			r.next, r.enough = nil, 2*r.count // every string is looked up on disk, or the old filter stays
			return nil
		}
		if g.err != nil {
			return g.err
		}
		for i, word := range g.filter {
			r.next[i] |= word
		}
		r.filter, r.next = r.next, nil
		r.count = g.count + r.added
		if r.enough = 64 * len(r.filter) / filterBitsEach; 64*len(r.filter) == filterMaxBits {
			r.enough = max(r.enough, 2*r.count) // it cannot become better
		}
	default:
	}
	if r.next == nil && r.count > r.enough {
		return r.gather(db)
	}
	return nil
}

// filter is the bits of a Bloom filter; its length is a power of two.
type filter []uint64

func newFilter(strings int) filter {
	n := 1 << bits.Len(uint(strings*filterBitsEach))
	return make(filter, max(filterMinBits, min(filterMaxBits, n))/64)
}

func (f filter) add(key []byte) {
	for at := range probes(key) {
		f[at/64%uint64(len(f))] |= 1 << (at % 64)
	}
}

func (f filter) has(key []byte) bool {
	for at := range probes(key) {
		if f[at/64%uint64(len(f))]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// probes yields the positions of a key's bits. Its hash is as good as two.
func probes(key []byte) iter.Seq[uint64] {
	at, step := binary.LittleEndian.Uint64(key[queueKeyLen:]), binary.LittleEndian.Uint64(key[queueKeyLen+8:])|1
	return func(yield func(uint64) bool) {
		for range filterProbes {
			if !yield(at) {
				return
			}
			at += step
		}
	}
}
