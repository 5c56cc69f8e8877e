package mcsserver

import (
	"slices"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// maxHeld is how many messages an idle device may have in deferred. Further ones are not delayed.
const maxHeld = 100

// deferMessage defers a message that must wait until the device is active (CCS 5.4), or returns
// false if it must go out now. It drops such a message if it is never stored, because that cannot
// wait (CCS 5.2).
func (s *session) deferMessage(d *ccs.Delivery, idle bool) bool {
	if !idle || !d.Message.WhenActive || len(s.deferred) >= maxHeld || !s.mayBuffer() {
		return false
	}
	if d.Stored() {
		s.deferred = append(s.deferred, d.Entry)
		s.addBuffered(&d.Entry)
	}
	return true
}

// replaceDeferred drops the deferred message that e has collapsed in the queue.
func (s *session) replaceDeferred(e *store.Entry) {
	if e.Collapse == "" || len(s.deferred) == 0 {
		return
	}
	s.deferred = slices.DeleteFunc(s.deferred, func(h store.Entry) bool {
		replaced := h.App == e.App && h.Collapse == e.Collapse
		if replaced {
			s.removeBuffered(h)
		}
		return replaced
	})
}

// undefer moves the deferred messages to the front of claimed, because the device is active.
func (s *session) undefer() {
	if len(s.deferred) > 0 {
		s.claimed = append(s.deferred, s.claimed...)
		s.deferred = nil
	}
}

// maxKept bounds the bytes of claimed messages that a session keeps in memory and has not offered.
const maxKept = 1 << 20

// mayBuffer reports whether another message may be kept.
func (s *session) mayBuffer() bool { return s.buffered < min(maxKept, s.srv.opts.Memory.Share()) }

// addBuffered counts a message that goes into deferred or claimed.
func (s *session) addBuffered(e *store.Entry) {
	n := int64(len(e.Body))
	s.buffered += n
	s.srv.opts.Memory.Add(n)
}

// removeBuffered uncounts messages that leave deferred or claimed.
func (s *session) removeBuffered(entries ...store.Entry) {
	n := int64(0)
	for i := range entries {
		n += int64(len(entries[i].Body))
	}
	s.buffered -= n
	s.srv.opts.Memory.Add(-n)
}

// clearBuffered uncounts all of deferred and claimed.
func (s *session) clearBuffered() {
	s.srv.opts.Memory.Add(-s.buffered)
	s.buffered = 0
}
