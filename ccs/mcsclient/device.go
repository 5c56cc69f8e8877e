package mcsclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/flowcontrol"
)

var (
	// ErrNotConnected says that a NowOrNever message found no connection.
	ErrNotConnected = errors.New("mcsclient: not connected")
	// ErrExpired says that a message found no connection within its TTL (DEV 10).
	ErrExpired = errors.New("mcsclient: time-to-live exceeded")
)

// stableAfter is the minimum life of a connection for its loss not to count as a failure (DEV 11).
const stableAfter = 10 * time.Second

// DeviceOptions configures a Device. The zero value works.
type DeviceOptions struct {
	Options

	// Unacked holds messages that an earlier run has not delivered, from Device.Unacked.
	Unacked []*Upstream
	// OnConnect is called after each login, before unacknowledged messages are sent again.
	OnConnect func()
	// OnDisconnect is called after each failure to connect and each end of a connection. It gets
	// the reason and the wait before the next try. It is not called when Run's context ends the
	// connection.
	OnDisconnect func(reason error, wait time.Duration)
	// Backoff returns the wait after the given number of failures in a row, from 1. Default
	// DefaultBackoff. After a connection that lasted there is no wait.
	Backoff func(failures int) time.Duration
}

// DefaultBackoff returns 1 s, 2 s and so on up to 15 s. It subtracts a random part of up to a
// third, so that many devices do not reconnect at the same time (DEV 11). Without a failure it
// returns 0.
func DefaultBackoff(failures int) time.Duration {
	const most = 15
	if failures <= 0 {
		return 0
	}
	wait := time.Duration(min(failures, most)) * time.Second
	return wait - rand.N(wait/3)
}

// Device keeps a device connected. Lock order: Device.mu, Client.mu.
type Device struct {
	// Static after NewDevice.
	addr   string
	id     Identity
	opts   DeviceOptions
	log    *zap.Logger
	window *flowcontrol.Window // one slot for each message in pending

	mu       sync.Mutex // guards the rest
	client   *Client    // nil while there is no connection
	received []string   // persistent ids from the last connection
	pending  []*pending // in the order of Send
}

// pending is a message that the server has not acknowledged, on any connection.
type pending struct {
	m    *Upstream
	done func(error)
}

// NewDevice makes a device that connects when Run is called. Options.Received and Unacked continue
// an earlier run.
func NewDevice(addr string, id Identity, o DeviceOptions) *Device {
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
	o.Window = max(o.Window, len(o.Unacked))
	d := &Device{
		addr:     addr,
		id:       id,
		opts:     o,
		log:      o.Logger.Named("mcsclient"),
		window:   flowcontrol.NewWindow(o.Window),
		received: o.Received,
	}
	for _, m := range o.Unacked {
		m.prepare(isAndroid(o.ClientID))
		d.window.Take(1)
		d.pending = append(d.pending, &pending{m: m})
	}
	return d
}

// Run keeps the device connected until the context ends or the server refuses the identity. In the
// first case it returns the context's error, in the second the *LoginError. Call it once.
func (d *Device) Run(ctx context.Context) error {
	failures := 0
	for {
		lasted, err := d.connectOnce(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var refused *LoginError
		if errors.As(err, &refused) {
			return err
		}
		wait := time.Duration(0)
		if failures++; lasted > stableAfter {
			failures = 0
		} else {
			wait = d.opts.Backoff(failures)
		}
		d.log.Info("disconnected", zap.Error(err), zap.Duration("took", lasted), zap.Duration("wait", wait))
		d.opts.OnDisconnect(err, wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// connectOnce runs one connection until it ends and returns the reason.
func (d *Device) connectOnce(ctx context.Context) (lasted time.Duration, err error) {
	o := d.opts.Options
	o.Received = d.Received()
	c, resp, err := dial(ctx, d.addr, d.id, o)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	d.log.Info("connected", zap.Stringer("device", d.id), zap.Int("received", len(o.Received)))
	d.opts.OnConnect()
	d.attach(c)
	c.start(resp)
	select {
	case <-c.Done():
	case <-ctx.Done():
		_ = c.Close()
	}
	d.mu.Lock()
	d.client, d.received = nil, c.Received()
	d.mu.Unlock()
	return time.Since(start), c.Err()
}

// attach sends unacknowledged messages again and lets Send use the connection.
func (d *Device) attach(c *Client) {
	now := time.Now()
	var expired []*pending
	d.mu.Lock()
	for _, p := range d.pending {
		if p.m.expired(now) {
			expired = append(expired, p)
			continue
		}
		_ = d.send(c, p) // it stays pending if this connection has already ended
	}
	d.client = c
	d.mu.Unlock()
	for _, p := range expired {
		d.complete(p, ErrExpired)
	}
}

// Send sends a message over the current connection, or over the next one. It waits while the
// window is full. done, which may be nil, is called once: with nil when the server has
// acknowledged the message, or with ErrExpired. A NowOrNever message needs a connection, and its
// done may get that connection's error. After Run has ended, done is no longer called, and Unacked
// has the message. The caller must not change m until then.
func (d *Device) Send(ctx context.Context, m *Upstream, done func(error)) error {
	if err := d.window.Acquire(ctx, nil); err != nil {
		return fmt.Errorf("mcsclient: wait for a slot of the window: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m.prepare(isAndroid(d.opts.ClientID))
	p := &pending{m: m, done: done}
	err := ErrNotConnected
	if d.client != nil {
		err = d.send(d.client, p)
	}
	if err != nil && m.TTL == NowOrNever {
		d.window.Give(1)
		return err
	}
	d.pending = append(d.pending, p)
	return nil
}

// send sends a message over a connection. It never waits: the message has a slot in the device's
// window, and the connection's window is as large. The caller must hold d.mu.
func (d *Device) send(c *Client, p *pending) error {
	return c.Send(context.Background(), p.m, func(err error) {
		if err == nil || p.m.TTL == NowOrNever {
			d.complete(p, err)
		}
	})
}

// complete forgets a message and calls its done.
func (d *Device) complete(p *pending, err error) {
	d.mu.Lock()
	if i := slices.Index(d.pending, p); i >= 0 {
		d.pending = slices.Delete(d.pending, i, i+1)
	}
	d.mu.Unlock()
	d.window.Give(1)
	if p.done != nil {
		p.done(err)
	}
}

// Received returns the persistent ids that the next login must name; see Client.Received.
func (d *Device) Received() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		return d.client.Received()
	}
	return d.received
}

// Unacked returns the messages that the server has not acknowledged, oldest first, without those
// that are NowOrNever.
func (d *Device) Unacked() []*Upstream {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ms []*Upstream
	for _, p := range d.pending {
		if p.m.TTL != NowOrNever {
			ms = append(ms, p.m)
		}
	}
	return ms
}
