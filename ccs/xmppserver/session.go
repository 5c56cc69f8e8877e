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
	// These fields do not change after newSession.
	*conn
	role          role
	bare          string               // the address that messages go to
	window        *flowcontrol.Window  // received and not answered (CCS 4.1)
	held          *flowcontrol.Account // bytes of those
	consumers     []*consumer          // the first has the peer's messages, which draining waits for
	deliveryTimer *time.Timer          // calls enableDelivery; runSession starts it

	// Owned by readLoop.
	wrongAcks flowcontrol.Bucket
	// begun is when the reader first waited for the rest of a stanza, or zero.
	begun    time.Time
	deadline time.Time // of reads
	kept     int64     // bytes of the messages since the last publish
	room     int64     // bytes that may be taken before held is asked again
	part     int64     // bytes of an unfinished stanza that the budget counts

	// Owned by serveLoop.
	opened    time.Time
	accepted  int // totals for the log
	refused   int
	drainedAt time.Time // when the control message was written, or zero

	// Shared; safe for concurrent use.
	deliveryEnabled atomic.Bool   // the peer is ready for messages
	notify          chan struct{} // capacity 1: serveLoop has work
	ticked          atomic.Bool   // the router's clock jumped
	written         chan struct{} // capacity 1: serveLoop took the replies

	mu       sync.Mutex // never held over I/O
	replies  []byte     // encoded answers of readLoop
	answers  load       // answered by replies: their slots come free once those are written
	draining bool
	ended    error // why readLoop ended; nil while it runs
}

// role is the part of a session that depends on its peer: an app server or a device.
type role interface {
	// decode decodes a payload of the peer, and keep adds it to the next batch. Both are for
	// readLoop.
	decode(payload []byte) (head, error)
	collect()
	// publish passes the batch, whose stanzas have so many bytes, to serveLoop. It reports whether
	// there was any.
	publish(bytes int64) bool
	// route gives the batch to the router, appends the answers, and returns how much was answered.
	// It is for serveLoop.
	route(ctx context.Context, out []byte) (_ []byte, answered load)
	// freeMemory frees memory that an idle session does not need. It is for serveLoop.
	freeMemory()
	// acknowledge handles an ack of the peer. It returns false if this connection has no message
	// for it.
	acknowledge(id, to string) bool
}

// load is a number of messages to answer, and the bytes of their stanzas.
type load struct {
	messages int
	bytes    int64
}

// add counts a delivery.
func (l *load) add(o *offered) {
	l.messages++
	l.bytes += o.Size()
}

// head has the fields that a session needs of any payload.
type head struct {
	typ   stanza.Type
	to    string
	hasTo bool
	id    string // message_id
}

const (
	maxReplies = 256 << 10 // bytes of readLoop's own answers that may wait before it stops reading
	maxScratch = 256 << 10 // a larger write buffer is freed

	// maxHeld bounds the bytes of stanzas that a session may leave unanswered. It also bounds those
	// that its peer may leave unacknowledged in each consumer. A single stanza or message may be
	// larger.
	maxHeld = 1 << 20

	// deliveryDelay is how long messages wait after bind, and again after the request for the
	// session, for the peer's first message or presence. Many clients register their handlers only
	// after the answers to all their requests, and drop messages that come with these (CCS 1.7).
	// But a client need not send anything.
	deliveryDelay = 500 * time.Millisecond
)

// Reasons to end a session, besides errors of the connection.
var (
	errDrained    = errors.New("drained")
	errSlowReader = errors.New("the peer does not read its answers")
)

// runSession attaches the bound connection to its queues and serves it until it ends. It logs why
// it ended.
func (c *conn) runSession(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := c.newSession()
	defer s.returnHeld()
	for _, q := range s.consumers {
		if err := q.attach(ctx, s.wakeable, cancel); err != nil {
			s.srv.router.StoreFailed(s.log, "session not opened", err)
			c.farewell(err)
			return
		}
		defer q.box.Detach(ctx)
	}
	s.srv.logins.Add(1)
	s.log.Info("session open", zap.Int("window", s.window.Size()))
	s.messages().box.Opened(s.jid)
	c.bound(s)
	s.deliveryTimer = time.AfterFunc(deliveryDelay, s.enableDelivery)
	defer s.deliveryTimer.Stop()

	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		s.nc.SetReadDeadline(longAgo)
		s.endWrites(farewellTimeout)
	})
	defer stop()
	g.Go(func() error {
		err := s.readLoop(ctx)
		s.end(err)
		return nil // serveLoop still has to answer the messages that were read
	})
	g.Go(func() error { return s.serveLoop(ctx) })
	err := g.Wait()
	totals := []zap.Field{zap.Error(err), zap.Int("accepted", s.accepted), zap.Int("refused", s.refused)}
	for _, q := range s.consumers {
		totals = append(totals, zap.Int(q.name, q.offeredTotal))
	}
	s.log.Info("session closed", append(totals, zap.Duration("took", time.Since(s.opened)))...)
	s.messages().box.Closed(s.jid, closeReason(err))
}

// closeReason returns the reason for the event of a session's end.
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

// returnHeld returns the session's bytes to the budget.
func (s *session) returnHeld() {
	s.held.Close()
	s.srv.opts.Memory.Add(-s.part)
	for _, q := range s.consumers {
		q.held.Close()
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

// newConsumer returns a consumer of the session. The caller sets the fields that differ between
// consumers.
func (s *session) newConsumer(name string, key store.Key, window int, join func(context.Context, store.Key, consumerSession) (ccs.Mailbox, error)) *consumer {
	q := &consumer{
		name: name, key: key, join: join, router: s.srv.router, window: flowcontrol.NewWindow(window), signal: s.signal, tick: s.tick, log: s.log,
		held:    flowcontrol.NewAccount(s.srv.opts.Memory, maxHeld),
		resends: -1, firstGap: s.srv.opts.ResendAfter,
	}
	s.consumers = append(s.consumers, q)
	return q
}

// messages returns the consumer with messages for the peer.
func (s *session) messages() *consumer { return s.consumers[0] }

// wakeable reports whether the session takes new messages.
func (s *session) wakeable() bool { return !s.isDraining() }

// enableDelivery lets the consumers offer messages.
func (s *session) enableDelivery() {
	if !s.deliveryEnabled.Load() && s.deliveryEnabled.CompareAndSwap(false, true) {
		s.signal()
	}
}

// tick makes serveLoop look for due work, because the router's clock jumped.
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
