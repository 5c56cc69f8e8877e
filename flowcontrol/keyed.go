package flowcontrol

import (
	"sync"
	"time"
)

// Keyed is a token bucket for each of many keys, such as the addresses of peers. It remembers a
// bounded number of keys. When there is one more, the key that was used least recently is
// forgotten: its bucket is full again. Use NewKeyed.
type Keyed[K comparable] struct {
	max int

	mu    sync.Mutex
	index map[K]int32 // of slots
	slots []keyedSlot[K]
	first int32 // the slot that was used most recently; the slots are a ring in the order of use
}

type keyedSlot[K comparable] struct {
	key        K
	bucket     bucket
	next, prev int32 // used less recently, more recently
}

// NewKeyed returns a Keyed that remembers at most max keys, at least one.
func NewKeyed[K comparable](max int) *Keyed[K] {
	if max < 1 {
		panic("flowcontrol: a Keyed without keys")
	}
	return &Keyed[K]{max: max, index: make(map[K]int32)}
}

// Take takes n tokens from the bucket of a key, or none if there are too few. Without a rate it
// takes none, and the key is not remembered.
func (k *Keyed[K]) Take(key K, r Rate, n int, now time.Time) bool {
	if r.Every <= 0 {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.use(key).take(r, n, now)
}

// Give gives back n tokens that were taken from the bucket of a key and not needed.
func (k *Keyed[K]) Give(key K, r Rate, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, ok := k.index[key]; ok {
		k.slots[at].bucket.give(r, n)
	}
}

// Empty reports whether no token is left in the bucket of a key.
func (k *Keyed[K]) Empty(key K, r Rate, now time.Time) bool {
	if r.Every <= 0 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, known := k.index[key]
	return known && k.use(key).empty(r, now)
}

// Len returns the number of keys that are remembered.
func (k *Keyed[K]) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.slots)
}

// use returns the bucket of a key, which is now the one that was used most recently. The caller
// must hold k.mu.
func (k *Keyed[K]) use(key K) *bucket {
	at, known := k.index[key]
	switch {
	case known && at == k.first:
		return &k.slots[at].bucket
	case known:
		k.unlink(at)
	case len(k.slots) < k.max:
		at = int32(len(k.slots))
		k.slots = append(k.slots, keyedSlot[K]{})
	default:
		at = k.slots[k.first].prev
		k.unlink(at)
		delete(k.index, k.slots[at].key)
	}
	if !known {
		k.slots[at].key, k.slots[at].bucket = key, bucket{}
		k.index[key] = at
	}
	k.linkFirst(at)
	return &k.slots[at].bucket
}

// unlink takes a slot out of the ring. The caller must hold k.mu.
func (k *Keyed[K]) unlink(at int32) {
	s := &k.slots[at]
	k.slots[s.prev].next, k.slots[s.next].prev = s.next, s.prev
	if k.first == at {
		k.first = s.next
	}
}

// linkFirst puts a slot at the beginning of the ring. The caller must hold k.mu.
func (k *Keyed[K]) linkFirst(at int32) {
	s := &k.slots[at]
	s.next, s.prev = at, at
	if len(k.slots) > 1 {
		s.next, s.prev = k.first, k.slots[k.first].prev
		k.slots[s.prev].next, k.slots[s.next].prev = at, at
	}
	k.first = at
}
