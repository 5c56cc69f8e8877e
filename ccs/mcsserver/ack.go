package mcsserver

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/store"
)

// handleIq handles a device's selective acknowledgement (DEV 7.2). A StreamAck needs no handling
// beyond its last_stream_id_received.
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
	made := make(map[store.ID]int64, len(ack.IDs)) // IDs that the server made, with their times
	names := make(map[string]bool)
	for _, text := range ack.IDs {
		if micros, id, ok := mcs.ParsePersistentID(text); ok {
			made[store.ID(id)] = micros
		} else {
			names[text] = true
		}
	}
	s.takeAcked() // earlier acknowledgements go first
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(func(o offered) bool {
		micros, ok := made[o.id]
		return ok && micros == o.micros || o.named(names)
	})
	return nil
}

// take moves messages from inFlight to done, and frees their slots. The caller must hold s.mu.
func (s *session) take(which func(offered) bool) {
	before := len(s.inFlight)
	s.inFlight = slices.DeleteFunc(s.inFlight, func(o offered) bool {
		taken := which(o)
		if taken {
			s.done = append(s.done, o)
		}
		return taken
	})
	s.window.Give(before - len(s.inFlight))
	if len(s.inFlight) == 0 {
		s.inFlight = nil
	}
}

// storeAndForget stores the received upstream messages, forgets the acknowledged downstream
// messages, and makes the writer tell the device. It acknowledges nothing that is not stored
// (DEV 10). It reports whether the store had work.
func (s *session) storeAndForget() (worked bool, err error) {
	s.eager.EndTurn()
	if b := s.batch; b != nil {
		if len(b.messages) > 0 {
			worked = true
			if err := s.sendUpstream(b.messages); err != nil {
				return worked, fmt.Errorf("upstream messages: %w", err)
			}
		}
		s.batch = nil // an idle session holds no buffer
		b.done()
	}
	s.takeAcked()
	s.takeExpired()
	if !worked && !s.owes && s.forgetAsync() {
		return false, nil
	}
	if len(s.done) > 0 {
		worked = true
		switch err := s.forget(s.done); {
		case err == nil:
			s.done = nil
		case errors.Is(err, store.ErrUnavailable) && len(s.done) <= s.window.Size():
			// The messages stay in done and the device is not told; the next frame tries again.
			s.srv.router.StoreFailed(s.log(), "forget acknowledged messages", err)
			return worked, nil
		default:
			return worked, fmt.Errorf("acknowledged messages: %w", err)
		}
	}
	owes := s.owes
	s.owes = false
	s.requestWrite(func() {
		s.handled = s.frames
		s.ackOwed = s.ackOwed || owes
		s.process()
	})
	return worked, nil
}

// process sets processed to handled, unless the store has still to forget earlier acknowledged
// messages. The caller must hold s.mu.
func (s *session) process() {
	if s.forgetting || len(s.unforgotten) > 0 {
		return
	}
	s.processed = s.handled
	s.ackDue = s.ackDue || s.ackOwed
	s.ackOwed = false
}

// forgetAsync makes the store forget the messages in done without waiting. The device learns of it
// with the next frame for it. forgetAsync does nothing and returns false in these cases: there is
// nothing to forget, a receipt must be stored first, a message has expired, an earlier call is
// running, or the store cannot do it.
func (s *session) forgetAsync() bool {
	if len(s.done) == 0 {
		return false
	}
	ids := make([]store.ID, 0, len(s.done))
	for i := range s.done {
		if s.done[i].owed() != nil || s.done[i].extra == expired {
			return false
		}
		if s.done[i].id != 0 {
			ids = append(ids, s.done[i].id)
		}
	}
	if len(ids) == 0 || !s.beginForgetting() {
		return false
	}
	done := s.done
	if !s.box.AckAsync(ids, func(err error) { s.forgot(done, err) }) {
		s.mu.Lock()
		s.forgetting = false
		s.mu.Unlock()
		return false
	}
	s.done = nil
	s.requestWrite(func() { s.handled = s.frames; s.process() })
	return true
}

// beginForgetting reports whether no other forgetAsync is running or has failed.
func (s *session) beginForgetting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgetting || len(s.unforgotten) > 0 {
		return false
	}
	s.forgetting = true
	return true
}

// forgot ends forgetAsync. The next frame tries again with what the store could not forget.
func (s *session) forgot(done []offered, err error) {
	s.requestWrite(func() {
		s.forgetting = false
		if err != nil {
			s.unforgotten = done
		}
		s.process()
	})
}

// While the store cannot take upstream messages, nothing more is read from the device. So its later
// messages cannot overtake them.
const (
	upstreamRetry = 250 * time.Millisecond
	// Then the session ends. Clients wait twice as long for a heartbeat (DEV 8).
	upstreamPatience = 30 * time.Second
)

// sendUpstream gives messages to the router. If the store is unavailable, it tries again for a
// while.
func (s *session) sendUpstream(batch []ccs.Upstream) error {
	begun := time.Now()
	for {
		err := s.srv.router.SendUpstream(s.srv.ctx, s.device, batch)
		if err == nil || !errors.Is(err, store.ErrUnavailable) || time.Since(begun) > upstreamPatience {
			return err
		}
		select {
		case <-time.After(upstreamRetry):
		case <-s.srv.ctx.Done():
			return err
		}
		if s.closedFor() != nil {
			return err
		}
		// Now-or-never messages were offered already (CCS 5.2).
		batch = slices.DeleteFunc(batch, func(m ccs.Upstream) bool { return m.HasTTL && m.TTL == 0 })
	}
}

// takeAcked moves messages that were acknowledged by frame number from inFlight to done. A number
// ahead of our frames does not acknowledge later ones.
func (s *session) takeAcked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, s.unforgotten...)
	s.unforgotten = nil
	n := 0
	for n < len(s.inFlight) && s.inFlight[n].frame <= s.acked {
		n++
	}
	s.acked = 0
	if n == 0 {
		return
	}
	s.window.Give(n)
	if n == len(s.inFlight) && len(s.done) == 0 {
		s.done, s.inFlight = s.inFlight, nil
		return
	}
	s.done = append(s.done, s.inFlight[:n]...)
	s.inFlight = slices.Delete(s.inFlight, 0, n)
}

// sweepEvery is how often the unacknowledged messages are checked for expired ones.
const sweepEvery = time.Minute

// takeExpired moves expired messages from inFlight to done, without their receipts. Some devices
// never acknowledge anything on a connection (DEV 13); their windows would stay full.
func (s *session) takeExpired() {
	now := s.srv.router.Now()
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	s.mu.Lock()
	defer s.mu.Unlock()
	acked := len(s.done)
	s.take(func(o offered) bool { return o.expires != 0 && int64(o.expires) <= now.Unix() })
	for i := range s.done[acked:] {
		s.done[acked+i].extra = expired
	}
}

var finished = sync.Pool{New: func() any { return new(ccs.Finished) }}

// forget ends the life of messages that were acknowledged or have expired.
func (s *session) forget(has []offered) error {
	if len(has) == 0 {
		return nil
	}
	f := finished.Get().(*ccs.Finished)
	defer func() {
		f.Reset()
		finished.Put(f)
	}()
	for i := range has {
		if has[i].extra == expired {
			f.Expired(has[i].id)
		} else {
			f.Add(has[i].id, has[i].owed())
		}
	}
	return s.box.Forget(s.srv.ctx, f)
}
