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

// readLoop reads elements until the stream or the session ends, and returns why. Before it waits
// for the next element, it passes on what it has.
func (s *session) readLoop(ctx context.Context) error {
	defer s.publishReceived(ctx)
	defer s.eager.EndTurn()
	s.eager.Eager(func() eagerconn.Turn { return s.srv.router.Turn(s.messages().key) })
	var el stanza.Element
	for {
		err := s.in.Next(&el)
		if eagerconn.WouldWait(err) {
			s.publishReceived(ctx)
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
			s.enableDelivery() // after its answer is queued
		}
	}
}

// limitWait sets a deadline for the next read if a stanza has begun, because an unfinished stanza
// would hold its buffer forever. Between stanzas a peer may be silent for any time.
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
		s.nc.SetReadDeadline(longAgo) // the deadline above was set after the end
	}
}

// handle handles one element (CCS 1.8).
func (s *session) handle(ctx context.Context, el *stanza.Element) error {
	if el.Space == nsClient {
		switch el.Local {
		case "message":
			return s.handleMessage(ctx, el)
		case "presence":
			return nil
		case "iq":
			s.publishReceived(ctx) // the answer implies that earlier acks were handled
			if el.ChildSpace == nsSession {
				s.deliveryTimer.Reset(deliveryDelay)
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
		// The answer takes no slot; reply bounds how many may wait.
		refusal := &ccs.Refusal{Reason: ccs.WindowExceeded, Detail: strconv.Itoa(s.window.Size())}
		return s.reply(ctx, s.appendNack(nil, m.to, m.id, refusal), load{})
	case slotErr != nil:
		return slotErr
	}
	if err == nil {
		if !s.isDraining() {
			s.role.collect()
			s.kept += n
			return nil
		}
		err = &ccs.Refusal{Reason: ccs.Draining}
	}
	return s.reply(ctx, s.appendNack(nil, m.to, m.id, err), load{1, n})
}

// errOverrun says that the client sent more than the window, and that readLoop must not wait.
var errOverrun = errors.New("window overrun")

// acquireSlot takes a slot of the window for a message of n bytes. It waits while no slot is free
// or too many bytes are held; nothing more is read then (CCS 4.1). The wait ends, because serveLoop
// frees slots and bytes.
func (s *session) acquireSlot(ctx context.Context, n int64) error {
	for {
		fits := s.fits(n)
		if fits && s.window.Take(1) == 1 {
			s.room -= n
			return nil
		}
		s.publishReceived(ctx)
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

// fits reports whether n more bytes may be held. If none are held, any number fits.
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

// publishReceived passes the decoded messages to serveLoop and the acks to the store. It ends the
// turn of reading.
func (s *session) publishReceived(ctx context.Context) {
	s.eager.EndTurn()
	bytes := s.kept
	s.kept = 0
	s.held.Add(bytes)
	if s.role.publish(bytes) {
		s.signal()
	}
	forgot := false
	for _, q := range s.consumers {
		forgot = q.forgetAcked(ctx) || forgot
	}
	if forgot && s.isDraining() {
		s.signal() // it may have been the last
	}
}

// reply queues an answer for serveLoop, which frees the slots of answers once b is written. While
// too much is queued, reply waits, and nothing more is read.
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

// refuseStanza answers a stanza without a usable message_id with the peer's own payload (CCS 3.3).
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

// wrongAckRate is the rate of wrong acks of a connection that are answered.
var wrongAckRate = flowcontrol.Rate{Every: 100 * time.Millisecond, Burst: 100}

// notOurs is the text of Google's server for such an ack (CCS 3.3).
const notOurs = "Received acks for messages not sent over this connection"

// acknowledge handles an ack for a message that was written to this connection (CCS 3.4). A nack
// counts as an ack here. An ack gets no answer unless it is wrong.
func (s *session) acknowledge(ctx context.Context, el *stanza.Element, m head) error {
	if !m.hasTo {
		return s.reply(ctx, stanza.AppendNack(nil, "", m.id, stanza.BadAck, "Missing Required Field: to"), load{})
	}
	if !s.role.acknowledge(m.id, m.to) {
		s.messages().resume() // the ack may be for a moved message; the peer is alive
		if !s.wrongAcks.Take(wrongAckRate, 1, time.Now()) {
			return nil // a client that acks every stanza would go on forever (CCS 3.4)
		}
		return s.reply(ctx, stanza.AppendStanzaError(nil, s.stanzaError(el, 406, xstanza.NotAcceptable, notOurs)), load{})
	}
	if m.typ == stanza.TypeNack {
		s.log.Warn("the peer nacked a message, which counts as an ack", zap.String("message_id", m.id))
	}
	return nil
}
