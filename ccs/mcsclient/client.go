package mcsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/flowcontrol"
)

var (
	// ErrClosed says that Close ended the connection.
	ErrClosed = errors.New("mcsclient: client closed")
	// ErrClosedByServer says that the server ended the connection with a Close frame.
	ErrClosedByServer = errors.New("mcsclient: closed by the server")
	// ErrHeartbeat says that the server did not answer a ping.
	ErrHeartbeat = errors.New("mcsclient: no answer to a heartbeat")
)

// Client is one connection of a device, after login.
type Client struct {
	// Static after start.
	opts     Options
	conn     net.Conn
	log      *zap.Logger
	android  bool
	interval time.Duration       // of heartbeats; 0 means none
	window   *flowcontrol.Window // one slot for each unacknowledged upstream message
	ended    chan struct{}       // closed when everything has ended

	// Owned by readLoop.
	in    *mcs.Reader
	acked []*outgoing
	frame mcs.DataMessage // reused for each message if Options.Reuse is set
	given Message

	mu        sync.Mutex // guards the rest
	stream    stream
	out       *buffer       // frames that wait for the writer; nil if there are none
	writer    chan struct{} // closed when the writer ends; nil without a writer
	err       error         // the reason why the connection ended
	lastFrame time.Time     // time of the last frame from the server
	pinged    bool          // a ping was sent after lastFrame
	heartbeat *time.Timer
}

func newClient(conn net.Conn, o Options) *Client {
	return &Client{
		opts:    o,
		conn:    conn,
		log:     o.Logger.Named("mcsclient"),
		android: isAndroid(o.ClientID),
		window:  flowcontrol.NewWindow(o.Window),
		ended:   make(chan struct{}),
		// The server may send frames of any size: they only cost memory of this process.
		in: mcs.NewReader(conn, mcs.MaxLogin),
	}
}

// start starts the goroutines and the heartbeat after the login.
func (c *Client) start(resp *mcs.LoginResponse) {
	c.opts.Received = nil
	c.interval = c.opts.HeartbeatInterval
	if c.interval == 0 {
		c.interval = DefaultHeartbeatInterval
	}
	if cfg := resp.HeartbeatConfig; cfg != nil && cfg.IntervalMS > 0 {
		c.interval = time.Duration(cfg.IntervalMS) * time.Millisecond
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastFrame = time.Now()
	if c.interval > 0 {
		c.heartbeat = time.AfterFunc(c.interval, c.sendHeartbeat)
	}
	go c.readLoop()
}

// Send sends a message, and waits while the window is full. It returns when the message is in the
// write buffer. done, which may be nil, is called once: when the server has acknowledged the
// message, or with the connection's error when the connection has ended without that. The caller
// must not change m until then.
func (c *Client) Send(ctx context.Context, m *Upstream, done func(error)) error {
	if err := c.window.Acquire(ctx, c.ended); err != nil {
		if errors.Is(err, flowcontrol.ErrStopped) {
			return c.Err()
		}
		return fmt.Errorf("mcsclient: wait for a slot of the window: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		c.window.Give(1)
		return c.err
	}
	m.prepare(c.android)
	n := c.writeLocked(func(b []byte, last int32) []byte {
		return m.append(b, c.android, last, time.Now())
	})
	c.stream.upstream.push(&outgoing{m: m, n: n, done: done})
	return nil
}

// Received returns the persistent ids of received messages whose acknowledgement the server may
// not have. Pass them to the next Dial.
func (c *Client) Received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, r := range c.stream.received.all() {
		ids = append(ids, r.id)
	}
	return ids
}

// Unacked returns the messages that were sent and are not acknowledged, oldest first, without
// those that are NowOrNever. Send them again unchanged over the next connection.
func (c *Client) Unacked() []*Upstream {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ms []*Upstream
	for _, o := range c.stream.upstream.all() {
		if o.m.TTL != NowOrNever {
			ms = append(ms, o.m)
		}
	}
	return ms
}

// closeTimeout bounds how long Close waits for its last frames to be written.
const closeTimeout = 5 * time.Second

// Close acknowledges the received messages, sends a Close frame and returns when the connection
// has ended. It must not be called from OnMessage or a done function.
func (c *Client) Close() error {
	c.mu.Lock()
	var writer chan struct{}
	if c.err == nil {
		c.ackLocked()
		c.writeLocked(func(b []byte, _ int32) []byte { return mcs.AppendFrame(b, mcs.TagClose, nil) })
		c.err = ErrClosed
		writer = c.writer
	}
	c.mu.Unlock()
	if writer != nil {
		timeout := time.NewTimer(closeTimeout)
		defer timeout.Stop()
		select {
		case <-writer:
		case <-timeout.C:
		}
	}
	_ = c.conn.Close()
	<-c.ended
	return nil
}

// Done returns a channel that is closed when the connection has ended and every done function has
// been called.
func (c *Client) Done() <-chan struct{} { return c.ended }

// Err returns the reason why the connection ended. It is ErrClosed after Close, and nil before the
// end.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection; the first reason counts. The read loop does the rest.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	_ = c.conn.Close()
}

// sendHeartbeat pings a silent server, and ends the connection if the server stays silent (DEV 8).
func (c *Client) sendHeartbeat() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	idle := time.Since(c.lastFrame)
	switch {
	case c.pinged:
		c.mu.Unlock()
		c.fail(ErrHeartbeat)
		return
	case idle >= c.interval:
		c.pinged = true
		c.writeLocked(func(b []byte, last int32) []byte {
			return mcs.AppendHeartbeat(b, mcs.TagHeartbeatPing, last)
		})
		c.heartbeat.Reset(c.opts.HeartbeatTimeout)
	default:
		c.heartbeat.Reset(c.interval - idle)
	}
	c.mu.Unlock()
}
