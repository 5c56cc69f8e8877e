package mcsclient

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/mcs"
)

// readLoop handles the server's frames until the connection ends, and then cleans up.
func (c *Client) readLoop() {
	defer close(c.ended)
	for {
		tag, payload, err := c.in.Next()
		if err == nil {
			err = c.handle(tag, payload)
		}
		if err != nil {
			c.finish(err)
			return
		}
		if c.opts.Ack == AckBatch && !c.in.Ready() {
			c.mu.Lock()
			c.ackLocked()
			c.mu.Unlock()
		}
	}
}

// handle processes one frame. The frame counts as handled when OnMessage has returned, so no
// acknowledgement is sent before that.
func (c *Client) handle(tag mcs.Tag, payload []byte) error {
	c.mu.Lock()
	c.lastFrame, c.pinged = time.Now(), false
	c.acked = c.stream.confirm(mcs.LastStreamID(tag, payload), c.acked[:0])
	c.mu.Unlock()
	c.completeAcked(nil)

	switch tag {
	case mcs.TagDataMessageStanza:
		return c.handleData(payload)
	case mcs.TagHeartbeatPing:
		return c.handlePing(payload)
	case mcs.TagIqStanza:
		if err := c.handleIq(payload); err != nil {
			return err
		}
	case mcs.TagStreamErrorStanza: // a Close or the end follows (DEV 5)
		var m mcs.StreamError
		if err := m.Unmarshal(payload); err != nil {
			return err
		}
		c.log.Info("stream error", zap.String("type", m.Type), zap.String("reason", m.Text))
	case mcs.TagHeartbeatAck:
	case mcs.TagClose:
		return ErrClosedByServer
	default:
		return fmt.Errorf("unexpected %s from the server", tag)
	}
	c.mu.Lock()
	c.stream.handle("")
	c.mu.Unlock()
	return nil
}

func (c *Client) handleData(payload []byte) error {
	d, m := &c.frame, &c.given
	if !c.opts.Reuse { // OnMessage may keep the message
		d, m = new(mcs.DataMessage), new(Message)
		payload = bytes.Clone(payload)
	}
	if err := d.Unmarshal(payload); err != nil {
		return err
	}
	m.set(d)
	id := m.PersistentID
	if c.opts.Reuse {
		id = strings.Clone(id)
	}
	// Debug would allocate even when disabled.
	if entry := c.log.Check(zap.DebugLevel, "message"); entry != nil {
		entry.Write(zap.String("message_id", id), zap.String("app", m.Category))
	}
	c.opts.OnMessage(m)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream.handle(id)
	if every := int(c.opts.Ack); every > 0 && id != "" &&
		(m.ImmediateAck || c.stream.unreported%every == 0) {
		c.ackLocked()
	}
	return nil
}

func (c *Client) handlePing(payload []byte) error {
	var ping mcs.Heartbeat
	if err := ping.Unmarshal(payload); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream.handle("")
	if c.err != nil {
		return nil
	}
	c.writeLocked(func(b []byte, last int32) []byte {
		return mcs.AppendFrame(b, mcs.TagHeartbeatAck, &mcs.Heartbeat{LastStreamID: last, Status: ping.Status})
	})
	return nil
}

func (c *Client) handleIq(payload []byte) error {
	var iq mcs.IqStanza
	if err := iq.Unmarshal(payload); err != nil {
		return err
	}
	if iq.ExtensionID != mcs.ExtensionSelectiveAck {
		return nil // a StreamAck has no content but its last_stream_id_received
	}
	var ack mcs.SelectiveAck
	if err := ack.Unmarshal(iq.ExtensionData); err != nil {
		return err
	}
	c.mu.Lock()
	c.acked = c.stream.confirmIDs(ack.IDs, c.acked[:0])
	c.mu.Unlock()
	c.completeAcked(nil)
	return nil
}

// completeAcked frees the slots of the messages in c.acked, and calls their done functions.
func (c *Client) completeAcked(err error) {
	for _, o := range c.acked {
		c.window.Give(1)
		if o.done != nil {
			o.done(err)
		}
	}
	clear(c.acked)
}

// finish ends the writer and the heartbeat, and calls done for unacknowledged messages.
func (c *Client) finish(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the server ended the connection without a Close
	}
	if err != ErrClosedByServer {
		err = fmt.Errorf("mcsclient: read: %w", err)
	}
	c.fail(err)
	c.mu.Lock()
	err = c.err
	if c.heartbeat != nil {
		c.heartbeat.Stop()
	}
	writer := c.writer
	// The unacknowledged messages stay in the stream, for Unacked.
	c.acked = append(c.acked[:0], c.stream.upstream.all()...)
	c.mu.Unlock()
	if writer != nil {
		<-writer
	}
	c.completeAcked(err)
	c.log.Debug("connection ended", zap.Error(err))
}
