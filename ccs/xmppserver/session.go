package xmppserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	box   *ccs.Mailbox
	bare  string // the address that upstream messages go to
	rules stanza.Rules
	ctx   context.Context

	// Owned by readLoop.
	batch []stanza.Downstream // decoded since the last hand-over
	acked []store.ID          // acknowledged since the last hand-over
	freed int                 // upstream slots that came free with them

	// Owned by serveLoop.
	results   []ccs.Result
	opened    time.Time
	accepted  int // totals, for the log
	refused   int
	delivered int
	drainedAt time.Time // when the control message was written, zero before

	// Shared; safe for concurrent use.
	window   *flowcontrol.Window // received and not answered (CCS 4.1)
	upstream *flowcontrol.Window // offered and not acknowledged (CCS 4.2)
	settled  atomic.Bool         // the peer is ready for upstream messages
	wakeUp   atomic.Bool         // the queue may have more
	starved  atomic.Bool         // it may, but no slot was free
	notify   chan struct{}       // capacity 1: serveLoop has something to do
	written  chan struct{}       // capacity 1: replies were taken

	mu          sync.Mutex // never held over I/O
	pending     []stanza.Downstream
	replies     []byte // encoded answers of readLoop
	slots       int    // of window, that those answers free once written
	outstanding map[string][]offered
	draining    bool
	ended       error // why readLoop ended, nil while it runs
}

// offered is an upstream message that this connection carries and that is not acknowledged.
type offered struct {
	id   store.ID // zero if it was never stored
	from string
}

const (
	claimBatch = 256       // upstream messages taken from the store at a time
	maxReplies = 256 << 10 // bytes of readLoop's own answers that may wait; then it stops reading
	maxScratch = 1 << 20   // a larger write buffer is not kept
	claimRetry = time.Second

	// settleTime is how long after bind upstream messages wait for the peer's first stanza. Clients that ask
	// for the session, and ones that still set their handlers up, drop what comes before (CCS 1.7); but a
	// client need not send anything.
	settleTime = 500 * time.Millisecond
)

// What a session may end with besides errors of the connection.
var (
	errDrained    = errors.New("drained")
	errSlowReader = errors.New("the peer does not read its answers")
)

// runSession attaches the bound connection to its queue and serves it until it ends.
func (c *conn) runSession(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := c.srv.router.Profile()
	s := &session{
		conn:        c,
		bare:        string(c.user) + "@" + c.domain,
		rules:       p.Payload,
		ctx:         ctx,
		opened:      time.Now(),
		window:      flowcontrol.NewWindow(p.Window),
		upstream:    flowcontrol.NewWindow(p.UpstreamWindow),
		notify:      make(chan struct{}, 1),
		written:     make(chan struct{}, 1),
		outstanding: make(map[string][]offered),
	}
	s.log = c.log.With(zap.String("sender", string(c.user)), zap.String("conn", c.jid))
	box, err := c.srv.router.Attach(ctx, c.user.Key(), sessionHandle{s, cancel})
	if err != nil {
		c.farewell(err)
		return err
	}
	s.box = box
	s.log.Info("session open", zap.Int("window", s.window.Size()))
	c.bound(s)
	s.wakeUp.Store(true) // what waited while no app server was there
	soon := time.AfterFunc(settleTime, s.settle)
	defer soon.Stop()

	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { s.nc.SetReadDeadline(longAgo) })
	defer stop()
	g.Go(func() error {
		err := s.readLoop(ctx)
		s.end(err)
		return nil // serveLoop still has to answer what was read
	})
	g.Go(func() error { return s.serveLoop(ctx) })
	err = g.Wait()
	box.Detach(ctx)
	s.log.Info("session closed", zap.Error(err), zap.Int("accepted", s.accepted), zap.Int("refused", s.refused),
		zap.Int("delivered", s.delivered), zap.Duration("took", time.Since(s.opened)))
	return err
}

// sessionHandle is what the router knows of a session.
type sessionHandle struct {
	s      *session
	cancel context.CancelCauseFunc
}

func (h sessionHandle) Wake() bool { return h.s.wake() }

func (h sessionHandle) Close(reason error) { h.cancel(reason) }

// wake is called by the router when the queue has more.
func (s *session) wake() bool {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining {
		return false
	}
	if s.upstream.Free() == 0 {
		s.starved.Store(true)
		if s.upstream.Free() == 0 || !s.starved.CompareAndSwap(true, false) {
			return false
		}
	}
	s.wakeUp.Store(true)
	s.signal()
	return true
}

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
	var out []byte
	var w work
	for {
		w = s.take(w)
		out = append(out[:0], w.replies...)
		if len(w.batch) > 0 {
			out = s.route(ctx, out, w.batch)
		}
		if w.draining && s.drainedAt.IsZero() {
			out = stanza.AppendControl(out, "CONNECTION_DRAINING", "drain-"+randomHex(4))
			s.drainedAt = time.Now()
			s.log.Info("draining", zap.Int("unanswered", s.window.Pending()), zap.Int("unacked", s.upstream.Pending()))
		}
		more := false
		if !w.draining && w.ended == nil {
			out, more = s.offer(ctx, out)
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
	return time.After(o.DrainMax - since), s.window.Pending() == 0 && s.upstream.Pending() == 0
}

// route has the router take a batch on and appends the answers.
func (s *session) route(ctx context.Context, out []byte, batch []stanza.Downstream) []byte {
	s.results = s.srv.router.Send(ctx, s.user, batch, s.results[:0])
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

// offer claims upstream messages, as many as the window has room for, and appends them. More says that
// the queue is not known to be empty.
func (s *session) offer(ctx context.Context, out []byte) (_ []byte, more bool) {
	if !s.settled.Load() || !s.wakeUp.Swap(false) {
		return out, false
	}
	n := min(s.upstream.Free(), claimBatch)
	if n == 0 {
		s.starved.Store(true)
		if s.upstream.Free() > 0 && s.starved.CompareAndSwap(true, false) {
			s.wakeUp.Store(true)
			return out, true
		}
		return out, false
	}
	entries, err := s.box.Claim(ctx, n)
	if err != nil && ctx.Err() == nil {
		s.log.Error("claim upstream messages", zap.Error(err))
		time.AfterFunc(claimRetry, func() { s.wakeUp.Store(true); s.signal() })
	}
	for i := range entries {
		out = s.appendUpstream(ctx, out, &entries[i])
	}
	if err == nil && len(entries) == n {
		s.wakeUp.Store(true)
		return out, true
	}
	return out, false
}

func (s *session) appendUpstream(ctx context.Context, out []byte, e *store.Entry) []byte {
	var m ccs.Message
	if err := m.Decode(e.Body); err != nil {
		s.log.Error("message in the queue cannot be read, dropped", zap.Uint64("id", uint64(e.ID)), zap.Error(err))
		s.box.Ack(ctx, e.ID)
		return out
	}
	s.upstream.Take(1)
	s.mu.Lock()
	s.outstanding[m.ID] = append(s.outstanding[m.ID], offered{id: e.ID, from: m.From})
	s.mu.Unlock()
	s.delivered++
	return stanza.AppendUpstream(out, s.bare, &stanza.Upstream{
		From: m.From, MessageID: m.ID, Category: m.App, TTL: m.TTL, Data: m.Data,
	})
}

func (s *session) write(b []byte) error {
	s.nc.SetWriteDeadline(time.Now().Add(s.srv.opts.WriteTimeout))
	if _, err := s.nc.Write(b); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return fmt.Errorf("%w for %s: %w", errSlowReader, s.srv.opts.WriteTimeout, err)
		}
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
