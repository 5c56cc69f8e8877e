package flowcontrol

import (
	"context"
	"errors"
)

// ErrStopped says that stop was closed before Acquire got a slot.
var ErrStopped = errors.New("flowcontrol: stopped")

// Acquire takes one slot, and waits until there is one. It returns the cause of ctx if that ends
// first, or ErrStopped if stop is closed first. Any number of goroutines may wait in Acquire; then
// none may receive from Freed.
func (w *Window) Acquire(ctx context.Context, stop <-chan struct{}) error {
	for {
		if w.takeOne() {
			return nil
		}
		select {
		case <-w.freed:
		case <-stop:
			return ErrStopped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// takeOne takes a slot if there is one. A signal in freed may stand for many slots, so it is passed
// on.
func (w *Window) takeOne() bool {
	w.mu.Lock()
	if w.pending >= w.size {
		w.mu.Unlock()
		return false
	}
	w.pending++
	more := w.pending < w.size
	w.mu.Unlock()
	if more {
		select {
		case w.freed <- struct{}{}:
		default:
		}
	}
	return true
}
