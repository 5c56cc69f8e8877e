package mcsserver

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/payload"
)

// readLoop reads frames until the connection ends, and returns why. Before it would wait for the
// next frame, it stores and acknowledges what came. After such work it returns park instead: a new
// goroutine must go on, so that an idle connection does not keep the stack that the work needed.
func (s *session) readLoop() (park bool, end error) {
	for {
		tag, payload, err := s.in.Next()
		wait := eagerconn.WouldWait(err)
		if errors.Is(err, os.ErrDeadlineExceeded) && s.closedFor() == nil {
			err = s.silent()
			wait = err == nil
		}
		if wait {
			if park, err := s.prepareWait(); park || err != nil {
				return park, err
			}
			continue
		}
		if err != nil {
			return false, err
		}
		s.begun = time.Time{}
		if s.frames == math.MaxInt32 {
			return false, errors.New("the connection has carried as many frames as can be counted")
		}
		s.frames++
		s.heard()
		if n := mcs.LastStreamID(tag, payload); n > s.acked {
			s.acked = n
		}
		if err := s.handle(tag, payload); err != nil {
			return false, err
		}
	}
}

// prepareWait does the work that is due before a wait for the next frame. It returns park if
// another goroutine must wait.
func (s *session) prepareWait() (park bool, err error) {
	worked, err := s.storeAndForget()
	if err != nil {
		return false, err
	}
	s.eager.Wait()
	part := s.partial()
	s.setExpecting(part)
	return worked && !part, nil
}

// partial reports whether a part of a frame has come, or a part of the TLS record that it is in.
func (s *session) partial() bool { return s.in.Buffered() > 0 || s.eager.Partial() }

// handle handles one frame (DEV 5).
func (s *session) handle(tag mcs.Tag, payload []byte) error {
	switch tag {
	case mcs.TagDataMessageStanza:
		return s.handleData(payload)
	case mcs.TagHeartbeatPing:
		return s.handlePing(payload)
	case mcs.TagHeartbeatAck:
		s.beats = true
	case mcs.TagIqStanza:
		return s.handleIq(payload)
	case mcs.TagClose:
		return errClosed
	case mcs.TagLoginRequest, mcs.TagLoginResponse, mcs.TagStreamErrorStanza:
		return fmt.Errorf("%s: %w", tag, errUnexpected)
	default:
		// Other frames are obsolete (DEV 4) and ignored, but counted like every frame.
	}
	return nil
}

func (s *session) handleData(frame []byte) error {
	if s.batch == nil {
		s.batch = batches.Get().(*batch)
	}
	m := &s.batch.frame
	if err := m.Unmarshal(append(s.batch.room(len(frame)), frame...)); err != nil {
		return err
	}
	s.owes = true
	if m.Category == mcs.SystemCategory {
		s.handleSystem(m)
		return nil
	}
	up := ccs.Upstream{
		To:           m.To,
		Category:     m.Category,
		ID:           m.ID,
		PersistentID: m.PersistentID,
		Token:        m.RegID,
		TTL:          time.Duration(m.TTL) * time.Second,
		HasTTL:       m.HasTTL || m.TTL != 0,
	}
	if s.android {
		up.ID = m.PersistentID
		if up.Token == "" {
			up.Token = m.From
		}
	}
	if up.ID == "" {
		up.ID = max(m.ID, m.PersistentID)
	}
	up.Data = payload.Data(s.batch.room(len(frame))) // the pairs are a part of the frame
	for _, kv := range m.AppData {
		up.Data = up.Data.Append(kv.Key, kv.Value)
	}
	s.batch.messages = append(s.batch.messages, up)
	s.received++
	if s.batch.bytes += len(frame); len(s.batch.messages) < maxBatch && int64(s.batch.bytes) < min(maxBytes, s.srv.opts.Memory.Share()) {
		return nil
	}
	_, err := s.storeAndForget()
	return err
}

// handleSystem handles a client's message to the server: whether its user is away (DEV 9.4). No app
// server gets it.
func (s *session) handleSystem(m *mcs.DataMessage) {
	value, ok := m.Get(mcs.KeyIdleNotification)
	if !ok {
		return
	}
	s.requestWrite(func() {
		s.idle = value == "true"
		s.wakeUp = s.wakeUp || !s.idle // deferred messages may go
	})
}
