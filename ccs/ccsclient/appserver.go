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
	// stableAfter is the life of a connection after which its loss does not count as a failure.
	stableAfter = 10 * time.Second
	// maxDraining is how many connections may be draining at a time, beside the one that takes messages.
	maxDraining = 4
	// defaultDrainTimeout is longer than any server known takes to close a draining connection.
	defaultDrainTimeout = 5 * time.Minute

	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
)

// AppServerOptions is how an AppServer behaves. The zero value works. Options.Window bounds the messages that are sent or
// wait for a connection, and have no answer.
type AppServerOptions struct {
	Options

	// OnConnect is called after each login, before what is unanswered is sent again. Default does nothing.
	OnConnect func()
	// OnDisconnect is called after each failure to connect and each end of a connection that was not draining, with
	// the reason and the wait before the next try. The reason is nil if the server ended the stream in order. It is not
	// called for the end that Run's context makes. Default does nothing.
	OnDisconnect func(reason error, wait time.Duration)
	// Backoff is the wait after so many failures in a row, from 1; default DefaultBackoff. After a connection that
	// lasted 10 seconds there is no wait.
	Backoff func(failures int) time.Duration
	// DrainTimeout bounds the life of a connection after the server has announced that it will close it; default 5 min.
	DrainTimeout time.Duration
}

// DefaultBackoff waits half a second and twice as long after each further failure, up to 30 s, less up to a third so
// that many clients do not come back in step.
func DefaultBackoff(failures int) time.Duration {
	wait := longestWait
	if failures < 7 {
		wait = min(firstWait<<max(failures-1, 0), longestWait)
	}
	return wait - rand.N(wait/3)
}

// AppServer keeps an app server connected, over one connection after another. A message stays with it until the server
// has answered it: if the connection ends before that, AppServer sends the message again over the next one, under the
// same message_id (CCS 4.3). When the server drains a connection, AppServer opens the next one at once and sends
// there, while the old one gets its answers (CCS 3.7). The callbacks of Options run one at a time.
//
// Two messages may change places when a connection ends or drains between them.
type AppServer struct {
	// Static after NewAppServer.
	addr, sender, key string
	opts              AppServerOptions
	log               *zap.Logger
	window            *flowcontrol.Window // one slot for each message in pending
	ids               *messageIDs
	stopped           chan struct{} // closed when Send refuses for good

	calling sync.Mutex // held while a callback of Options runs

	// Lock order: mu, Client.mu.
	mu      sync.Mutex
	client  *Client             // takes messages; nil if there is none
	pending map[string]*message // by message_id
	sent    uint64              // messages so far
	ended   bool                // stopped is closed
}

// message is what the server has not answered.
type message struct {
	d    stanza.Downstream
	nth  uint64 // in the order of Send
	done func(Reply)
	on   *Client // the connection that carries it; nil if it is to be sent again
}

// NewAppServer makes an app server that logs in as sender, the sender ID, with key when Run is called. addr is the host
// and port of a CCS.
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

// oneAtATime makes the callbacks of several connections take turns.
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

// Run keeps the app server connected until ctx ends, and then returns the cause of that; or until the server refuses
// the key, and then returns an error that wraps the *AuthError. When it returns, all connections have ended, and every
// message has its Reply. It is called once.
func (a *AppServer) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, a.stop)()
	ctx, cancel := context.WithCancelCause(ctx)
	var draining sync.WaitGroup
	defer draining.Wait()
	defer cancel(nil)
	defer a.stop() // first of all: a callback may wait for an answer
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
		case failures > 1 || !errors.Is(err, ErrDraining): // one drain is no failure, a second one in a row is
			wait = a.opts.Backoff(failures)
		}
		if !errors.Is(err, ErrDraining) {
			a.log.Info("disconnected", zap.Error(err), zap.Duration("lasted", lasted), zap.Duration("wait", wait))
			a.opts.OnDisconnect(err, wait)
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// sleep waits. It returns false if ctx ends first.
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

// connectOnce sends over one connection until that takes no more, and returns why. The error is ErrDraining for a
// connection that drain got.
func (a *AppServer) connectOnce(ctx context.Context, drain func(*Client)) (lasted time.Duration, err error) {
	c, err := Dial(ctx, a.addr, a.sender, a.key, a.opts.Options)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	a.log.Info("connected", zap.String("jid", c.JID()))
	a.opts.OnConnect()
	a.use(c)
	select {
	case <-c.refusing:
	case <-ctx.Done():
	}
	a.use(nil)
	if ctx.Err() == nil && c.refusal() == ErrDraining {
		a.log.Info("connection is draining", zap.String("jid", c.JID()))
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

// finish lets the server answer what is in flight on a draining connection, and close it. What it does not answer goes
// to the connection there is then.
func (a *AppServer) finish(ctx context.Context, c *Client) {
	timer := time.NewTimer(a.opts.DrainTimeout)
	defer timer.Stop()
	select {
	case <-c.Done():
	case <-timer.C:
		a.log.Warn("draining connection has not ended in time", zap.String("jid", c.JID()), zap.Duration("after", a.opts.DrainTimeout))
		c.Close()
	case <-ctx.Done():
		c.Close()
	}
	a.sendAgain()
}

// use makes c the connection that takes messages, and sends what no connection carries.
func (a *AppServer) use(c *Client) {
	a.mu.Lock()
	a.client = c
	a.mu.Unlock()
	a.sendAgain()
}

// sendAgain sends what no connection carries, in the order of Send.
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

// post gives a message to the connection, if that takes it. That never waits: each message of the connection has a
// slot of a.window too, which is as large as the connection's. The caller must hold a.mu.
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

// answered takes the answer of a connection. It runs on the goroutine that reads it.
func (a *AppServer) answered(m *message, c *Client, r Reply) {
	var nack *Nack
	unanswered := errors.Is(r.Err, ErrClosed) || errors.As(r.Err, &nack) && nack.Code == stanza.ConnectionDraining
	a.mu.Lock()
	if unanswered && !a.ended {
		m.on = nil
		if a.client != c && nack != nil { // what was in flight when c ended follows in order, by finish
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

// stop makes Send refuse, and answers what no connection carries.
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

// Send sends a message over the connection there is, or over the next one. It waits while the window is full, but not
// for the answer: done is called with that exactly once, and must not wait for anything. It is an ack, a nack, or
// ErrClosed after Run has ended, and then the message may have arrived or not. If Send returns an error, it does not call
// done. The error is ErrClosed, ErrDuplicate or that of ctx.
//
// AppServer keeps a copy of the message. A message without a MessageID gets one, which the Reply has.
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

// SendWait sends a message and waits for its answer. A refusal is an error of type *Nack. If ctx ends first, the message
// may still be sent.
func (a *AppServer) SendWait(ctx context.Context, m *Message) (Ack, error) {
	return sendWait(ctx, a, m)
}

// Unanswered is how many messages are sent, or wait for a connection, and have no answer.
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
