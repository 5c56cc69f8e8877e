package mcsserver

import (
	"errors"
	"time"

	"github.com/openccs/openccs/ccs/mcs"
)

// Clients send a heartbeat after 5 to 30 minutes of silence. They take a server for dead that does
// not answer within a minute (DEV 8). The server does the same.
const (
	maxSilence = 30 * time.Minute // of a device that was told no interval
	pingWait   = 60 * time.Second
	// maxMissed is how many pings in a row a device may leave unanswered, if it is known to answer.
	maxMissed = 2
)

// silence returns how long a device may be silent before it is pinged.
func (o *Options) silence() time.Duration {
	if o.Heartbeat > 0 {
		return o.Heartbeat + pingWait
	}
	return maxSilence
}

// silent handles a silence that lasted too long. A device that has ever sent or answered a
// heartbeat must answer one of two. Some clients never do; the kernel finds the dead ones among
// them (DEV 8).
func (s *session) silent() error {
	if s.partial() {
		return errors.New("a frame was begun and not ended")
	}
	s.beats = s.beats || !s.begun.IsZero() // some bytes came, but not even a part of a frame
	s.begun = time.Time{}
	if s.missed == maxMissed && s.beats {
		return errSilent
	}
	if s.beats {
		s.missed++
		s.transport.silence = pingWait
	}
	s.requestWrite(func() { s.pingDue = true })
	return nil // the reader stores and forgets before it waits again
}

// heard ends the silence.
func (s *session) heard() {
	if s.missed > 0 {
		s.missed, s.transport.silence = 0, s.srv.opts.silence()
	}
}

func (s *session) handlePing(payload []byte) error {
	var ping mcs.Heartbeat
	if err := ping.Unmarshal(payload); err != nil {
		return err
	}
	s.beats = true
	// The answer acknowledges every earlier frame, so they are handled first.
	if _, err := s.storeAndForget(); err != nil {
		return err
	}
	flood := false
	s.requestWrite(func() {
		s.pongs++
		s.status = ping.Status
		flood = s.pongs > maxPongs
	})
	if flood {
		return errPingFlood
	}
	return nil
}
