package xmppserver

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/stream"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
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
	s.messages().box.Opened(s.jid)
	c.bound(s)
	s.settling = time.AfterFunc(settleTime, s.enableDelivery)
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
	s.messages().box.Closed(s.jid, closeReason(err))
}

// closeReason names why a session ended, for the event.
func closeReason(err error) string {
	var cond stream.Error
	var broken *stanza.StreamError
	switch {
	case errors.Is(err, errDrained):
		return ccs.ClosedDrained
	case errors.Is(err, errSlowReader):
		return ccs.ClosedSlow
	case errors.Is(err, eagerconn.ErrNoRoom):
		return ccs.ClosedNoMemory
	case errors.As(err, &cond), errors.As(err, &broken), errors.Is(err, eagerconn.ErrTooMuch):
		return ccs.ClosedProtocol
	}
	return ccs.CloseReason(err)
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

// enableDelivery lets the feeds go.
func (s *session) enableDelivery() {
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

func (s *session) end(err error) {
	s.mu.Lock()
	s.ended = err
	s.mu.Unlock()
	s.signal()
}
