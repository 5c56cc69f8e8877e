package xmppserver

import "sync"

// inbox carries what the peer sends from readLoop to serveLoop, a batch at a time. The window bounds what is in
// it.
type inbox[M any] struct {
	batch []M // owned by readLoop: decoded since the last hand-over
	taken []M // owned by serveLoop

	mu      sync.Mutex
	pending []M
}

// handOver gives serveLoop what readLoop has gathered. It reports whether there was any.
func (b *inbox[M]) handOver() bool {
	if len(b.batch) == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		b.pending, b.batch = b.batch, b.pending[:0]
		return true
	}
	b.pending = append(b.pending, b.batch...)
	clear(b.batch)
	b.batch = b.batch[:0]
	return true
}

// take swaps out what was handed over. It is the caller's until the next take.
func (b *inbox[M]) take() []M {
	clear(b.taken)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken, b.pending = b.pending, b.taken[:0]
	return b.taken
}
