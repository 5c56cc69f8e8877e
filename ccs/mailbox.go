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

// Mailbox is one session's view of a queue, the same in both directions. Its methods may be called
// from any goroutine. There are two kinds: only one session uses the queue of a DeviceMailbox,
// several may share that of a SharedMailbox.
type Mailbox interface {
	// Lease returns the name of the mailbox among those of its queue.
	Lease() store.Lease
	// Opened reports that the session has all its queues. A session calls it once, on one of its
	// mailboxes. conn names the connection.
	Opened(conn string)
	// Closed reports that a session that was opened has ended. It is called before the session
	// detaches from its queues. why is one of the reasons that begin with Closed.
	Closed(conn, why string)
	// Claim takes at most max messages, in order. Messages that are never stored come first and
	// have ID zero. The caller must end or acknowledge each, or detach.
	Claim(ctx context.Context, max int) ([]store.Entry, error)
	// Open decodes a claimed entry into a delivery. If the entry cannot be decoded, Open logs and
	// forgets it, and returns false.
	Open(ctx context.Context, e *store.Entry, d *Delivery) bool
	// Offers returns an empty collection for the messages that the session writes.
	Offers() Offers
	// Ack forgets messages that the peer has acknowledged.
	Ack(ctx context.Context, ids ...store.ID) error
	// End forgets messages and records how they have ended.
	End(ctx context.Context, how End, ids ...store.ID) error
	// Forget ends the life of deliveries. It stores their receipts before it forgets the entries,
	// so that a crash between the two neither loses nor doubles a receipt (CCS 3.5). It removes
	// from f what it has done, so that the rest can be tried again.
	Forget(ctx context.Context, f *Finished) error
	// Detach ends the view. Unacknowledged entries are offered again: at once to another session of
	// the queue, or else to the next that attaches. No Claim of the session may be running.
	Detach(ctx context.Context)
}

// mailbox is the common part of both kinds of Mailbox.
type mailbox struct {
	router  *Router
	key     store.Key
	session Session
	lease   store.Lease   // the name of the mailbox
	claims  store.Lease   // the lease of its claims
	gone    chan struct{} // closed when detached

	mu       sync.Mutex
	volatile []store.Entry // messages with TTL 0, which are never stored (CCS 5.2)
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

// push takes a message that is never stored. It returns false if there is no room.
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

// forget forgets entries in the store and reports how they have ended.
func (m *mailbox) forget(ctx context.Context, how End, ids []store.ID) error {
	missing, err := m.router.store.Ack(ctx, m.key, ids...)
	if err != nil {
		m.router.tally.endedInDoubt(DirectionOf(m.key), len(ids))
		return fmt.Errorf("ack %s: %w", m.key, err)
	}
	m.ended(how, ids, missing)
	return nil
}

// ended reports how entries have ended, except for those that the store did not find.
func (m *mailbox) ended(how End, ids, missing []store.ID) {
	// Something else has ended them, such as a newer message with the same collapse key.
	if len(missing) > 0 {
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

// wait returns after the mailbox is detached.
func (m *mailbox) wait(ctx context.Context) error {
	select {
	case <-m.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("attach %s: wait for the older session: %w", m.key, context.Cause(ctx))
	}
}

// releaseTimeout bounds how long an ending session waits for the store.
const releaseTimeout = 10 * time.Second

// end makes the mailbox take nothing more, and returns a context for the remaining work.
func (m *mailbox) end(ctx context.Context) (context.Context, context.CancelFunc) {
	m.mu.Lock()
	m.detached = true
	m.volatile = nil
	m.mu.Unlock()
	return context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
}

// left marks the mailbox as detached for its waiters, and wakes the next session.
func (m *mailbox) left() {
	close(m.gone)
	m.router.tellReleased(m, CodeClosed)
	m.router.wake(m.key)
}

// DeviceMailbox is a Mailbox of a device, which has one session at most.
type DeviceMailbox struct {
	mailbox
	claimed int // entries that are claimed and not ended; guarded by mu
}

// AttachDevice gives the session of a device its queue. It first closes the device's older session
// and waits for it. The newest login wins (DEV 6), and two sessions never claim for one device.
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

// AckAsync is Ack that does not wait. A goroutine of the store calls done once; done must not
// block. If the store cannot do that, AckAsync returns false and does nothing, and the caller must
// use Ack. The caller must not change ids.
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

// count counts n entries that the session has claimed, or -n that it has not any more.
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
	m.router.leave(&m.mailbox) // only now may the device's next session attach
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
