package ccsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/domains"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

// Options configures Dial. The zero value works.
type Options struct {
	TLS          *tls.Config   // default: system roots, and the host of the address as server name
	Logger       *zap.Logger   // default none
	Window       int           // maximum of messages in flight; default flowcontrol.DefaultWindow
	Domain       string        // of stream and user name; default (device.)gcm.googleapis.com
	DialTimeout  time.Duration // from connecting to the session; default 15s
	WriteTimeout time.Duration // for one write to a server that does not read; default 30s
	CloseTimeout time.Duration // for the server to end its side of the stream; default 1s
	OnePerRecord bool          // one write and TLS record per stanza, as simple clients do

	// Dial makes the connection below TLS. Default net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// A callback owns its argument until it returns. It may keep strings and data for ever.

	// OnUpstream gets the messages of devices. A message is acknowledged when OnUpstream returns
	// nil for it. Any other message stays with the server, which sends it again here or elsewhere
	// (CCS 4.3). Default: all of them stay.
	OnUpstream func(*Upstream) error

	// OnReceipt gets delivery receipts, which are always acknowledged. Default ignores them.
	OnReceipt func(*Receipt)

	// OnControl gets control messages, after the client has acted on them. Default ignores them.
	OnControl func(*Control)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Window <= 0 {
		o.Window = flowcontrol.DefaultWindow
	}
	if o.Domain == "" {
		o.Domain = domains.GCM
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 15 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.CloseTimeout == 0 {
		o.CloseTimeout = time.Second
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.OnReceipt == nil {
		o.OnReceipt = func(*Receipt) {}
	}
	if o.OnControl == nil {
		o.OnControl = func(*Control) {}
	}
	return o
}

// Client is a connection to CCS that is logged in.
type Client struct {
	// Static after Dial.
	conn    *tls.Conn
	options Options
	log     *zap.Logger
	jid     string
	ids     *messageIDs
	window  *flowcontrol.Window
	receive receiver // called for each stanza that is not an answer

	// Owned by the reading goroutine.
	in    *stanza.Reader
	early []stanza.Element // arrived before the session was ready
	batch []answer         // answers whose callbacks have not run yet

	refusing chan struct{} // closed when Send takes no more messages
	gathered chan struct{} // capacity 1: out is not empty
	arrived  chan struct{} // capacity 1: queue is not empty
	failed   chan struct{} // closed when no more writes are possible
	written  chan struct{} // closed when the writer has ended
	done     chan struct{} // closed when all goroutines have ended

	mu       sync.Mutex
	inFlight map[string]func(Reply) // by message_id; each has a slot of the window
	out      []byte                 // stanzas to write
	ends     []int                  // end of each stanza in out, if each is written by itself
	queue    []stanza.Outbound      // for the callbacks of Options; the server's window bounds it
	draining bool
	refused  bool // refusing is closed
	ended    bool // the end tag of the stream is in out; nothing may follow it
	hungUp   bool // Close no longer waits for the server, so no end is an error from now on
	isFailed bool // failed is closed
	err      error
}

// answer is a Reply and the callback that gets it.
type answer struct {
	done  func(Reply)
	reply Reply
}

// JID returns the full address that the server bound this connection to.
func (c *Client) JID() string { return c.jid }

// InFlight returns the number of messages in flight.
func (c *Client) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.inFlight)
}

// Draining reports whether the server has announced that it will close the connection (CCS 3.7).
// New messages must then go over another connection. This one still carries answers and the
// messages of devices until Done.
func (c *Client) Draining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// Done returns a channel that is closed when the connection has ended and all callbacks have
// returned.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns the reason why the connection ended. It is nil before Done is closed, and if either
// side ended the stream in order.
func (c *Client) Err() error {
	select {
	case <-c.done:
		if c.err != nil {
			return fmt.Errorf("ccsclient: %w", c.err)
		}
		return nil
	default:
		return nil
	}
}

// Send sends a message. It waits until the window has a free slot, but not for the answer to this
// message. The reading goroutine calls done once with the answer. So done must not wait for
// anything, not for another Send either. If Send returns an error, it does not call done. The
// error is ErrClosed, ErrDraining, ErrDuplicate or that of ctx.
//
// The client does not keep m. It sets the MessageID of a message that has none, and the Reply
// contains it. A caller that may have to send a message again must choose the MessageID itself
// (CCS 4.3).
func (c *Client) Send(ctx context.Context, m *Message, done func(Reply)) error {
	id := m.MessageID
	if id == "" {
		id = c.ids.next()
	}
	d, err := m.downstream(id)
	if err != nil {
		return err
	}
	return c.send(ctx, id, func(b []byte) []byte { return stanza.AppendDownstream(b, &d) }, done)
}

func (c *Client) send(ctx context.Context, id string, write func([]byte) []byte, done func(Reply)) error {
	if err := c.window.Acquire(ctx, c.refusing); err != nil {
		if errors.Is(err, flowcontrol.ErrStopped) {
			return c.refusal()
		}
		return fmt.Errorf("ccsclient: wait for a slot of the window: %w", err)
	}
	err := c.put(id, write, done)
	if err != nil {
		c.window.Give(1)
	}
	return err
}

// SendWait sends a message and waits for its answer. It returns a refusal as an error of type
// *Nack.
func (c *Client) SendWait(ctx context.Context, m *Message) (Ack, error) { return sendWait(ctx, c, m) }

// sendWait implements SendWait for Client and AppServer.
func sendWait(ctx context.Context, by interface {
	Send(context.Context, *Message, func(Reply)) error
}, m *Message) (Ack, error) {
	replies := make(chan Reply, 1)
	if err := by.Send(ctx, m, func(r Reply) { replies <- r }); err != nil {
		return Ack{MessageID: m.MessageID}, err
	}
	select {
	case r := <-replies:
		return r.Ack, r.Err
	case <-ctx.Done():
		return Ack{MessageID: m.MessageID}, fmt.Errorf("ccsclient: wait for the answer to %q: %w", m.MessageID, context.Cause(ctx))
	}
}

// refusal returns the reason why Send takes no messages, or nil.
func (c *Client) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusalLocked()
}

func (c *Client) refusalLocked() error {
	switch {
	case c.ended || c.isFailed:
		return ErrClosed
	case c.draining:
		return ErrDraining
	}
	return nil
}

// put appends a message that has a slot of the window to out.
func (c *Client) put(id string, write func([]byte) []byte, done func(Reply)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refusalLocked(); err != nil {
		return err
	}
	if _, there := c.inFlight[id]; there {
		return fmt.Errorf("%w: %q", ErrDuplicate, id)
	}
	c.inFlight[id] = done
	c.gather(write(c.out))
	return nil
}

// gather replaces out with its extended form, and signals the writer. The caller must hold c.mu.
func (c *Client) gather(out []byte) {
	if len(c.out) == 0 {
		signal(c.gathered)
	}
	c.out = out
	if c.options.OnePerRecord {
		c.ends = append(c.ends, len(out))
	}
}

// signal sends to a channel of capacity 1, unless a signal is already in it.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// refuse makes Send refuse messages. The caller must hold c.mu.
func (c *Client) refuse() {
	if !c.refused {
		c.refused = true
		close(c.refusing)
	}
}

// end appends the end tag of the stream to out. The caller must hold c.mu.
func (c *Client) end() {
	if c.ended || c.isFailed {
		return
	}
	c.gather(append(c.out, "</stream:stream>"...))
	c.ended = true
	c.refuse()
}

// fail ends the connection with a reason, or with nil if the stream just ended. The first reason
// counts.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if !c.isFailed {
		c.isFailed = true
		c.err = err
		c.refuse()
		close(c.failed)
	}
	c.mu.Unlock()
	if err != nil {
		c.hangUp()
	}
	c.conn.Close()
}

// hangUp closes the connection without the closing alert of TLS, which takes seconds if the server
// does not read.
func (c *Client) hangUp() { c.conn.NetConn().Close() }

// Close ends the stream, waits up to CloseTimeout for the server to do the same, and closes the
// connection. Messages without an answer get ErrClosed. When it returns, no callback runs any
// more.
func (c *Client) Close() error {
	c.mu.Lock()
	c.end()
	c.mu.Unlock()
	timer := time.NewTimer(c.options.CloseTimeout)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.mu.Lock()
		c.hungUp = true
		c.mu.Unlock()
		c.hangUp()
		c.fail(nil)
		<-c.done
	}
	return nil
}
