package ccs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Mailbox is one session's view of a queue, in both directions the same. Its methods may be called from any
// goroutine. There are two: a DeviceMailbox has its queue for itself, a SharedMailbox shares it.
type Mailbox interface {
	// Lease names the mailbox among those of its queue.
	Lease() store.Lease
	// Opened tells that the session has all its queues. A session calls it on one of its mailboxes, once. conn names
	// the connection.
	Opened(conn string)
	// Closed tells that a session which was opened has ended, before it detaches from its queues. why is one of the
	// reasons that begin with Closed.
	Closed(conn, why string)
	// Claim takes at most max messages, in order; ones that are never stored come first and have ID zero.
	// The caller acknowledges them or ends.
	Claim(ctx context.Context, max int) ([]store.Entry, error)
	// Open makes a delivery of a claimed entry: it decodes the message. An entry that cannot be decoded is logged and
	// forgotten, and Open returns false.
	Open(ctx context.Context, e *store.Entry, d *Delivery) bool
	// Offers returns an empty collection of messages that the session writes.
	Offers() Offers
	// Ack forgets messages: the peer has them.
	Ack(ctx context.Context, ids ...store.ID) error
	// End forgets messages, and says how they have ended.
	End(ctx context.Context, how End, ids ...store.ID) error
	// Forget ends the life of deliveries: first their receipts are stored, then the entries go, so that a crash between
	// loses no receipt and makes no second one (CCS 3.5). What it has done is taken out of f, so that the rest can be
	// tried again.
	Forget(ctx context.Context, f *Finished) error
	// Detach ends the view. What was claimed and not acknowledged is offered again: to another session of
	// the queue at once, else to the next that attaches. The session must not be claiming any more.
	Detach(ctx context.Context)
}

// mailbox is what both kinds of Mailbox have in common.
type mailbox struct {
	router  *Router
	key     store.Key
	session Session
	lease   store.Lease   // the name of the mailbox
	claims  store.Lease   // what it claims under
	gone    chan struct{} // closed when detached

	mu       sync.Mutex
	volatile []store.Entry // never stored: TTL 0 (CCS 5.2)
	detached bool
}

// maxVolatile bounds the messages with TTL 0 that wait for a session to write them.
const maxVolatile = 1000

func (m *mailbox) init(r *Router, k store.Key, s Session) {
	m.router, m.key, m.session, m.gone = r, k, s, make(chan struct{})
	m.lease = store.Lease(r.leases.Add(1))
	m.claims = m.lease
}

// Lease implements Mailbox.
func (m *mailbox) Lease() store.Lease { return m.lease }

// Offers implements Mailbox.
func (m *mailbox) Offers() Offers { return Offers{box: m} }

// Opened implements Mailbox.
func (m *mailbox) Opened(conn string) { m.tellSession(CodeOpened, conn, "") }

// Closed implements Mailbox.
func (m *mailbox) Closed(conn, why string) { m.tellSession(CodeClosed, conn, why) }

func (m *mailbox) tellSession(code, conn, why string) {
	if m.router.observer == nil {
		return
	}
	events := NewEvents()
	e := events.Add(EventSession)
	e.Code, e.Key, e.Lease, e.Conn, e.Text = code, m.key, m.lease, conn, why
	m.router.Tell(events)
}

// push hands a message over that is never stored; false if it cannot be taken.
func (m *mailbox) push(e store.Entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.detached || len(m.volatile) >= maxVolatile {
		return false
	}
	m.volatile = append(m.volatile, e)
	return true
}

// claimVolatile takes at most max messages that are never stored.
func (m *mailbox) claimVolatile(max int) ([]store.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.detached {
		return nil, ErrDetached
	}
	n := min(max, len(m.volatile))
	if n == 0 {
		return nil, nil
	}
	claimed := m.volatile[:n:n]
	m.volatile = m.volatile[n:]
	return claimed, nil
}

// forget lets the store forget entries, and tells how they have ended.
func (m *mailbox) forget(ctx context.Context, how End, ids []store.ID) error {
	missing, err := m.router.store.Ack(ctx, m.key, ids...)
	if err != nil {
		m.router.tally.endedInDoubt(DirectionOf(m.key), len(ids))
		return fmt.Errorf("ack %s: %w", m.key, err)
	}
	m.ended(how, ids, missing)
	return nil
}

// ended tells how entries have ended, except for those that the store did not find.
func (m *mailbox) ended(how End, ids, missing []store.ID) {
	if len(missing) > 0 { // something else has ended them, such as a newer message with the same collapse key
		ids = slices.DeleteFunc(slices.Clone(ids), func(id store.ID) bool {
			i := slices.Index(missing, id)
			if i >= 0 {
				missing = slices.Delete(missing, i, i+1)
			}
			return i >= 0
		})
	}
	m.router.endedAs(m.key, how, m.lease, ids)
}

// wait returns when the mailbox has been detached.
func (m *mailbox) wait(ctx context.Context) error {
	select {
	case <-m.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("attach %s: wait for the older session: %w", m.key, context.Cause(ctx))
	}
}

// releaseTimeout bounds how long a session that ends waits for the store.
const releaseTimeout = 10 * time.Second

// end lets nothing more in, and returns a context for what is left to be done.
func (m *mailbox) end(ctx context.Context) (context.Context, context.CancelFunc) {
	m.mu.Lock()
	m.detached = true
	m.volatile = nil
	m.mu.Unlock()
	return context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
}

// left tells those that wait for the mailbox that it is gone, and wakes the next session.
func (m *mailbox) left() {
	close(m.gone)
	m.router.tellReleased(m, CodeClosed)
	m.router.wake(m.key)
}

// DeviceMailbox is a Mailbox of a device, which has one session at most.
type DeviceMailbox struct {
	mailbox
	claimed int // entries that the session has claimed and not ended; under mu
}

// AttachDevice gives the session of a device its queue. The device's older session is closed first, and waited for:
// the newest login wins (DEV 6), and two sessions never claim for one device.
func (r *Router) AttachDevice(ctx context.Context, d DeviceID, s Session) (*DeviceMailbox, error) {
	m := &DeviceMailbox{}
	m.init(r, d.Key(), s)
	for {
		older := r.joinAlone(&m.mailbox)
		if older == nil {
			break
		}
		older.session.Close(ErrTakenOver)
		if err := older.wait(ctx); err != nil {
			return nil, err
		}
	}
	err := r.attachNode(ctx, &m.mailbox)
	if err == nil {
		if err = r.endProbation(ctx, uint64(d)); err != nil {
			err = fmt.Errorf("attach %s: %w", m.key, err)
		}
	}
	if err != nil {
		m.Detach(ctx)
		return nil, err
	}
	r.setPresent(ctx, m.key, true)
	return m, nil
}

// Claim implements Mailbox.
func (m *DeviceMailbox) Claim(ctx context.Context, max int) ([]store.Entry, error) {
	claimed, err := m.claimVolatile(max)
	if err != nil || len(claimed) == max {
		return claimed, err
	}
	stored, err := m.router.store.Claim(ctx, m.key, m.claims, max-len(claimed), m.router.clock.Now())
	if err != nil {
		return claimed, fmt.Errorf("claim %s: %w", m.key, err)
	}
	m.count(len(stored))
	if len(claimed) == 0 {
		return stored, nil
	}
	return append(claimed, stored...), nil
}

// Open implements Mailbox.
func (m *DeviceMailbox) Open(ctx context.Context, e *store.Entry, d *Delivery) bool {
	return m.router.open(ctx, m, e, d)
}

// Ack implements Mailbox.
func (m *DeviceMailbox) Ack(ctx context.Context, ids ...store.ID) error {
	return m.End(ctx, Acknowledged, ids...)
}

// End implements Mailbox.
func (m *DeviceMailbox) End(ctx context.Context, how End, ids ...store.ID) error {
	if len(ids) == 0 {
		return nil
	}
	if err := m.forget(ctx, how, ids); err != nil {
		return err
	}
	m.count(-len(ids))
	return nil
}

// AckAsync is Ack that does not wait: done is called once, from a goroutine of the store, and must not block. It
// returns false, and does nothing, if the store cannot do that: then use Ack. The caller must not change ids.
func (m *DeviceMailbox) AckAsync(ids []store.ID, done func(error)) bool {
	acker, ok := m.router.store.(store.AsyncAcker)
	if !ok || !acker.AckAsync(m.key, ids, func(missing []store.ID, err error) {
		if err == nil {
			m.ended(Acknowledged, ids, missing)
			m.count(-len(ids))
		} else {
			m.router.tally.endedInDoubt(DirectionOf(m.key), len(ids))
		}
		done(err)
	}) {
		return false
	}
	return true
}

// count counts entries that the session has claimed, or those that it has no more if n is below zero.
func (m *DeviceMailbox) count(n int) {
	m.mu.Lock()
	n = max(n, -m.claimed) // an entry may be acknowledged twice
	m.claimed += n
	m.mu.Unlock()
	m.router.tally.claimed(DirectionOf(m.key), n)
}

// Forget implements Mailbox.
func (m *DeviceMailbox) Forget(ctx context.Context, f *Finished) error {
	return m.router.finish(ctx, m, f)
}

// Detach implements Mailbox.
func (m *DeviceMailbox) Detach(ctx context.Context) {
	ctx, cancel := m.end(ctx)
	defer cancel()
	m.count(-math.MaxInt)
	if !m.router.stopping.Load() {
		m.router.setPresent(ctx, m.key, false)
	}
	m.giveBack(ctx)
	m.router.leave(&m.mailbox) // only now may the device's next session come in
	m.left()
}

// open is Mailbox.Open for both kinds.
func (r *Router) open(ctx context.Context, m Mailbox, e *store.Entry, d *Delivery) bool {
	*d = Delivery{Entry: *e}
	if e.Deleted > 0 {
		return true
	}
	err := d.Message.Decode(e.Body)
	if err == nil {
		return true
	}
	r.log.Error("message in the queue cannot be read, dropped", zap.Stringer("queue", e.Key), zap.Stringer("entry", e.ID), zap.Error(err))
	if e.ID != 0 {
		if err := m.End(ctx, EndGivenUp, e.ID); err != nil {
			r.StoreFailed(r.log, "forget a message that cannot be read", err, zap.Stringer("queue", e.Key))
		}
	}
	return false
}

// finish is Mailbox.Forget for both kinds.
func (r *Router) finish(ctx context.Context, m Mailbox, f *Finished) error {
	if len(f.receipts) > 0 {
		if err := r.SendReceipts(ctx, f.receipts); err != nil {
			return err
		}
		clear(f.receipts)
		f.receipts = f.receipts[:0]
	}
	if err := m.Ack(ctx, f.ids...); err != nil {
		return err
	}
	f.ids = f.ids[:0]
	if err := m.End(ctx, EndExpired, f.expired...); err != nil {
		return err
	}
	f.expired = f.expired[:0]
	if err := m.End(ctx, EndGivenUp, f.givenUp...); err != nil {
		return err
	}
	f.givenUp = f.givenUp[:0]
	return nil
}
