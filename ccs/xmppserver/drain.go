package xmppserver

import "time"

// drain starts to drain the session (CCS 3.7).
func (s *session) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.signal()
	s.endWrites(s.srv.opts.DrainMax)
}

// controlID returns the message_id of a control message. Three clients ignore JSON without one
// (CCS 3.7).
func (s *session) controlID() string {
	if s.srv.opts.NoControlID || s.srv.router.Profile().Spellings.NoControlID {
		return ""
	}
	return "drain-" + randomHex(4)
}

// drainPause reports whether a draining session is done. It is done when nothing is outstanding in
// either direction, but not before DrainMin, and at DrainMax anyway. Otherwise again tells when to
// check again.
func (s *session) drainPause() (again <-chan time.Time, done bool) {
	if s.drainedAt.IsZero() {
		return nil, false
	}
	since := time.Since(s.drainedAt)
	o := &s.srv.opts
	switch {
	case since >= o.DrainMax:
		return nil, true
	case since < o.DrainMin:
		return time.After(o.DrainMin - since), false
	}
	return time.After(o.DrainMax - since), s.window.Pending() == 0 && s.messages().window.Pending() == 0
}
