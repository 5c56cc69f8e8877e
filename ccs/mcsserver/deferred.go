package mcsserver

import (
	"slices"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// maxHeld is how many messages wait in memory for an idle device to become active; further ones are not delayed.
const maxHeld = 100

// deferMessage keeps a message back that is to wait until the device is active (CCS 5.4); false if it is to go out now. A
// message that is never stored cannot wait: it is dropped (CCS 5.2).
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

// replaceDeferred drops the held message that an entry has replaced in the queue by its collapse key.
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

// undefer puts what was held before what comes next: the device is active.
func (s *session) undefer() {
	if len(s.deferred) > 0 {
		s.claimed = append(s.deferred, s.claimed...)
		s.deferred = nil
	}
}

// maxKept is how many bytes of messages a session keeps in memory that it has claimed and not offered.
const maxKept = 1 << 20

// mayBuffer reports whether another message may be kept.
func (s *session) mayBuffer() bool { return s.buffered < min(maxKept, s.srv.opts.Memory.Share()) }

// addBuffered counts a message that is put into deferred or claimed.
func (s *session) addBuffered(e *store.Entry) {
	n := int64(len(e.Body))
	s.buffered += n
	s.srv.opts.Memory.Add(n)
}

// removeBuffered counts messages that leave deferred or claimed.
func (s *session) removeBuffered(entries ...store.Entry) {
	n := int64(0)
	for i := range entries {
		n += int64(len(entries[i].Body))
	}
	s.buffered -= n
	s.srv.opts.Memory.Add(-n)
}

// clearBuffered counts that all of deferred and claimed is given up.
func (s *session) clearBuffered() {
	s.srv.opts.Memory.Add(-s.buffered)
	s.buffered = 0
}
