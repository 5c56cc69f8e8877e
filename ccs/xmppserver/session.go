package xmppserver

import (
	"cmp"
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

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

// session is a bound connection.
type session struct {
	// Static after newSession.
	*conn
	role     role
	bare     string               // the address that messages go to
	window   *flowcontrol.Window  // received and not answered (CCS 4.1)
	held     *flowcontrol.Account // bytes of that
	feeds    []*feed              // the first has the peer's messages, which draining waits for
	settling *time.Timer          // calls settle; runSession starts it

	// Owned by readLoop.
	wrongAcks flowcontrol.Bucket
	begun     time.Time // when a stanza was first waited for that has begun; zero while there is none
	deadline  time.Time // of reads
	kept      int64     // bytes of the messages since the last hand-over
	room      int64     // bytes that may be taken before held is asked again
	part      int64     // bytes of an unfinished stanza that are counted in the budget

	// Owned by serveLoop.
	opened    time.Time
	accepted  int // totals, for the log
	refused   int
	drainedAt time.Time // when the control message was written, zero before

	// Shared; safe for concurrent use.
	settled atomic.Bool   // the peer is ready for messages
	notify  chan struct{} // capacity 1: serveLoop has something to do
	ticked  atomic.Bool   // the clock of the router was moved
	written chan struct{} // capacity 1: replies were taken

	mu       sync.Mutex // never held over I/O
	replies  []byte     // encoded answers of readLoop
	answers  load       // what those answer: it frees slots of window once they are written
	draining bool
	ended    error // why readLoop ended, nil while it runs
}

// role is what a session does for the kind of peer that it has: an app server or a device.
type role interface {
	// decode reads what the peer said, and keep has it routed with the next batch. Both are for readLoop.
	decode(payload []byte) (head, error)
	keep()
	// handOver gives serveLoop what was kept since the last time, which came in so many bytes. It reports whether
	// there was any.
	handOver(bytes int64) bool
	// route has the router take on what was handed over, appends the answers, and returns what was answered. It
	// is for serveLoop.
	route(ctx context.Context, out []byte) (_ []byte, answered load)
	// shrink gives up memory that an idle session does not need. It is for serveLoop.
	shrink()
	// acknowledge takes an ack of the peer's; false if this connection carries nothing that it could be for.
	acknowledge(id, to string) bool
}

// load is messages that are to be answered, and the bytes of the stanzas that they came in.
type load struct {
	messages int
	bytes    int64
}

// add counts a delivery.
func (l *load) add(o *offered) {
	l.messages++
	l.bytes += o.Size()
}

// head is what a session has to know of anything that its peer says.
type head struct {
	typ   stanza.Type
	to    string
	hasTo bool
	id    string // message_id
}

const (
	maxReplies = 256 << 10 // bytes of readLoop's own answers that may wait; then it stops reading
	maxScratch = 256 << 10 // a larger write buffer is not kept

	// maxHeld is how many bytes of stanzas a session may leave unanswered, and how many its peer may leave
	// unacknowledged in each feed. One stanza or message may be larger.
	maxHeld = 1 << 20

	// settleTime is how long messages wait after bind, and again after the request for the session, for the
	// peer's first message or presence. Many clients register their handlers only when they have the answers
	// to all their requests, and drop what comes with these (CCS 1.7). A client need not send anything, though.
	settleTime = 500 * time.Millisecond
)

// What a session may end with besides errors of the connection.
var (
	errDrained    = errors.New("drained")
	errSlowReader = errors.New("the peer does not read its answers")
)

// runSession attaches the bound connection to its queues and serves it until it ends. The log has why it ended.
func (c *conn) runSession(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := c.newSession()
	defer s.forgetHeld()
	for _, f := range s.feeds {
		if err := f.attach(ctx, s.wakeable, cancel); err != nil {
			s.srv.router.StoreFailed(s.log, "session not opened", err)
			c.farewell(err)
			return
		}
		defer f.box.Detach(ctx)
	}
	s.srv.logins.Add(1)
	s.log.Info("session open", zap.Int("window", s.window.Size()))
	c.bound(s)
	s.settling = time.AfterFunc(settleTime, s.settle)
	defer s.settling.Stop()

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
	totals := []zap.Field{zap.Error(err), zap.Int("accepted", s.accepted), zap.Int("refused", s.refused)}
	for _, f := range s.feeds {
		totals = append(totals, zap.Int(f.name, f.offeredTotal))
	}
	s.log.Info("session closed", append(totals, zap.Duration("took", time.Since(s.opened)))...)
}

// forgetHeld gives back to the budget what the session held.
func (s *session) forgetHeld() {
	s.held.Close()
	s.srv.opts.Memory.Add(-s.part)
	for _, f := range s.feeds {
		f.held.Close()
	}
}

func (c *conn) newSession() *session {
	p := c.srv.router.Profile()
	s := &session{
		conn:    c,
		bare:    c.user + "@" + c.domain,
		opened:  time.Now(),
		window:  flowcontrol.NewWindow(cmp.Or(c.limits.Window, p.Window)),
		held:    flowcontrol.NewAccount(c.srv.opts.Memory, maxHeld),
		notify:  make(chan struct{}, 1),
		written: make(chan struct{}, 1),
	}
	s.log = c.log.With(zap.String("conn", c.jid))
	if c.device != 0 {
		s.beDevice()
	} else {
		s.beAppServer()
	}
	return s
}

// newFeed makes a feed of the session's. What is special to it is set by the caller.
func (s *session) newFeed(name string, key store.Key, window int, join func(context.Context, store.Key, feedHandle) (ccs.Mailbox, error)) *feed {
	f := &feed{
		name: name, key: key, join: join, router: s.srv.router, window: flowcontrol.NewWindow(window), signal: s.signal, tick: s.tick, log: s.log,
		held:    flowcontrol.NewAccount(s.srv.opts.Memory, maxHeld),
		resends: -1, firstGap: s.srv.opts.ResendAfter,
	}
	s.feeds = append(s.feeds, f)
	return f
}

// messages is the feed that has what others send to the peer.
func (s *session) messages() *feed { return s.feeds[0] }

// wakeable reports whether the session takes anything new.
func (s *session) wakeable() bool { return !s.isDraining() }

// settle lets the feeds go.
func (s *session) settle() {
	if !s.settled.Load() && s.settled.CompareAndSwap(false, true) {
		s.signal()
	}
}

// tick makes serveLoop look for what is due now, as the clock of the router was moved.
func (s *session) tick() {
	s.ticked.Store(true)
	s.signal()
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

// work is what serveLoop takes at a time, besides what the role has for it.
type work struct {
	replies  []byte
	answers  load
	draining bool
	ended    error
}

// take swaps out all that readLoop left. What is handed in is used again.
func (s *session) take(done work) work {
	if cap(done.replies) > maxReplies {
		done.replies = nil
	}
	s.mu.Lock()
	w := work{replies: s.replies, answers: s.answers, draining: s.draining, ended: s.ended}
	s.replies, s.answers = done.replies[:0], load{}
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
	resend := time.NewTimer(s.srv.opts.ResendAfter / resendChecks)
	defer resend.Stop()
	due := false
	var out []byte
	var w work
	for {
		w = s.take(w)
		out = append(out[:0], w.replies...)
		var answered load
		out, answered = s.role.route(ctx, out)
		if w.draining && s.drainedAt.IsZero() {
			out = stanza.AppendControl(out, "CONNECTION_DRAINING", s.controlID())
			s.drainedAt = time.Now()
			s.log.Info("draining", zap.Int("unanswered", s.window.Pending()), zap.Int("unacked", s.messages().window.Pending()))
		}
		if due || s.ticked.Load() {
			due = false
			s.ticked.Store(false)
			now := s.srv.router.Now()
			s.messages().checkPhantom(now)
			next := now.Add(s.srv.opts.ResendAfter / resendChecks)
			for _, f := range s.feeds {
				out, next = f.resend(ctx, out, now, next)
				f.recheck()
			}
			resend.Reset(max(next.Sub(now), s.srv.opts.ResendAfter/resendSlack))
		}
		for _, f := range s.feeds {
			if f.late.Swap(false) {
				f.settle(ctx)
			}
		}
		more := false
		if !w.draining && w.ended == nil && s.settled.Load() {
			for _, f := range s.feeds {
				var moreOfIt bool
				out, moreOfIt = f.offer(ctx, out)
				more = more || moreOfIt
			}
		}
		if len(out) > 0 {
			if err := s.writeCounted(out); err != nil {
				return err
			}
			s.held.Sub(w.answers.bytes + answered.bytes)
			s.window.Give(w.answers.messages + answered.messages)
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
			out, w.replies = nil, nil
			s.role.shrink()
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

const (
	// resendChecks is how often within ResendAfter a session looks for what was not acknowledged, or oftener where
	// something is due sooner.
	resendChecks = 6
	// resendSlack is the part of ResendAfter that a message may be sent again too late, so that many are looked
	// through at once.
	resendSlack = 120
)

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
	return time.After(o.DrainMax - since), s.window.Pending() == 0 && s.messages().window.Pending() == 0
}

// appendNack is the one place that turns an error into what the peer is told.
func (s *session) appendNack(out []byte, from, id string, err error) []byte {
	code, description, cause := nackOf(err)
	if cause != nil {
		s.srv.router.StoreFailed(s.log, "message not handled", err, zap.String("message_id", id))
	}
	return stanza.AppendNack(out, from, id, code, description)
}

// writeCounted is write, of what counts as held until the peer has taken it.
func (s *session) writeCounted(b []byte) error {
	n := int64(len(b))
	s.srv.opts.Memory.Add(n)
	defer s.srv.opts.Memory.Add(-n)
	return s.write(b)
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
