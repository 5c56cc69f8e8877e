package mcsclient

import (
	"fmt"
	"sync"
	"time"

	"github.com/openccs/openccs/ccs/mcs"
)

const (
	// writeTimeout is the time that the server has to read written frames.
	writeTimeout = 30 * time.Second
	// keptBuffer is the largest buffer that connections share.
	keptBuffer = 64 << 10
)

// buffer holds frames that are not written yet. A connection without such frames has no buffer.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// ackLocked sends a StreamAck if a received message is unacknowledged. The caller must hold c.mu.
func (c *Client) ackLocked() {
	if c.err == nil && c.opts.Ack != AckNever && c.stream.unreported > 0 {
		c.writeLocked(mcs.AppendStreamAck)
	}
}

// writeLocked counts a frame, leaves it to the writer and returns its number. The connection must
// not have ended. The caller must hold c.mu.
func (c *Client) writeLocked(frame func(b []byte, last int32) []byte) int32 {
	last := c.stream.handled
	if c.opts.Ack == AckNever { // the npm clients never report what they received (DEV 7.1)
		last = 0
	}
	if c.out == nil {
		c.out = buffers.Get().(*buffer)
	}
	c.out.b = frame(c.out.b, last)
	if c.writer == nil {
		c.writer = make(chan struct{})
		go c.writeLoop(c.writer)
	}
	return c.stream.send(last)
}

// writeLoop writes until no frames are left. Frames that gather during one write are written with
// the next.
func (c *Client) writeLoop(ended chan struct{}) {
	defer close(ended)
	for {
		c.mu.Lock()
		out := c.out
		c.out = nil
		if out == nil {
			c.writer = nil
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()

		_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.conn.Write(out.b); err != nil {
			c.fail(fmt.Errorf("mcsclient: write: %w", err))
			return
		}
		if cap(out.b) <= keptBuffer {
			out.b = out.b[:0]
			buffers.Put(out)
		}
	}
}
