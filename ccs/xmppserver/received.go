package xmppserver

import "sync"

// received carries what the peer sends from readLoop to serveLoop, a batch at a time. The window bounds what is in
// it.
type received[M any] struct {
	batch []M // owned by readLoop: decoded since the last hand-over
	taken []M // owned by serveLoop

	mu      sync.Mutex
	pending []M
	bytes   int64 // of the stanzas that pending came in
}

// handOver gives serveLoop what readLoop has gathered, which came in so many bytes. It reports whether there was any.
func (b *received[M]) handOver(bytes int64) bool {
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

// swap swaps out what was handed over, and says in how many bytes it came. It is the caller's until the next take.
func (b *received[M]) swap() (_ []M, bytes int64) {
	clear(b.taken)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken, b.pending = b.pending, b.taken[:0]
	bytes, b.bytes = b.bytes, 0
	return b.taken, bytes
}

// shrink gives up the memory of the last batches: the session is idle.
func (b *received[M]) shrink() {
	b.taken = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		b.pending = nil
	}
}
