package xmppserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"
	xstanza "mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

// readLoop reads elements until the stream or the session ends, and returns why. It hands over what it
// has whenever the next element would have to be waited for.
func (s *session) readLoop(ctx context.Context) error {
	defer s.handOver(ctx)
	defer s.eager.EndTurn()
	s.eager.Eager(func() eagerconn.Turn { return s.srv.router.Turn(s.messages().key) })
	var el stanza.Element
	for {
		err := s.in.Next(&el)
		if eagerconn.WouldWait(err) {
			s.handOver(ctx)
			s.limitWait(ctx)
			s.eager.Wait()
			continue
		}
		if err != nil {
			if !s.begun.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("a stanza was begun %s ago and not ended: %w", s.srv.opts.StanzaTimeout, err)
			}
			return err
		}
		s.begun = time.Time{}
		if err := s.handle(ctx, &el); err != nil {
			return err
		}
		if el.Local != "iq" {
			s.enableDelivery() // after its answer is on the way
		}
	}
}

// limitWait gives the next read a deadline if a stanza has begun: what a peer begins and does not end would hold its
// buffer for ever. Between stanzas a peer may be silent for as long as it likes.
func (s *session) limitWait(ctx context.Context) {
	if part := s.in.Buffered(); part != s.part {
		s.srv.opts.Memory.Add(part - s.part)
		s.part = part
	}
	var deadline time.Time
	if s.in.Partial() || s.eager.Partial() {
		if s.begun.IsZero() {
			s.begun = time.Now()
		}
		deadline = s.begun.Add(s.srv.opts.StanzaTimeout)
	} else {
		s.begun = time.Time{}
	}
	if deadline == s.deadline {
		return
	}
	s.deadline = deadline
	s.nc.SetReadDeadline(deadline)
	if ctx.Err() != nil {
		s.nc.SetReadDeadline(longAgo) // the deadline above came after the end
	}
}

// handle deals with one element (CCS 1.8).
func (s *session) handle(ctx context.Context, el *stanza.Element) error {
	if el.Space == nsClient {
		switch el.Local {
		case "message":
			return s.handleMessage(ctx, el)
		case "presence":
			return nil
		case "iq":
			s.handOver(ctx) // whoever has the answer may rely on the acks that went before it
			if el.ChildSpace == nsSession {
				s.settling.Reset(settleTime)
			}
			reply, err := s.answerIQ(nil, el)
			if err != nil {
				return err
			}
			return s.reply(ctx, reply, load{})
		}
	}
	return fmt.Errorf("<%s xmlns=%q>: %w", el.Local, el.Space, stream.UnsupportedStanzaType)
}

func (s *session) handleMessage(ctx context.Context, el *stanza.Element) error {
	if el.Type == "error" {
		return nil
	}
	if !el.HasPayload {
		return s.refuseStanza(ctx, el, errNoPayload)
	}
	m, err := s.role.decode(el.Payload)
	switch {
	case err != nil && m.id == "":
		return s.refuseStanza(ctx, el, err)
	case err == nil && (m.typ == stanza.TypeAck || m.typ == stanza.TypeNack):
		return s.acknowledge(ctx, el, m)
	}
	n := int64(len(el.Raw))
	switch slotErr := s.acquireSlot(ctx, n); {
	case slotErr == errOverrun:
		// The answer takes no slot: how many may wait is bounded by reply.
		refusal := &ccs.Refusal{Reason: ccs.WindowExceeded, Detail: strconv.Itoa(s.window.Size())}
		return s.reply(ctx, s.appendNack(nil, m.to, m.id, refusal), load{})
	case slotErr != nil:
		return slotErr
	}
	if err == nil {
		if !s.isDraining() {
			s.role.keep()
			s.kept += n
			return nil
		}
		err = &ccs.Refusal{Reason: ccs.Draining}
	}
	return s.reply(ctx, s.appendNack(nil, m.to, m.id, err), load{1, n})
}

// errOverrun says that the client sent more than the window, where that is not waited for.
var errOverrun = errors.New("window overrun")

// acquireSlot takes a slot of the window for a message of n bytes, waiting while all are taken or the bytes are too many:
// then nothing more is read (CCS 4.1). Slots and bytes come free by our own work, so that this ends.
func (s *session) acquireSlot(ctx context.Context, n int64) error {
	for {
		fits := s.fits(n)
		if fits && s.window.Take(1) == 1 {
			s.room -= n
			return nil
		}
		s.handOver(ctx)
		if fits && s.srv.opts.RefuseOverrun {
			return errOverrun
		}
		select {
		case <-s.window.Freed():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fits reports whether n more bytes may be held. While nothing is held any number may.
func (s *session) fits(n int64) bool {
	if n <= s.room {
		return true
	}
	s.room = s.held.Room() - s.kept
	return n <= s.room || s.held.Held()+s.kept == 0
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// handOver gives serveLoop the messages that were decoded, and the store the acks. It ends the turn of reading.
func (s *session) handOver(ctx context.Context) {
	s.eager.EndTurn()
	bytes := s.kept
	s.kept = 0
	s.held.Add(bytes)
	if s.role.handOver(bytes) {
		s.signal()
	}
	settled := false
	for _, f := range s.feeds {
		settled = f.settle(ctx) || settled
	}
	if settled && s.isDraining() {
		s.signal() // perhaps that was the last
	}
}

// reply leaves an answer for serveLoop to write, which frees what it answers once it is written. While too much
// waits, nothing more is read.
func (s *session) reply(ctx context.Context, b []byte, answers load) error {
	s.held.Add(answers.bytes)
	for {
		s.mu.Lock()
		if len(s.replies) < maxReplies {
			s.replies = append(s.replies, b...)
			s.answers.messages += answers.messages
			s.answers.bytes += answers.bytes
			s.mu.Unlock()
			s.signal()
			return nil
		}
		s.mu.Unlock()
		s.eager.EndTurn()
		select {
		case <-s.written:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

var errNoPayload = &stanza.Error{Code: stanza.InvalidJSON, Description: "InvalidJson: JSON_PARSING_ERROR : Missing gcm element"}

// refuseStanza answers what cannot be laid to a message_id, with the peer's own payload (CCS 3.3).
func (s *session) refuseStanza(ctx context.Context, el *stanza.Element, why error) error {
	text := why.Error()
	if e, ok := why.(*stanza.Error); ok {
		text = e.Description
	}
	s.log.Info("stanza refused", zap.String("reason", text))
	return s.reply(ctx, stanza.AppendStanzaError(nil, s.stanzaError(el, 400, xstanza.BadRequest, text)), load{})
}

func (s *session) stanzaError(el *stanza.Element, code int, condition xstanza.Condition, text string) *stanza.StanzaError {
	return &stanza.StanzaError{
		ID: el.ID, HasID: el.HasID, To: s.jid, Payload: el.Payload, HasPayload: el.HasPayload,
		Code: code, Type: string(xstanza.Modify), Condition: string(condition), Text: text,
	}
}

// wrongAckRate is how many wrong acks of a connection are answered.
var wrongAckRate = flowcontrol.Rate{Every: 100 * time.Millisecond, Burst: 100}

// notOurs is what Google's server said of such an ack (CCS 3.3).
const notOurs = "Received acks for messages not sent over this connection"

// acknowledge takes an ack, or a nack, which means the same here, for a message that this connection
// carried (CCS 3.4). They are never answered themselves, unless they are wrong.
func (s *session) acknowledge(ctx context.Context, el *stanza.Element, m head) error {
	if !m.hasTo {
		return s.reply(ctx, stanza.AppendNack(nil, "", m.id, stanza.BadAck, "Missing Required Field: to"), load{})
	}
	if !s.role.acknowledge(m.id, m.to) {
		s.messages().revive() // perhaps of what was moved: somebody is there
		if !s.wrongAcks.Take(wrongAckRate, 1, time.Now()) {
			return nil // a client that acks whatever it gets would go on for ever (CCS 3.4)
		}
		return s.reply(ctx, stanza.AppendStanzaError(nil, s.stanzaError(el, 406, xstanza.NotAcceptable, notOurs)), load{})
	}
	if m.typ == stanza.TypeNack {
		s.log.Warn("the peer nacked a message, which counts as an ack", zap.String("message_id", m.id))
	}
	return nil
}
