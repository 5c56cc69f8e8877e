package ccsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

const (
	// stableAfter is the minimum life of a connection for its loss not to count as a failure.
	stableAfter = 10 * time.Second
	// maxDraining is the maximum number of draining connections, not counting the one that takes
	// messages.
	maxDraining = 4
	// defaultDrainTimeout is longer than any known server takes to close a draining connection.
	defaultDrainTimeout = 5 * time.Minute

	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
)

// AppServerOptions configures an AppServer. The zero value works. Options.Window bounds the
// unanswered messages: those in flight and those that wait for a connection.
type AppServerOptions struct {
	Options

	// OnConnect is called after each login, before unanswered messages are sent again. Default
	// does nothing.
	OnConnect func()
	// OnDisconnect is called after each failure to connect and each end of a connection that was
	// not draining. It gets the reason and the wait before the next try. The reason is nil if the
	// server ended the stream in order. It is not called when Run's context ends the connection.
	// Default does nothing.
	OnDisconnect func(reason error, wait time.Duration)
	// Backoff returns the wait after the given number of failures in a row, from 1. Default
	// DefaultBackoff. After a connection that lasted 10 seconds there is no wait.
	Backoff func(failures int) time.Duration
	// DrainTimeout bounds the life of a connection after the server has announced that it will
	// close it. Default 5 min.
	DrainTimeout time.Duration
}

// DefaultBackoff returns half a second, doubled after each further failure, up to 30 s. It
// subtracts a random part of up to a third, so that many clients do not reconnect at the same
// time.
func DefaultBackoff(failures int) time.Duration {
	wait := longestWait
	if failures < 7 {
		wait = min(firstWait<<max(failures-1, 0), longestWait)
	}
	return wait - rand.N(wait/3)
}

// AppServer keeps an app server connected, over one connection after another. It keeps each
// message until the server has answered it. If the connection ends before that, AppServer sends
// the message again over the next one, under the same message_id (CCS 4.3). When the server drains
// a connection, AppServer opens the next one at once and sends new messages there. The old
// connection stays open for its answers (CCS 3.7). The callbacks of Options run one at a time.
//
// Two messages may change places when a connection ends or drains between them.
type AppServer struct {
	// Static after NewAppServer.
	addr, sender, key string
	opts              AppServerOptions
	log               *zap.Logger
	window            *flowcontrol.Window // one slot for each message in pending
	ids               *messageIDs
	stopped           chan struct{} // closed when Send takes no more messages

	calling sync.Mutex // locked during a callback of Options

	// Lock order: mu, Client.mu.
	mu      sync.Mutex
	client  *Client             // the connection that takes messages; nil if there is none
	pending map[string]*message // by message_id
	sent    uint64              // number of messages so far
	ended   bool                // stopped is closed
}

// message is a message that the server has not answered.
type message struct {
	d    stanza.Downstream
	nth  uint64 // its number in the order of Send
	done func(Reply)
	on   *Client // the connection that carries it; nil if it must be sent again
}

// NewAppServer makes an app server for the CCS at addr, host and port. Run logs in as sender, the
// sender ID, with key.
func NewAppServer(addr, sender, key string, o AppServerOptions) *AppServer {
	o.Options = o.Options.withDefaults()
	if o.OnConnect == nil {
		o.OnConnect = func() {}
	}
	if o.OnDisconnect == nil {
		o.OnDisconnect = func(error, time.Duration) {}
	}
	if o.Backoff == nil {
		o.Backoff = DefaultBackoff
	}
	o.DrainTimeout = cmp.Or(o.DrainTimeout, defaultDrainTimeout)
	a := &AppServer{
		addr: addr, sender: sender, key: key,
		log:     o.Logger.Named("ccsclient").With(zap.String("sender", sender)),
		window:  flowcontrol.NewWindow(o.Window),
		ids:     newMessageIDs(),
		stopped: make(chan struct{}),
		pending: make(map[string]*message),
	}
	a.opts = o
	a.opts.Options = a.oneAtATime(o.Options)
	return a
}

// oneAtATime wraps the callbacks of o so that those of several connections never run at the same
// time.
func (a *AppServer) oneAtATime(o Options) Options {
	if onUpstream := o.OnUpstream; onUpstream != nil {
		o.OnUpstream = func(u *Upstream) error {
			a.calling.Lock()
			defer a.calling.Unlock()
			return onUpstream(u)
		}
	}
	onReceipt, onControl := o.OnReceipt, o.OnControl
	o.OnReceipt = func(r *Receipt) {
		a.calling.Lock()
		defer a.calling.Unlock()
		onReceipt(r)
	}
	o.OnControl = func(c *Control) {
		a.calling.Lock()
		defer a.calling.Unlock()
		onControl(c)
	}
	return o
}

// Run keeps the app server connected until ctx ends or the server refuses the key. In the first
// case it returns the cause of ctx. In the second case it returns an error that wraps the
// *AuthError. When it returns, all connections have ended, and every message has its Reply. Call
// it once.
func (a *AppServer) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, a.stop)()
	ctx, cancel := context.WithCancelCause(ctx)
	var draining sync.WaitGroup
	defer draining.Wait()
	defer cancel(nil)
	defer a.stop() // before anything else: a callback may wait for an answer
	places := make(chan struct{}, maxDraining)
	for failures := 0; ; {
		lasted, err := a.connectOnce(ctx, func(c *Client) {
			select {
			case places <- struct{}{}:
				draining.Go(func() {
					a.finish(ctx, c)
					<-places
				})
			case <-ctx.Done():
				c.Close()
			}
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var refused *AuthError
		if errors.As(err, &refused) && !refused.Temporary() {
			return err
		}
		wait := time.Duration(0)
		switch failures++; {
		case lasted > stableAfter:
			failures = 0
		case failures > 1 || !errors.Is(err, ErrDraining): // only a second drain in a row is a failure
			wait = a.opts.Backoff(failures)
		}
		if !errors.Is(err, ErrDraining) {
			a.log.Info("disconnected", zap.Error(err), zap.Duration("took", lasted), zap.Duration("wait", wait))
			a.opts.OnDisconnect(err, wait)
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// sleep waits for the given time. It returns false if ctx ends first.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// connectOnce sends over one connection until that takes no more messages, and returns the reason.
// The error is ErrDraining if connectOnce has passed the connection to drain.
func (a *AppServer) connectOnce(ctx context.Context, drain func(*Client)) (lasted time.Duration, err error) {
	c, err := Dial(ctx, a.addr, a.sender, a.key, a.opts.Options)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	a.log.Info("connected", zap.String("conn", c.JID()))
	a.opts.OnConnect()
	a.use(c)
	select {
	case <-c.refusing:
	case <-ctx.Done():
	}
	a.use(nil)
	if ctx.Err() == nil && c.refusal() == ErrDraining {
		a.log.Info("connection is draining", zap.String("conn", c.JID()))
		drain(c)
		return time.Since(began), ErrDraining
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Close()
	}
	return time.Since(began), c.Err()
}

// finish waits until the server has answered the messages in flight on a draining connection and
// has closed it. Unanswered messages then go to the current connection.
func (a *AppServer) finish(ctx context.Context, c *Client) {
	timer := time.NewTimer(a.opts.DrainTimeout)
	defer timer.Stop()
	select {
	case <-c.Done():
	case <-timer.C:
		a.log.Warn("draining connection has not ended in time", zap.String("conn", c.JID()), zap.Duration("limit", a.opts.DrainTimeout))
		c.Close()
	case <-ctx.Done():
		c.Close()
	}
	a.sendAgain()
}

// use makes c the connection that takes messages, and sends the messages that no connection
// carries.
func (a *AppServer) use(c *Client) {
	a.mu.Lock()
	a.client = c
	a.mu.Unlock()
	a.sendAgain()
}

// sendAgain sends the messages that no connection carries, in the order of Send.
func (a *AppServer) sendAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client == nil {
		return
	}
	var again []*message
	for _, m := range a.pending {
		if m.on == nil {
			again = append(again, m)
		}
	}
	slices.SortFunc(again, func(m, n *message) int { return cmp.Compare(m.nth, n.nth) })
	for _, m := range again {
		a.post(m)
	}
}

// post sends a message over the current connection if that takes it. It never waits: each message
// of the connection also has a slot of a.window, and the connection's window is as large. The
// caller must hold a.mu.
func (a *AppServer) post(m *message) {
	c := a.client
	if c == nil || c.window.Take(1) == 0 {
		return
	}
	m.on = c
	write := func(b []byte) []byte { return stanza.AppendDownstream(b, &m.d) }
	if err := c.put(m.d.MessageID, write, func(r Reply) { a.answered(m, c, r) }); err != nil {
		c.window.Give(1)
		m.on = nil
	}
}

// answered handles the answer to a message of c. It runs on the goroutine that reads c.
func (a *AppServer) answered(m *message, c *Client, r Reply) {
	var nack *Nack
	unanswered := errors.Is(r.Err, ErrClosed) || errors.As(r.Err, &nack) && nack.Code == stanza.ConnectionDraining
	a.mu.Lock()
	if unanswered && !a.ended {
		m.on = nil
		if a.client != c && nack != nil { // finish sends the messages in flight of c again, in order
			a.post(m)
		}
		a.mu.Unlock()
		return
	}
	delete(a.pending, m.d.MessageID)
	a.mu.Unlock()
	a.window.Give(1)
	if unanswered {
		r.Err = ErrClosed
	}
	m.done(r)
}

// stop makes Send refuse messages, and answers those that no connection carries.
func (a *AppServer) stop() {
	a.mu.Lock()
	if a.ended {
		a.mu.Unlock()
		return
	}
	a.ended = true
	close(a.stopped)
	var rest []*message
	for id, m := range a.pending {
		if m.on == nil {
			rest = append(rest, m)
			delete(a.pending, id)
		}
	}
	a.mu.Unlock()
	a.window.Give(len(rest))
	for _, m := range rest {
		m.done(Reply{Ack: Ack{MessageID: m.d.MessageID}, Err: ErrClosed})
	}
}

// Send sends a message over the current connection, or over the next one. It waits while the
// window is full, but not for the answer. It calls done with the answer exactly once; done must
// not wait for anything. The answer is an ack, a nack, or ErrClosed after Run has ended. After
// ErrClosed the message may have arrived or not. If Send returns an error, it does not call done.
// The error is ErrClosed, ErrDuplicate or that of ctx.
//
// AppServer keeps a copy of the message. It sets the MessageID of a message that has none, and the
// Reply contains it.
func (a *AppServer) Send(ctx context.Context, m *Message, done func(Reply)) error {
	id := m.MessageID
	if id == "" {
		id = a.ids.next()
	}
	d, err := m.downstream(id)
	if err != nil {
		return err
	}
	if err := a.window.Acquire(ctx, a.stopped); err != nil {
		if errors.Is(err, flowcontrol.ErrStopped) {
			return ErrClosed
		}
		return fmt.Errorf("ccsclient: wait for a slot of the window: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		a.window.Give(1)
		return ErrClosed
	}
	if _, there := a.pending[id]; there {
		a.window.Give(1)
		return fmt.Errorf("%w: %q", ErrDuplicate, id)
	}
	a.sent++
	p := &message{d: d, nth: a.sent, done: done}
	a.pending[id] = p
	a.post(p)
	return nil
}

// SendWait sends a message and waits for its answer. It returns a refusal as an error of type
// *Nack. If ctx ends first, the message may still be sent.
func (a *AppServer) SendWait(ctx context.Context, m *Message) (Ack, error) {
	return sendWait(ctx, a, m)
}

// Unanswered returns the number of messages without an answer: in flight, or waiting for a
// connection.
func (a *AppServer) Unanswered() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}

// Connected reports whether there is a connection that takes messages.
func (a *AppServer) Connected() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.client != nil
}
