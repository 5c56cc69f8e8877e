package load

import (
	"cmp"
	"errors"
	"time"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// inFlight is a slot in a connection's window, and the message in it.
type inFlight struct {
	stream   *stream
	seq      int64
	due      time.Duration // since the start of the run
	nth      int64         // number of the message on the connection
	again    bool          // it was sent before
	answered func(ccsclient.Reply)
}

// make makes the next message in the slot f. full says that there was no free slot at first.
func (a *appServer) make(f *inFlight, due time.Duration, full bool) *inFlight {
	r := a.run
	now := r.now()
	if r.schedule == nil {
		due = now
	} else {
		r.lateness.record(a.number, a.times.sent(due, now, full))
	}
	s := a.streams[a.made%int64(len(a.streams))]
	f.stream, f.seq, f.due, f.nth, f.again = s, s.sent, due, a.made, false
	a.made++
	s.sent++
	s.lastDue = due
	r.down.sent.Add(1)
	if r.plan.wantsReceipt(f.seq) {
		r.receipts.requested.Add(1)
	}
	return f
}

// message returns the message to send.
func (a *appServer) message(f *inFlight) ccsclient.Message {
	p, s := a.run.plan, sequence{run: a.run.id, stream: f.stream.id, seq: f.seq, due: f.due, again: f.again}
	m := ccsclient.Message{
		To:               f.stream.device.token,
		MessageID:        a.text.messageID(s),
		TTL:              cmp.Or(p.TTLs.At(f.seq), ccsclient.NowOrNever),
		Priority:         p.Priorities.At(f.seq),
		ReceiptRequested: p.wantsReceipt(f.seq),
		Object:           stanza.Object(a.text.object(s, p.Payload.At(f.seq))),
	}
	if p.CollapseKeys > 0 {
		m.CollapseKey = a.run.collapseKeys[f.seq%int64(p.CollapseKeys)]
	}
	return m
}

// grow sets the connection's slots for messages in flight to the given number, or to its maximum.
func (a *appServer) grow(places int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ; a.places < min(places, cap(a.free)); a.places++ {
		f := &inFlight{}
		f.answered = func(r ccsclient.Reply) { a.answer(f, r) }
		a.free <- f
	}
}

// answer handles the server's answer, or the lack of one. It runs on the client's reading
// goroutine.
func (a *appServer) answer(f *inFlight, r ccsclient.Reply) {
	if r.Err != nil {
		a.refused(f, r.Err)
		return
	}
	a.run.down.acked.Add(1)
	a.run.acks.record(a.number, a.run.now()-f.due)
	a.free <- f
}

// refused handles a nack, or the end or draining of the connection without an answer (CCS 3.7).
func (a *appServer) refused(f *inFlight, reason error) {
	var nack *ccsclient.Nack
	if !errors.As(reason, &nack) || nack.Code == stanza.ConnectionDraining {
		a.retryLater(f)
		return
	}
	f.stream.account.refuse(f.seq, f.due)
	a.run.nacked(nack.Code)
	a.free <- f
}

// retryLater keeps a message for the next connection.
func (a *appServer) retryLater(f *inFlight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.again = true
	a.again = append(a.again, f)
	a.waiting.Add(1)
}

func (a *appServer) nextRetry() *inFlight {
	if a.waiting.Load() == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.again[0]
	a.again = a.again[1:]
	a.waiting.Add(-1)
	return f
}

// countUnanswered returns the number of messages that were never answered. serve must have ended.
func (a *appServer) countUnanswered() (unanswered int64) {
	for f := a.nextRetry(); f != nil; f = a.nextRetry() {
		f.stream.account.refuse(f.seq, f.due)
		unanswered++
	}
	return unanswered
}
