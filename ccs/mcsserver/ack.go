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

// handleIq takes the acknowledgements that a device sends by themselves (DEV 7.2). A StreamAck has said all with its
// last_stream_id_received.
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
	made := make(map[store.ID]int64, len(ack.IDs)) // ids that the server made, with their times
	names := make(map[string]bool)
	for _, text := range ack.IDs {
		if micros, id, ok := mcs.ParsePersistentID(text); ok {
			made[store.ID(id)] = micros
		} else {
			names[text] = true
		}
	}
	s.takeAcked() // what was acknowledged before goes first
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(func(o offered) bool {
		micros, ok := made[o.id]
		return ok && micros == o.micros || o.named(names)
	})
	return nil
}

// take moves messages from what is in flight to what is done, and frees their slots. It needs mu.
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

// storeAndForget stores the upstream messages that came, forgets the downstream messages that were acknowledged,
// and lets the writer tell the device. It acknowledges nothing that is not stored (DEV 10). It reports whether the
// store had work.
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
			// They stay, and so does what the device is told; the next frame is another try.
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

// process moves processed on to handled, unless the store has not forgotten yet what the device acknowledged before.
// The caller must hold s.mu.
func (s *session) process() {
	if s.forgetting || len(s.unforgotten) > 0 {
		return
	}
	s.processed = s.handled
	s.ackDue = s.ackDue || s.ackOwed
	s.ackOwed = false
}

// forgetAsync has the store forget what is done, and waits for nothing: the device hears of it with the next frame that
// is for it. It returns false, and does nothing, if there is nothing to forget, if a receipt must be stored first, if
// something has expired, while an earlier call is under way, or if the store cannot do it.
func (s *session) forgetAsync() bool {
	if len(s.done) == 0 {
		return false
	}
	ids := make([]store.ID, 0, len(s.done))
	for i := range s.done {
		if s.done[i].owed() != nil || s.done[i].aside == expired {
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

// beginForgetting reports whether no other forgetAsync is under way or failed.
func (s *session) beginForgetting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgetting || len(s.unforgotten) > 0 {
		return false
	}
	s.forgetting = true
	return true
}

// forgot ends forgetAsync. What the store could not forget is tried again with the next frame.
func (s *session) forgot(done []offered, err error) {
	s.requestWrite(func() {
		s.forgetting = false
		if err != nil {
			s.unforgotten = done
		}
		s.process()
	})
}

// While the store cannot take upstream messages, nothing more is read from the device: what it sends after them then
// cannot overtake them.
const (
	upstreamRetry    = 250 * time.Millisecond
	upstreamPatience = 30 * time.Second // then the session ends; clients wait for twice as long for a heartbeat (DEV 8)
)

// sendUpstream has the router take messages on. It tries again for a while if the store is unavailable.
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
		// What is for now or never has been offered (CCS 5.2).
		batch = slices.DeleteFunc(batch, func(m ccs.Upstream) bool { return m.HasTTL && m.TTL == 0 })
	}
}

// takeAcked moves what was acknowledged by its number from what is in flight. A number that is ahead of our frames
// means no later ones.
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

// sweepEvery is how often messages that nobody acknowledges are looked through for expired ones.
const sweepEvery = time.Minute

// takeExpired moves what has expired from what is in flight, without the receipt that it would have asked for. There
// are devices that never acknowledge anything on a connection (DEV 13); their windows would fill for good.
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
		s.done[acked+i].aside = expired
	}
}

var finished = sync.Pool{New: func() any { return new(ccs.Finished) }}

// forget ends the life of messages that the device has, or that have expired.
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
		if has[i].aside == expired {
			f.Expired(has[i].id)
		} else {
			f.Add(has[i].id, has[i].owed())
		}
	}
	return s.box.Forget(s.srv.ctx, f)
}
