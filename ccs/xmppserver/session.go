package xmppserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"openccs/ccs"
	"openccs/flowcontrol"
	"openccs/stanza"
	"openccs/store"
)

// session is a bound connection.
type session struct {
	// Static after newSession.
	*conn
	bare     string // the address that upstream messages go to
	rules    stanza.Rules
	window   *flowcontrol.Window // received and not answered (CCS 4.1)
	upstream *feed
	receipts *feed

	// Owned by readLoop.
	batch     []stanza.Downstream // decoded since the last hand-over
	wrongAcks flowcontrol.Bucket

	// Owned by serveLoop.
	results   []ccs.Result
	opened    time.Time
	accepted  int // totals, for the log
	refused   int
	drainedAt time.Time // when the control message was written, zero before

	// Shared; safe for concurrent use.
	settled atomic.Bool   // the peer is ready for upstream messages
	notify  chan struct{} // capacity 1: serveLoop has something to do
	written chan struct{} // capacity 1: replies were taken

	mu       sync.Mutex // never held over I/O
	pending  []stanza.Downstream
	replies  []byte // encoded answers of readLoop
	slots    int    // of window, that those answers free once written
	draining bool
	ended    error // why readLoop ended, nil while it runs
}

const (
	maxReplies = 256 << 10 // bytes of readLoop's own answers that may wait; then it stops reading
	maxScratch = 1 << 20   // a larger write buffer is not kept

	// settleTime is how long after bind upstream messages wait for the peer's first stanza. Clients that ask
	// for the session, and ones that still set their handlers up, drop what comes before (CCS 1.7); but a
	// client need not send anything.
	settleTime = 500 * time.Millisecond

	receiptWindow  = 100 // CCS 4.2
	receiptResends = 3   // CCS 3.5: a few times
)

// What a session may end with besides errors of the connection.
var (
	errDrained    = errors.New("drained")
	errSlowReader = errors.New("the peer does not read its answers")
)

// runSession attaches the bound connection to its queues and serves it until it ends.
func (c *conn) runSession(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := c.newSession()
	for _, q := range []struct {
		feed *feed
		key  store.Key
	}{{s.upstream, c.user.Key()}, {s.receipts, c.user.ReceiptsKey()}} {
		if err := attach(ctx, c.srv.router, q.key, q.feed, s.wakeable, cancel); err != nil {
			c.farewell(err)
			return err
		}
		defer q.feed.box.Detach(ctx)
	}
	s.log.Info("session open", zap.Int("window", s.window.Size()))
	c.bound(s)
	soon := time.AfterFunc(settleTime, s.settle)
	defer soon.Stop()

	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		s.nc.SetReadDeadline(longAgo)
		s.endWrites(farewellTimeout)
	})
	defer stop()
	g.Go(func() error {
		err := s.readLoop(ctx)
		s.end(err)
		return nil // serveLoop still has to answer what was read
	})
	g.Go(func() error { return s.serveLoop(ctx) })
	err := g.Wait()
	s.log.Info("session closed", zap.Error(err), zap.Int("accepted", s.accepted), zap.Int("refused", s.refused),
		zap.Int("delivered", s.upstream.offeredTotal), zap.Int("receipts", s.receipts.offeredTotal),
		zap.Duration("took", time.Since(s.opened)))
	return err
}

func (c *conn) newSession() *session {
	p := c.srv.router.Profile()
	s := &session{
		conn:    c,
		bare:    string(c.user) + "@" + c.domain,
		rules:   p.Payload,
		opened:  time.Now(),
		window:  flowcontrol.NewWindow(cmp.Or(c.limits.Window, p.Window)),
		notify:  make(chan struct{}, 1),
		written: make(chan struct{}, 1),
	}
	s.log = c.log.With(zap.String("sender", string(c.user)), zap.String("conn", c.jid))
	s.upstream = &feed{
		window: flowcontrol.NewWindow(cmp.Or(c.limits.UpstreamWindow, p.UpstreamWindow)), signal: s.signal, log: s.log,
		write: s.appendUpstream, resends: -1, firstGap: c.srv.opts.ResendAfter,
	}
	s.receipts = &feed{
		window: flowcontrol.NewWindow(receiptWindow), signal: s.signal, log: s.log,
		write: s.appendReceipt, prefix: stanza.ReceiptPrefix, resends: receiptResends, firstGap: c.srv.opts.ResendAfter,
	}
	return s
}

// wakeable reports whether the session takes anything new.
func (s *session) wakeable() bool { return !s.isDraining() }

// settle lets upstream messages go.
func (s *session) settle() {
	if !s.settled.Load() && s.settled.CompareAndSwap(false, true) {
		s.signal()
	}
}

func (s *session) signal() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// drain starts the end that loses nothing (CCS 3.7).
func (s *session) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.signal()
	s.endWrites(s.srv.opts.DrainMax)
}

func (s *session) end(err error) {
	s.mu.Lock()
	s.ended = err
	s.mu.Unlock()
	s.signal()
}

// work is what serveLoop takes at a time.
type work struct {
	batch    []stanza.Downstream
	replies  []byte
	slots    int
	draining bool
	ended    error
}

// take swaps out all that readLoop left. What is handed in is used again.
func (s *session) take(done work) work {
	clear(done.batch)
	if cap(done.replies) > maxReplies {
		done.replies = nil
	}
	s.mu.Lock()
	w := work{batch: s.pending, replies: s.replies, slots: s.slots, draining: s.draining, ended: s.ended}
	s.pending, s.replies, s.slots = done.batch[:0], done.replies[:0], 0
	s.mu.Unlock()
	select {
	case s.written <- struct{}{}:
	default:
	}
	return w
}

// serveLoop answers, offers and writes until the session ends, and returns why.
func (s *session) serveLoop(ctx context.Context) error {
	idle := time.NewTimer(s.srv.opts.KeepAlive)
	defer idle.Stop()
	resend := time.NewTicker(s.srv.opts.ResendAfter / resendChecks)
	defer resend.Stop()
	due := false
	var out []byte
	var w work
	for {
		w = s.take(w)
		out = append(out[:0], w.replies...)
		if len(w.batch) > 0 {
			out = s.route(ctx, out, w.batch)
		}
		if w.draining && s.drainedAt.IsZero() {
			out = stanza.AppendControl(out, "CONNECTION_DRAINING", s.controlID())
			s.drainedAt = time.Now()
			s.log.Info("draining", zap.Int("unanswered", s.window.Pending()), zap.Int("unacked", s.upstream.window.Pending()))
		}
		if due {
			due = false
			wall, now := time.Now(), s.srv.router.Now()
			s.upstream.checkPhantom(wall)
			out = s.upstream.resend(ctx, out, wall, now)
			out = s.receipts.resend(ctx, out, wall, now)
		}
		more := false
		if !w.draining && w.ended == nil && s.settled.Load() {
			var moreReceipts bool
			out, more = s.upstream.offer(ctx, out)
			out, moreReceipts = s.receipts.offer(ctx, out)
			more = more || moreReceipts
		}
		if len(out) > 0 {
			if err := s.write(out); err != nil {
				return err
			}
			s.window.Give(w.slots + len(w.batch))
			idle.Reset(s.srv.opts.KeepAlive)
		}
		if cap(out) > maxScratch {
			out = nil
		}
		switch {
		case ctx.Err() != nil:
			err := context.Cause(ctx)
			s.farewell(err)
			return err
		case w.ended != nil:
			if !errors.Is(w.ended, io.ErrUnexpectedEOF) {
				s.farewell(w.ended)
			}
			return w.ended
		case more:
			continue
		}
		pause, done := s.drainPause()
		if done {
			s.farewell(errDrained)
			return errDrained
		}
		select {
		case <-s.notify:
		case <-pause:
		case <-resend.C:
			due = true
		case <-idle.C:
			// A space is traffic to every client and no stanza to any (CCS 1.9).
			if err := s.write([]byte(" ")); err != nil {
				return err
			}
			idle.Reset(s.srv.opts.KeepAlive)
		case <-ctx.Done():
		}
	}
}

// controlID is the message_id of a control message. Three clients do not look at JSON without one (CCS 3.7).
func (s *session) controlID() string {
	if s.srv.opts.NoControlID {
		return ""
	}
	return "drain-" + randomHex(4)
}

// resendChecks is how often within ResendAfter a session looks for what was not acknowledged.
const resendChecks = 6

// drainPause says whether a draining session is over: nothing is outstanding in either direction, but
// not before DrainMin, and at DrainMax anyway. If it is not, the channel tells when to look again.
func (s *session) drainPause() (again <-chan time.Time, done bool) {
	if s.drainedAt.IsZero() {
		return nil, false
	}
	since := time.Since(s.drainedAt)
	o := &s.srv.opts
	switch {
	case since >= o.DrainMax:
		return nil, true
	case since < o.DrainMin:
		return time.After(o.DrainMin - since), false
	}
	return time.After(o.DrainMax - since), s.window.Pending() == 0 && s.upstream.window.Pending() == 0
}

// route has the router take a batch on and appends the answers.
func (s *session) route(ctx context.Context, out []byte, batch []stanza.Downstream) []byte {
	from := ccs.Source{Sender: s.user, Session: s.receipts.box.Lease(), PerSecond: s.limits.PerSecond}
	s.results = s.srv.router.Send(ctx, from, batch, s.results[:0])
	for i := range batch {
		m, res := &batch[i], &s.results[i]
		from := m.To
		if from == "" {
			from = m.Condition // the ack of a condition names it (CCS 3.2)
		}
		if res.Err == nil {
			s.accepted++
			out = stanza.AppendAck(out, from, m.MessageID, res.Canonical)
			continue
		}
		s.refused++
		out = s.appendNack(out, from, m.MessageID, res.Err)
	}
	clear(s.results)
	return out
}

// appendNack is the one place that turns an error into what the peer is told.
func (s *session) appendNack(out []byte, from, id string, err error) []byte {
	var refusal *stanza.Error
	if !errors.As(err, &refusal) {
		refusal = &stanza.Error{Code: stanza.InternalServerError, Description: "The message could not be handled", Err: err}
	}
	if refusal.Err != nil {
		s.log.Error("message not handled", zap.String("message_id", id), zap.Error(err))
	}
	return stanza.AppendNack(out, from, id, refusal.Code, refusal.Description)
}

func (s *session) appendUpstream(out []byte, m *ccs.Message, _ *store.Entry) []byte {
	return stanza.AppendUpstream(out, s.addressee(m.To), &stanza.Upstream{
		From: m.From, MessageID: m.ID, Category: m.App, TTL: m.TTL, Data: m.Data,
	})
}

// addressee is the bare address that the device used, if it is one of the two that Google's service had
// (CCS 3.1).
func (s *session) addressee(to string) string {
	for _, domain := range [...]string{"gcm.googleapis.com", "fcm.googleapis.com"} {
		if local, ok := strings.CutSuffix(to, "@"+domain); ok && local == string(s.user) {
			return to
		}
	}
	return s.bare
}

func (s *session) appendReceipt(out []byte, m *ccs.Message, e *store.Entry) []byte {
	return stanza.AppendReceipt(out, s.bare, &stanza.Receipt{
		OriginalID: m.ID, Token: m.From, Category: m.App, Sent: e.Accepted,
	})
}

func (s *session) write(b []byte) error {
	s.setWriteDeadline(time.Now().Add(s.srv.opts.WriteTimeout))
	if _, err := s.nc.Write(b); err != nil {
		s.broken = true
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return fmt.Errorf("%w for %s: %w", errSlowReader, s.srv.opts.WriteTimeout, err)
		}
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
