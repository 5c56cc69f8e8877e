package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

const (
	// upstreamWindow is the maximum number of unacknowledged upstream messages of a device, the
	// same as over MCS.
	upstreamWindow = mcsclient.DefaultWindow
	// stableAfter is the minimum life of a connection for its loss to count as the first failure
	// again (DEV 11).
	stableAfter = 10 * time.Second
)

// xmppLink keeps a device connected over XMPP. Lock order: xmppLink.mu, Client.mu.
type xmppLink struct {
	// Static after newXMPPLink.
	device *device
	addr   string
	window *flowcontrol.Window // one slot for each message in pending

	marker string // owned by the connection's callbacks: message_id of the last deleted_messages

	mu      sync.Mutex        // guards the rest
	client  *ccsclient.Client // nil while there is no connection
	pending []*pending        // in the order of Send
}

// pending is an upstream message without an answer, on any connection.
type pending struct {
	to   string
	m    stanza.Upstream
	done func(error)
}

func newXMPPLink(d *device) link {
	addrs := d.run.target.XMPP
	return &xmppLink{device: d, addr: addrs[d.number%len(addrs)], window: flowcontrol.NewWindow(upstreamWindow)}
}

// Run implements link.
func (l *xmppLink) Run(ctx context.Context) error {
	for failures := 1; ; failures++ {
		lasted, err := l.connectOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case isRefused(err):
			return err
		case lasted > stableAfter:
			failures = 1
		}
		pause := backoff(failures)
		l.device.disconnected(err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connectOnce runs one connection until it ends and returns the reason.
func (l *xmppLink) connectOnce(ctx context.Context) (lasted time.Duration, err error) {
	d := l.device
	c, err := ccsclient.DialDevice(ctx, l.addr, d.id.AndroidID, d.id.SecurityToken, ccsclient.DeviceOptions{
		Options: ccsclient.Options{
			TLS: d.run.target.TLS, Logger: d.run.log, Window: upstreamWindow, DialTimeout: loginTimeout, Dial: d.dial,
			OnePerRecord: d.run.plan.OnePerRecord,
		},
		OnMessage: l.received,
		OnDeleted: l.deleted,
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	d.connected()
	l.attach(c)
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Close()
	}
	l.mu.Lock()
	l.client = nil
	l.mu.Unlock()
	return time.Since(began), c.Err()
}

// received counts a message and makes the client acknowledge it.
func (l *xmppLink) received(m *ccsclient.Delivery) error {
	text, _ := m.Data.Get(stampKey)
	l.device.received(text)
	return nil
}

// deleted counts the messages that the server discarded. The report comes again if the connection
// ended before its ack.
func (l *xmppLink) deleted(m *ccsclient.Deleted) {
	if m.MessageID != l.marker {
		l.marker = m.MessageID
		l.device.deleted(int64(m.Total))
	}
}

// attach sends unanswered messages again and lets Send use the connection.
func (l *xmppLink) attach(c *ccsclient.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pending {
		l.send(c, p)
	}
	l.client = c
}

// Send implements link.
func (l *xmppLink) Send(ctx context.Context, m *mcsclient.Upstream, done func(error)) error {
	if err := l.window.Acquire(ctx, nil); err != nil {
		return err
	}
	p := &pending{to: m.To, done: done, m: stanza.Upstream{MessageID: m.ID, Category: m.Category, TTL: mcsclient.MaxUpstreamTTL}}
	for _, pair := range m.Data {
		p.m.Data = p.m.Data.Append(pair.Key, pair.Value)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, p)
	if l.client != nil {
		l.send(l.client, p)
	}
	return nil
}

// send sends a message over a connection. It never waits: the message has a slot in l.window, and
// the connection's window is as large. A message that the connection does not take stays pending.
// The caller must hold l.mu.
func (l *xmppLink) send(c *ccsclient.Client, p *pending) {
	_ = c.SendUpstream(context.Background(), p.to, &p.m, func(r ccsclient.Reply) {
		if !errors.Is(r.Err, ccsclient.ErrClosed) {
			l.complete(p, r.Err)
		}
	})
}

// complete forgets a message that has its answer.
func (l *xmppLink) complete(p *pending, err error) {
	if err != nil {
		l.device.run.log.Warn("upstream message refused", zap.String("message_id", p.m.MessageID), zap.Error(err))
	}
	l.mu.Lock()
	if i := slices.Index(l.pending, p); i >= 0 {
		l.pending = slices.Delete(l.pending, i, i+1)
	}
	l.mu.Unlock()
	l.window.Give(1)
	p.done(err)
}
