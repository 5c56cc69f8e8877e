package flowcontrol

import (
	"fmt"
	"sync"
)

// DefaultWindow is how many messages may be pending in each direction of a connection, by the first
// documents of CCS; later ones say 100 (CCS 4.1, 9 no. 1).
const DefaultWindow = 1000

// Window bounds how much may be pending. Make one with NewWindow, or with Init where nobody waits for a slot.
type Window struct {
	size  int
	freed chan struct{} // capacity 1: a slot came free since it was last received from

	mu      sync.Mutex
	pending int
}

// NewWindow makes a window of a size above zero.
func NewWindow(size int) *Window {
	w := &Window{freed: make(chan struct{}, 1)}
	w.Init(size)
	return w
}

// Init makes a window of a size above zero in place, without memory of its own. Freed and Acquire must not be used.
func (w *Window) Init(size int) {
	if size <= 0 {
		panic(fmt.Sprintf("flowcontrol: window of size %d", size))
	}
	w.size = size
}

// Size is how many slots there are.
func (w *Window) Size() int { return w.size }

// Pending is how many slots are taken.
func (w *Window) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

// Free is how many slots may be taken.
func (w *Window) Free() int { return w.size - w.Pending() }

// Take takes at most max slots and returns how many it got, perhaps none.
func (w *Window) Take(max int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(max, w.size-w.pending)
	w.pending += n
	return n
}

// Give gives slots back. To give back what was never taken is a bug, and panics.
func (w *Window) Give(n int) {
	if n == 0 {
		return
	}
	w.mu.Lock()
	w.pending -= n
	pending := w.pending
	w.mu.Unlock()
	if n < 0 || pending < 0 {
		panic(fmt.Sprintf("flowcontrol: %d slots given back, %d were taken", n, pending+n))
	}
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// Freed receives after a Give. One waiter may use it, and has to call Take again when it does: the
// slot may have been there before.
func (w *Window) Freed() <-chan struct{} { return w.freed }
