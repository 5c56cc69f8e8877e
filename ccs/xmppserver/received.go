package xmppserver

import "sync"

// received passes messages of the peer from readLoop to serveLoop in batches. The window bounds its
// size.
type received[M any] struct {
	batch []M // owned by readLoop: decoded since the last publish
	taken []M // owned by serveLoop

	mu      sync.Mutex
	pending []M
	bytes   int64 // of the stanzas with pending
}

// publish passes the messages of readLoop to serveLoop; their stanzas have so many bytes. It
// reports whether there were any.
func (b *received[M]) publish(bytes int64) bool {
	if len(b.batch) == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += bytes
	if len(b.pending) == 0 {
		b.pending, b.batch = b.batch, b.pending[:0]
		return true
	}
	b.pending = append(b.pending, b.batch...)
	clear(b.batch)
	b.batch = b.batch[:0]
	return true
}

// swap returns the pending messages and the bytes of their stanzas. The messages belong to the
// caller until the next swap.
func (b *received[M]) swap() (_ []M, bytes int64) {
	clear(b.taken)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken, b.pending = b.pending, b.taken[:0]
	bytes, b.bytes = b.bytes, 0
	return b.taken, bytes
}

// freeMemory frees the memory of the last batches, because the session is idle.
func (b *received[M]) freeMemory() {
	b.taken = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		b.pending = nil
	}
}
