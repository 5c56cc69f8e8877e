package mcsserver

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"openccs/ccs"
	"openccs/ccs/mcs"
)

// readLoop reads frames until the connection ends, and returns why. Whenever the next one would have to
// be waited for, what came is stored and acknowledged.
func (s *session) readLoop() error {
	for {
		if !s.in.Ready() || len(s.batch) >= maxBatch {
			if err := s.settle(); err != nil {
				return err
			}
		}
		tag, payload, err := s.in.Next()
		if err != nil {
			return err
		}
		s.frames++
		if n := mcs.LastStreamID(tag, payload); n > s.acked {
			s.acked = n
		}
		if err := s.handle(tag, payload); err != nil {
			return err
		}
	}
}

// handle deals with one frame (DEV 5).
func (s *session) handle(tag mcs.Tag, payload []byte) error {
	switch tag {
	case mcs.TagDataMessageStanza:
		return s.handleData(payload)
	case mcs.TagHeartbeatPing:
		var ping mcs.Heartbeat
		if err := ping.Unmarshal(payload); err != nil {
			return err
		}
		// The answer acknowledges every frame before it, so that they are dealt with first.
		if err := s.settle(); err != nil {
			return err
		}
		flood := false
		s.kick(func() {
			s.pings++
			s.status = ping.Status
			flood = s.pings > maxPings
		})
		if flood {
			return errPingFlood
		}
	case mcs.TagHeartbeatAck:
	case mcs.TagIqStanza:
		return s.handleIq(payload)
	case mcs.TagClose:
		return io.EOF
	default:
		return fmt.Errorf("%s from a device", tag)
	}
	return nil
}

func (s *session) handleData(payload []byte) error {
	var m mcs.DataMessage
	if err := m.Unmarshal(bytes.Clone(payload)); err != nil {
		return err
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
	for _, kv := range m.AppData {
		up.Data = up.Data.Append(kv.Key, kv.Value)
	}
	s.batch = append(s.batch, up)
	s.received++
	return nil
}

// handleIq takes the acknowledgements that a device sends by themselves (DEV 7.2). A StreamAck has said
// all with its last_stream_id_received.
func (s *session) handleIq(payload []byte) error {
	var iq mcs.IqStanza
	if err := iq.Unmarshal(payload); err != nil {
		return err
	}
	if iq.ExtensionID != mcs.ExtensionSelectiveAck {
		return nil
	}
	var ack mcs.SelectiveAck
	if err := ack.Unmarshal(iq.ExtensionData); err != nil {
		return err
	}
	listed := make(map[pid]bool, len(ack.IDs))
	for _, text := range ack.IDs {
		if micros, id, ok := mcs.ParsePersistentID(text); ok {
			listed[pid{micros, id}] = true
		}
	}
	s.mu.Lock()
	kept := s.inFlight[:0]
	for _, o := range s.inFlight {
		if listed[o.pid] {
			s.done = append(s.done, o)
		} else {
			kept = append(kept, o)
		}
	}
	s.inFlight = kept
	s.mu.Unlock()
	return nil
}

// settle stores the upstream messages that came, forgets the downstream messages that were acknowledged,
// and lets the pump tell the device. It acknowledges nothing that is not stored (DEV 10).
func (s *session) settle() error {
	stored := len(s.batch) > 0
	if stored {
		if err := s.srv.router.SendUpstream(s.srv.ctx, s.device, s.batch); err != nil {
			return fmt.Errorf("upstream messages: %w", err)
		}
		clear(s.batch)
		s.batch = s.batch[:0]
	}
	s.mu.Lock()
	n := 0
	for n < len(s.inFlight) && s.inFlight[n].frame <= s.acked {
		n++
	}
	if n > 0 {
		s.done = append(s.done, s.inFlight[:n]...)
		s.inFlight = s.inFlight[:copy(s.inFlight, s.inFlight[n:])]
		if len(s.inFlight) == 0 && cap(s.inFlight) > claimBatch {
			s.inFlight = nil // an idle session holds no buffer
		}
	}
	s.mu.Unlock()
	if len(s.done) > 0 {
		if err := s.forget(s.done); err != nil {
			return fmt.Errorf("acknowledged messages: %w", err)
		}
		clear(s.done)
		if s.done = s.done[:0]; cap(s.done) > claimBatch {
			s.done = nil
		}
	}
	s.kick(func() {
		s.processed = s.frames
		s.ackDue = s.ackDue || stored
	})
	return nil
}
