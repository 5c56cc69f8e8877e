package mcsserver

import (
	"slices"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// maxHeld is how many messages wait in memory for an idle device to become active; further ones are not delayed.
const maxHeld = 100

// hold keeps a message back that is to wait until the device is active (CCS 5.4); false if it is to go out now. A
// message that is never stored cannot wait: it is dropped (CCS 5.2).
func (s *session) hold(d *ccs.Delivery, idle bool) bool {
	if !idle || !d.Message.WhenActive || len(s.held) >= maxHeld || !s.mayKeep() {
		return false
	}
	if d.Stored() {
		s.held = append(s.held, d.Entry)
		s.keep(&d.Entry)
	}
	return true
}

// replaceHeld drops the held message that an entry has replaced in the queue by its collapse key.
func (s *session) replaceHeld(e *store.Entry) {
	if e.Collapse == "" || len(s.held) == 0 {
		return
	}
	s.held = slices.DeleteFunc(s.held, func(h store.Entry) bool {
		replaced := h.App == e.App && h.Collapse == e.Collapse
		if replaced {
			s.unkeep(h)
		}
		return replaced
	})
}

// unhold puts what was held before what comes next: the device is active.
func (s *session) unhold() {
	if len(s.held) > 0 {
		s.stash = append(s.held, s.stash...)
		s.held = nil
	}
}

// maxKept is how many bytes of messages a session keeps in memory that it has claimed and not offered.
const maxKept = 1 << 20

// mayKeep reports whether another message may be kept.
func (s *session) mayKeep() bool { return s.kept < min(maxKept, s.srv.opts.Memory.Share()) }

// keep counts a message that is put into held or stash.
func (s *session) keep(e *store.Entry) {
	n := int64(len(e.Body))
	s.kept += n
	s.srv.opts.Memory.Add(n)
}

// unkeep counts messages that leave held or stash.
func (s *session) unkeep(entries ...store.Entry) {
	n := int64(0)
	for i := range entries {
		n += int64(len(entries[i].Body))
	}
	s.kept -= n
	s.srv.opts.Memory.Add(-n)
}

// unkeepAll counts that all of held and stash is given up.
func (s *session) unkeepAll() {
	s.srv.opts.Memory.Add(-s.kept)
	s.kept = 0
}
