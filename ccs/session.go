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

// Session is a connection that empties a queue: a device's or an app server's.
type Session interface {
	// Wake says that the mailbox may have more. It never blocks. False means "not by me, not now": the
	// window is full or the connection drains, so that the next session of the queue may have it. A
	// session that refused claims again by itself as soon as it can.
	Wake() bool
	// Room is how many more messages the session would take now. It never blocks. For a device's session it is
	// not asked.
	Room() int
	// Close ends the session: another took over, or the server shuts down. It never blocks.
	Close(reason error)
}

// hub is the sessions attached to one queue. A device has one at most, a sender any number.
type hub struct {
	lease store.Lease // of a shared queue: what all its sessions have

	mu        sync.Mutex
	mailboxes []*Mailbox
	next      int  // whose turn to be woken first
	claiming  bool // one of them claims from the store
	again     bool // another wanted to meanwhile
}

// Mailbox is one session's view of a queue, in both directions the same. Its methods may be called from
// any goroutine.
type Mailbox struct {
	router  *Router
	key     store.Key
	session Session
	lease   store.Lease   // also the name of the mailbox
	gone    chan struct{} // closed when detached
	hub     *hub          // set by join

	// Of a shared queue; under hub.mu.
	held   map[store.ID]*store.Entry // dealt to the session and not acknowledged
	handed []store.Entry             // those of them that it has not claimed yet

	mu       sync.Mutex
	volatile []store.Entry // never stored: TTL 0 (CCS 5.2)
	claimed  int           // entries that the session of a device has claimed and not ended
	detached bool
}

// maxVolatile bounds the messages with TTL 0 that wait for a session to write them.
const maxVolatile = 1000

// Attach gives a session its queue. A device's older session is closed first, and waited for: the
// newest login wins (DEV 6), and never do two sessions claim for one device. Nor does a session claim before the last
// one of a sender has given back what it has: that is older, and would be overtaken.
func (r *Router) Attach(ctx context.Context, k store.Key, s Session) (*Mailbox, error) {
	m := &Mailbox{router: r, key: k, session: s, lease: store.Lease(r.leases.Add(1)), gone: make(chan struct{})}
	if isShared(k) {
		m.held = make(map[store.ID]*store.Entry)
	}
	for {
		older := r.join(m)
		if older == nil {
			break
		}
		if !isShared(k) {
			older.session.Close(ErrTakenOver)
		}
		select {
		case <-older.gone:
		case <-ctx.Done():
			return nil, fmt.Errorf("attach %s: wait for the older session: %w", k, context.Cause(ctx))
		}
	}
	if err := r.attachNode(ctx, m); err != nil {
		m.Detach(ctx)
		return nil, err
	}
	if k.Kind == store.KindDevice {
		if err := r.welcome(ctx, k.ID); err != nil {
			m.Detach(ctx)
			return nil, fmt.Errorf("attach %s: %w", k, err)
		}
		r.setPresent(ctx, k, true)
	}
	return m, nil
}

// join adds the mailbox to its hub, or returns the one that stands in the way.
func (r *Router) join(m *Mailbox) (older *Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if older := r.leaving[m.key]; older != nil {
		return older
	}
	h := r.hubs[m.key]
	if h == nil {
		h = &hub{lease: store.Lease(r.leases.Add(1))}
		r.hubs[m.key] = h
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.key.Kind == store.KindDevice && len(h.mailboxes) > 0 {
		return h.mailboxes[0]
	}
	h.mailboxes = append(h.mailboxes, m)
	m.hub = h
	delete(r.expected, m.key)
	return nil
}

// leave takes the mailbox from its hub, and reports whether it was the last. What it leaves behind is the
// others'.
func (r *Router) leave(m *Mailbox) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hubs[m.key]
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, o := range h.mailboxes {
		if o == m {
			h.mailboxes = append(h.mailboxes[:i], h.mailboxes[i+1:]...)
			break
		}
	}
	if len(h.mailboxes) == 0 {
		delete(r.hubs, m.key)
		if isShared(m.key) {
			r.leaving[m.key] = m
		}
		return true
	}
	h.leaveBehind(m)
	return false
}

// left ends the leaving of a shared queue's last mailbox.
func (r *Router) left(m *Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leaving, m.key)
}

func (r *Router) hub(k store.Key) *hub {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.hubs[k]
}

// wake has one session of the queue claim: the first that can, in turn.
func (r *Router) wake(k store.Key) { r.wakeFirst(k, 0) }

// wakeFirst is wake that asks the session with the lease before the others.
func (r *Router) wakeFirst(k store.Key, preferred store.Lease) {
	h := r.hub(k)
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if preferred != 0 {
		for _, m := range h.mailboxes {
			if m.Lease() == preferred && m.session.Wake() {
				return
			}
		}
	}
	for range h.mailboxes {
		h.next = (h.next + 1) % len(h.mailboxes)
		if h.mailboxes[h.next].session.Wake() {
			return
		}
	}
}

// offer hands a message that is never stored to a session that is there now (CCS 5.2). False if there
// is none, or if it has too many of them to write.
func (r *Router) offer(e store.Entry) bool {
	h := r.hub(e.Key)
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for range h.mailboxes {
		h.next = (h.next + 1) % len(h.mailboxes)
		if m := h.mailboxes[h.next]; m.push(e) {
			m.session.Wake()
			return true
		}
	}
	return false
}

// connected reports whether a device counts as connected: it is, or it was when the server stopped and
// has a moment to come back.
func (r *Router) connected(k store.Key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.hubs[k] != nil {
		return true
	}
	_, expected := r.expected[k]
	return expected && time.Since(r.started) < r.comeBack
}

// giveUpOnTheExpected notes that the devices that are not back by now are away.
func (r *Router) giveUpOnTheExpected(ctx context.Context) {
	r.mu.Lock()
	expected := r.expected
	r.expected = make(map[store.Key]struct{})
	r.mu.Unlock()
	for k := range expected {
		r.setPresent(ctx, k, false)
	}
}

func (r *Router) setPresent(ctx context.Context, k store.Key, present bool) {
	p, ok := r.store.(store.Presence)
	if !ok {
		return
	}
	if err := p.SetPresent(ctx, k, present); err != nil {
		r.StoreFailed(r.log, "note presence", err, zap.Stringer("device", k), zap.Bool("present", present))
	}
}

// Lease names the mailbox among those of its queue.
func (m *Mailbox) Lease() store.Lease { return m.lease }

// Shared reports whether the queue has another session.
func (m *Mailbox) Shared() bool {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	return len(m.hub.mailboxes) > 1
}

func (m *Mailbox) push(e store.Entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.detached || len(m.volatile) >= maxVolatile {
		return false
	}
	m.volatile = append(m.volatile, e)
	return true
}

// Claim takes at most max messages, in order; ones that are never stored come first and have ID zero.
// The caller acknowledges them or ends.
func (m *Mailbox) Claim(ctx context.Context, max int) ([]store.Entry, error) {
	m.mu.Lock()
	if m.detached {
		m.mu.Unlock()
		return nil, ErrDetached
	}
	n := min(max, len(m.volatile))
	var claimed []store.Entry
	if n > 0 {
		claimed = m.volatile[:n:n]
		m.volatile = m.volatile[n:]
	}
	m.mu.Unlock()
	if n == max {
		return claimed, nil
	}
	if isShared(m.key) {
		shared, err := m.claimShared(ctx, max-n)
		return append(claimed, shared...), err
	}
	stored, err := m.router.store.Claim(ctx, m.key, m.lease, max-n, m.router.clock.Now())
	if err != nil {
		return claimed, fmt.Errorf("claim %s: %w", m.key, err)
	}
	m.count(len(stored))
	if n == 0 {
		return stored, nil
	}
	return append(claimed, stored...), nil
}

// Ack forgets messages: the peer has them.
func (m *Mailbox) Ack(ctx context.Context, ids ...store.ID) error {
	return m.End(ctx, Acknowledged, ids...)
}

// End forgets messages, and says how they have ended.
func (m *Mailbox) End(ctx context.Context, how End, ids ...store.ID) error {
	if len(ids) == 0 {
		return nil
	}
	if isShared(m.key) {
		m.forgetHeld(ids)
	} else {
		m.count(-len(ids))
	}
	missing, err := m.router.store.Ack(ctx, m.key, ids...)
	if err != nil {
		return fmt.Errorf("ack %s: %w", m.key, err)
	}
	m.ended(how, ids, missing)
	return nil
}

// ended says how entries have ended, but for those that the store did not find.
func (m *Mailbox) ended(how End, ids, missing []store.ID) {
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

// AckAsync is Ack that does not wait: done is called once, from a goroutine of the store, and must not block. It
// returns false, and does nothing, if the store cannot do that: then use Ack. The caller must not change ids.
func (m *Mailbox) AckAsync(ids []store.ID, done func(error)) bool {
	acker, ok := m.router.store.(store.AsyncAcker)
	if !ok || isShared(m.key) || !acker.AckAsync(m.key, ids, func(missing []store.ID, err error) {
		if err == nil {
			m.ended(Acknowledged, ids, missing)
		}
		done(err)
	}) {
		return false
	}
	m.count(-len(ids))
	return true
}

// count counts entries of a device that the session has claimed, or those that it has no more if n is below zero.
func (m *Mailbox) count(n int) {
	m.mu.Lock()
	n = max(n, -m.claimed) // an entry may be acknowledged twice
	m.claimed += n
	m.mu.Unlock()
	m.router.tally.claimed(DirectionOf(m.key), n)
}

// releaseTimeout bounds how long a session that ends waits for the store.
const releaseTimeout = 10 * time.Second

// Detach ends the view. What was claimed and not acknowledged is offered again: to another session of
// the queue at once, else to the next that attaches. The session must not be claiming any more.
func (m *Mailbox) Detach(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	m.mu.Lock()
	m.detached = true
	m.volatile = nil
	m.mu.Unlock()
	m.count(-math.MaxInt)
	if m.key.Kind == store.KindDevice && !m.router.stopping.Load() {
		m.router.setPresent(ctx, m.key, false)
	}
	if isShared(m.key) {
		if last := m.router.leave(m); last {
			m.forgetAll()
			m.giveBack(ctx)
			m.router.left(m)
		}
	} else {
		m.giveBack(ctx)
		m.router.leave(m) // only now may the device's next session come in
	}
	close(m.gone)
	m.router.tellReleased(m, CodeClosed)
	m.router.wake(m.key)
}
