package flowcontrol

import (
	"fmt"
	"sync"
)

// DefaultWindow is the limit of pending messages in each direction of a connection, by the first
// documents of CCS. Later documents say 100 (CCS 4.1, 9 no. 1).
const DefaultWindow = 1000

// Window bounds the number of pending messages. Use NewWindow, or Init where no goroutine waits for
// a slot.
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

// Init makes a window of a size above zero in place, without memory of its own. Freed and Acquire
// must not be used.
func (w *Window) Init(size int) {
	if size <= 0 {
		panic(fmt.Sprintf("flowcontrol: window of size %d", size))
	}
	w.size = size
}

// Size returns the number of slots.
func (w *Window) Size() int { return w.size }

// Pending returns the number of slots that are taken.
func (w *Window) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

// Free returns the number of slots that may be taken.
func (w *Window) Free() int { return w.size - w.Pending() }

// Take takes at most max slots and returns how many it got, perhaps none.
func (w *Window) Take(max int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(max, w.size-w.pending)
	w.pending += n
	return n
}

// Give gives slots back. It panics if more slots are returned than were taken, which is a bug.
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

// Freed returns a channel that receives after a Give. Only one waiter may use it, and must call
// Take again when it receives, because the slot may have been there before.
func (w *Window) Freed() <-chan struct{} { return w.freed }
