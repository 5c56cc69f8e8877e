package ccsclient

import (
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/stanza"
)

// maxBatch is the maximum number of answers that leave the window at once.
const maxBatch = 256

// serve runs the connection until it ends. When it returns, its goroutines have ended and every
// message has been answered.
func (c *Client) serve() {
	var loops sync.WaitGroup
	loops.Go(c.writeLoop)
	loops.Go(c.callbackLoop)

	err := c.readLoop()
	c.flushAnswers()
	c.mu.Lock()
	if c.hungUp || err == io.ErrUnexpectedEOF && c.ended {
		err = nil // some servers answer the end of the stream by closing the connection
	}
	c.mu.Unlock()
	if err == io.EOF { // answer the server's end of the stream, unless it was the answer to ours
		err = nil
		c.mu.Lock()
		c.end()
		c.mu.Unlock()
		timer := time.NewTimer(c.options.CloseTimeout)
		select {
		case <-c.written:
		case <-timer.C:
		}
		timer.Stop()
	}
	c.fail(err)
	c.answerRest()
	loops.Wait()
	c.log.Debug("connection closed", zap.Error(c.err))
	close(c.done)
}

func (c *Client) readLoop() error {
	for i := range c.early {
		if err := c.handle(&c.early[i]); err != nil {
			return err
		}
	}
	c.early = nil
	var e stanza.Element
	for {
		if !c.in.Ready() {
			c.flushAnswers()
		}
		if err := c.in.Next(&e); err != nil {
			return err
		}
		if err := c.handle(&e); err != nil {
			return err
		}
	}
}

// handle processes one element. An error ends the connection.
func (c *Client) handle(e *stanza.Element) error {
	switch {
	case e.Local == "message" && e.Type == "error":
		c.stanzaError(e)
	case e.Local == "message" && e.HasPayload:
		c.message(e.Payload)
	case e.Local == "iq" && (e.Type == "get" || e.Type == "set"):
		c.answerIQ(e)
	case isStreamError(e):
		return decodeStreamError(e)
	}
	return nil
}

// message processes an answer, or a message from a device or the server itself.
func (c *Client) message(payload []byte) {
	var o stanza.Outbound
	if err := stanza.DecodeOutbound(payload, &o); err != nil {
		c.log.Warn("message that is none of CCS", zap.Error(err))
		return
	}
	switch o.Type {
	case stanza.TypeAck:
		c.answered(Reply{Ack: Ack{MessageID: o.MessageID, RegistrationID: o.RegistrationID}})
	case stanza.TypeNack:
		if o.Error == stanza.ConnectionDraining {
			c.drain()
		}
		c.answered(Reply{Ack: Ack{MessageID: o.MessageID}, Err: &Nack{MessageID: o.MessageID, Code: o.Error, Description: o.Description}})
	default:
		// Answers that arrived first are called back first.
		c.flushAnswers()
		if o.Type == stanza.TypeControl && o.ControlType == string(stanza.ConnectionDraining) {
			c.drain()
		}
		c.mu.Lock()
		c.queue = append(c.queue, o)
		c.mu.Unlock()
		signal(c.arrived)
	}
}

// drain makes Send refuse because the server will close the connection.
func (c *Client) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	c.refuse()
}

// answered stores an answer for flushAnswers, so that under load one lock serves many.
func (c *Client) answered(r Reply) {
	c.batch = append(c.batch, answer{reply: r})
	if len(c.batch) == maxBatch {
		c.flushAnswers()
	}
}

// flushAnswers frees the slots of the answered messages, then calls back.
func (c *Client) flushAnswers() {
	if len(c.batch) == 0 {
		return
	}
	c.mu.Lock()
	before := len(c.inFlight)
	for i := range c.batch {
		a := &c.batch[i]
		a.done = c.inFlight[a.reply.MessageID]
		delete(c.inFlight, a.reply.MessageID)
	}
	freed := before - len(c.inFlight)
	c.mu.Unlock()
	c.window.Give(freed)
	for i := range c.batch {
		a := &c.batch[i]
		if a.done == nil {
			c.log.Debug("answer to nothing in flight", zap.String("message_id", a.reply.MessageID))
			continue
		}
		a.done(a.reply)
	}
	clear(c.batch)
	c.batch = c.batch[:0]
}

// answerRest answers each message in flight with the error that no answer will come.
func (c *Client) answerRest() {
	c.mu.Lock()
	rest := c.inFlight
	c.inFlight = nil
	err := ErrClosed
	if c.err != nil {
		err = fmt.Errorf("%w: %w", ErrClosed, c.err)
	}
	c.mu.Unlock()
	c.window.Give(len(rest))
	for id, done := range rest {
		done(Reply{Ack: Ack{MessageID: id}, Err: err})
	}
}

// stanzaError handles a stanza error, which the server sends if it could not attribute a problem
// to a message_id. If the echoed stanza contains one, the error answers that message (CCS 3.3).
func (c *Client) stanzaError(e *stanza.Element) {
	var content struct {
		Error struct {
			Code string `xml:"code,attr"`
			Text string `xml:"text"`
		} `xml:"error"`
	}
	if err := e.Decode(&content); err != nil {
		c.log.Warn("stanza error", zap.Error(err))
		return
	}
	var in stanza.Inbound
	_ = stanza.DecodeInbound(e.Payload, nil, &in) // the server complains about this very error
	id := in.Downstream.MessageID
	c.log.Warn("stanza error", zap.String("message_id", id), zap.String("code", content.Error.Code), zap.String("reason", content.Error.Text))
	if in.Type == stanza.TypeDownstream && id != "" {
		c.answered(Reply{Ack: Ack{MessageID: id}, Err: &Nack{MessageID: id, Code: stanza.InvalidJSON, Description: content.Error.Text}})
	}
}

// answerIQ answers a ping, and refuses anything else, as RFC 6120 8.2.3 requires.
func (c *Client) answerIQ(e *stanza.Element) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	b := append(c.out, `<iq id="`...)
	b = stanza.AppendEscaped(b, e.ID)
	if e.From != "" {
		b = append(b, `" to="`...)
		b = stanza.AppendEscaped(b, e.From)
	}
	if e.Type == "get" && e.ChildSpace == "urn:xmpp:ping" {
		b = append(b, `" type="result"/>`...)
	} else {
		b = append(b, `" type="error"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`...)
	}
	c.gather(b)
}

// callbackLoop calls the callbacks of Options and acknowledges messages.
func (c *Client) callbackLoop() {
	var batch []stanza.Outbound
	for {
		select {
		case <-c.arrived:
		case <-c.failed:
			return
		}
		clear(batch)
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		c.mu.Unlock()
		for i := range batch {
			o := &batch[i]
			if !c.receive(o) {
				continue
			}
			c.mu.Lock()
			if !c.ended {
				c.gather(stanza.AppendClientAck(c.out, o.From, o.MessageID))
			}
			c.mu.Unlock()
		}
	}
}

// writeLoop writes the gathered stanzas until the end tag of the stream is written or the
// connection fails.
func (c *Client) writeLoop() {
	defer close(c.written)
	var b []byte
	var ends []int
	for {
		select {
		case <-c.gathered:
		case <-c.failed:
			return
		}
		c.mu.Lock()
		b, c.out = c.out, b[:0]
		ends, c.ends = c.ends, ends[:0]
		last := c.ended
		c.mu.Unlock()
		if err := c.write(b, ends); err != nil {
			c.fail(err)
			return
		}
		if last {
			return
		}
	}
}

// write writes stanzas at once, or one by one if ends lists their ends.
func (c *Client) write(b []byte, ends []int) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.options.WriteTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if len(ends) == 0 {
		ends = []int{len(b)}
	}
	from := 0
	for _, end := range ends {
		if _, err := c.conn.Write(b[from:end]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		from = end
	}
	return nil
}

func isStreamError(e *stanza.Element) bool {
	return e.Local == "error" && e.Space == "http://etherx.jabber.org/streams"
}

// decodeStreamError turns a stream error of the server into a Go error. It ignores a text that it
// cannot read.
func decodeStreamError(e *stanza.Element) error {
	var content struct {
		Text string `xml:"text"`
	}
	_ = e.Decode(&content)
	return &StreamError{Condition: e.ChildLocal, Text: content.Text}
}
