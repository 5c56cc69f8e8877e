package mcsserver

import (
	"errors"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// offered is a message that was written to this connection and is not acknowledged.
type offered struct {
	frame   int32
	expires uint32   // Unix time, in seconds; zero if it was never stored
	id      store.ID // zero if it was never stored
	micros  int64    // time of acceptance; its persistent ID is made of it and id
	*extra           // nil for most
}

// extra has the fields that only few messages need.
type extra struct {
	// name is the persistent ID if the server did not make it: a send_error has that of the failed
	// message (DEV 9.3).
	name    string
	receipt *ccs.Receipt // nil if none is owed
}

// expired is the extra of expired messages, which are not acknowledged and owe no receipt.
var expired = &extra{}

func offer(e *store.Entry) offered {
	o := offered{id: e.ID, micros: e.Accepted.UnixMicro()}
	if e.ID != 0 {
		o.expires = uint32(e.Expires.Unix() + 1)
	}
	return o
}

// named reports whether the message has a persistent ID from in, a set of those that the server did
// not make.
func (o offered) named(in map[string]bool) bool { return o.extra != nil && in[o.name] }

// owed returns the receipt that the message owes, or nil.
func (o offered) owed() *ccs.Receipt {
	if o.extra == nil {
		return nil
	}
	return o.receipt
}

// owe records the receipt that a delivery owes, and reports whether it owes one.
func (o *offered) owe(d *ccs.Delivery) bool {
	if d.Message.ReceiptFor == "" {
		return false
	}
	receipt, _ := d.Receipt() // allocates, so only if needed
	o.extra = &extra{receipt: &receipt}
	return true
}

// smallOffer is how many messages are written without a turn.
const smallOffer = 32

// claimRetry is the wait after a failure of the store.
const claimRetry = time.Second

// offer claims at most room messages and appends their frames.
func (s *session) offer(b []byte, room int, processed int32, idle bool) ([]byte, error) {
	if !idle {
		s.undefer()
	}
	entries, err := s.claim(room)
	if err != nil {
		if s.srv.ctx.Err() != nil || errors.Is(err, ccs.ErrDetached) {
			return b, err
		}
		s.srv.router.StoreFailed(s.log(), "claim messages", err)
		time.AfterFunc(claimRetry, func() { s.Wake() })
	}
	turn := s.srv.router.Turn(s.device.Key())
	if len(entries) > smallOffer {
		turn.Begin()
	}
	now := s.srv.router.Now()
	var has []offered // messages that need not be sent
	out := make([]offered, 0, len(entries))
	largest := 0
	var d ccs.Delivery
	told := s.box.Offers()
	for i := range entries {
		e := &entries[i]
		largest = max(largest, len(e.Body))
		s.replaceDeferred(e)
		if !s.box.Open(s.srv.ctx, e, &d) || s.deferMessage(&d, idle) {
			continue
		}
		o := offer(e)
		frame := s.appendEntry(b, &d, &o, processed, now)
		if frame == nil {
			has = append(has, o)
			continue
		}
		b = frame
		s.sent++
		s.delivered++
		told.Add(e.ID, false)
		if o.id != 0 || o.extra != nil {
			o.frame = s.sent
			out = append(out, o)
		}
	}
	turn.End()
	if len(entries) > 0 {
		s.size = int32(largest)
	}
	more := len(entries) == room
	if !more && err == nil {
		s.known = nil
	}
	s.mu.Lock()
	s.inFlight = append(s.inFlight, out...)
	s.window.Take(len(out))
	s.wakeUp = s.wakeUp || more
	s.mu.Unlock()
	told.Done()
	return b, s.forget(has)
}

// claim returns entries to offer, beginning with those in claimed.
func (s *session) claim(room int) ([]store.Entry, error) {
	if len(s.claimed) == 0 {
		return s.box.Claim(s.srv.ctx, room)
	}
	n := min(room, len(s.claimed))
	entries := s.claimed[:n:n]
	s.removeBuffered(entries...)
	if s.claimed = s.claimed[n:]; len(s.claimed) == 0 {
		s.claimed = nil
	}
	if n == room {
		return entries, nil
	}
	more, err := s.box.Claim(s.srv.ctx, room-n)
	return append(entries, more...), err
}
