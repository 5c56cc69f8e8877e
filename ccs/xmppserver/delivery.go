package xmppserver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// consumer is a queue that a session empties into its stream: the peer's messages, or an app
// server's receipts. Each consumer has its own window. So a client that never acknowledges
// receipts, as many do not, still gets messages (CCS 3.5).
type consumer struct {
	// These fields do not change after attach.
	name   string // name of the entries in the log
	router *ccs.Router
	key    store.Key
	// join attaches the consumer to its queue.
	join func(context.Context, store.Key, consumerSession) (ccs.Mailbox, error)
	box  ccs.Mailbox
	// shared is box if other connections may empty the queue too, or nil for a device's queue.
	shared   *ccs.SharedMailbox
	window   *flowcontrol.Window          // offered and not acknowledged (CCS 4.2)
	held     *flowcontrol.Account         // bytes of those
	signal   func()                       // wakes serveLoop
	tick     func()                       // makes serveLoop look for messages to resend
	id       func(d *ccs.Delivery) string // message_id on the wire
	write    func(b []byte, o *offered) []byte
	resends  int // limit of resends before the entry is given up; negative for no limit
	firstGap time.Duration
	log      *zap.Logger

	// One forgetAcked runs at a time. The lock may be held over a call of the store, and is never
	// taken under mu.
	forgetting sync.Mutex
	spare      finished // memory for acked; guarded by settling

	// Owned by serveLoop.
	offeredTotal int

	// Shared by both goroutines.
	wakeUp  atomic.Bool  // the queue may have more
	starved atomic.Bool  // the queue may have more, but no slot was free
	phantom atomic.Bool  // the peer seems to be gone, and other connections have its messages
	size    atomic.Int64 // size of the largest entry in the last batch
	// lastAck is the time of the last ack, or of the consumer's start, in Unix nanoseconds by the
	// router's clock.
	lastAck atomic.Int64

	forgetDue atomic.Bool // try again to forget what the store could not forget

	mu          sync.Mutex          // never held over I/O
	acked       finished            // since the last forgetAcked
	outstanding map[string]*offered // by message_id: the first entry with it
}

// finished collects deliveries that the peer has acknowledged.
type finished struct {
	ccs.Finished
	freed load // the slots and bytes that they used
}

// offered is a delivery that was written to this connection and is not acknowledged.
type offered struct {
	ccs.Delivery
	id   string   // message_id on the wire
	next *offered // the next one that was sent with the same message_id
}

const (
	claimBatch    = 256 // entries taken from the store at a time
	claimRetry    = time.Second
	attachTimeout = 15 * time.Second // for the older session of a device to end
)

// attach attaches the consumer to its queue. wakeable reports whether the session takes new
// messages.
func (c *consumer) attach(ctx context.Context, wakeable func() bool, end func(error)) error {
	c.outstanding = make(map[string]*offered)
	c.lastAck.Store(c.router.Now().UnixNano())
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	box, err := c.join(ctx, c.key, consumerSession{c, wakeable, end})
	if err != nil {
		return err
	}
	c.box = box
	c.shared, _ = box.(*ccs.SharedMailbox)
	c.wakeUp.Store(true) // entries may wait already
	return nil
}

// consumerSession is a consumer as a session for the router.
type consumerSession struct {
	c        *consumer
	wakeable func() bool
	end      func(error)
}

// Tick implements ccs.Ticker.
func (h consumerSession) Tick() { h.c.tick() }

func (h consumerSession) Wake() bool { return h.wakeable() && h.c.wake() }
func (h consumerSession) Room() int {
	if !h.wakeable() || h.c.phantom.Load() {
		return 0
	}
	return h.c.room()
}

func (h consumerSession) Close(reason error) { h.end(reason) }

func (c *consumer) wake() bool {
	if c.phantom.Load() {
		return false
	}
	if c.room() == 0 && !c.wakeOnFree() {
		return false
	}
	c.wakeUp.Store(true)
	c.signal()
	return true
}

// wakeOnFree makes the next free slot wake the consumer. It returns false if none is free, or true
// if a slot came free before that took effect.
func (c *consumer) wakeOnFree() bool {
	c.starved.Store(true)
	return c.room() > 0 && c.starved.CompareAndSwap(true, false)
}

// room returns how many entries may be offered. It estimates their size from the last batch,
// because the size of an entry is known only after the claim. An empty consumer may always offer
// one.
func (c *consumer) room() int {
	n := c.window.Free()
	if n == 0 {
		return 0
	}
	room := c.held.Room()
	if room == 0 && c.held.Held() > 0 {
		return 0
	}
	return min(n, max(1, int(room/max(c.size.Load(), minSize))))
}

// minSize is the smallest size that free assumes for an entry, and its first estimate.
const minSize = 512

// offer claims as many entries as the window has room for, and appends them to out. more says that
// the queue may have further entries.
func (c *consumer) offer(ctx context.Context, out []byte) (_ []byte, more bool) {
	if c.phantom.Load() || !c.wakeUp.Swap(false) {
		return out, false
	}
	n := min(c.room(), claimBatch)
	if n == 0 {
		if c.wakeOnFree() {
			c.wakeUp.Store(true)
			return out, true
		}
		return out, false
	}
	entries, err := c.box.Claim(ctx, n)
	if err != nil && ctx.Err() == nil {
		c.router.StoreFailed(c.log, "claim", err, zap.String("kind", c.name))
		time.AfterFunc(claimRetry, func() { c.wakeUp.Store(true); c.signal() })
	}
	now := c.router.Now()
	var bytes, largest int64
	offers := make([]offered, len(entries))
	told := c.box.Offers()
	for i := range entries {
		o := &offers[i]
		if !c.box.Open(ctx, &entries[i], &o.Delivery) {
			continue
		}
		o.Offered(now, c.firstGap)
		c.window.Take(1)
		c.offeredTotal++
		bytes += o.Size()
		largest = max(largest, o.Size())
		o.id = c.id(&o.Delivery)
		c.mu.Lock()
		c.index(o)
		c.mu.Unlock()
		out = c.write(out, o)
		told.Add(o.Entry.ID, false)
	}
	told.Done()
	if len(entries) > 0 {
		c.held.Add(bytes)
		c.size.Store(largest)
	}
	if err == nil && len(entries) == n {
		c.wakeUp.Store(true)
		return out, true
	}
	return out, false
}

// resend appends messages that were unacknowledged for too long. It gives up messages that have
// expired or were sent often enough (CCS 3.5, 4.3), and those with TTL 0, which are delivered now
// or never. It returns when the next message is due, or next if that is earlier.
func (c *consumer) resend(ctx context.Context, out []byte, now, next time.Time) ([]byte, time.Time) {
	var gone finished
	told := c.box.Offers()
	c.mu.Lock()
	for id, first := range c.outstanding {
		for o := first; o != nil; o = o.next {
			switch o.Resend(now, c.resends) {
			case ccs.ResendGiveUp:
				gone.GivenUp(&o.Delivery, now)
				gone.freed.add(o)
				c.unindex(id, o)
				continue
			case ccs.ResendNow:
				out = c.write(out, o)
				told.Add(o.Entry.ID, true)
			}
			if o.Due.Before(next) {
				next = o.Due
			}
		}
	}
	c.mu.Unlock()
	told.Done()
	if gone.freed.messages == 0 {
		return out, next
	}
	if err := c.box.Forget(ctx, &gone.Finished); err != nil {
		c.router.StoreFailed(c.log, "forget messages that were given up", err, zap.Int("messages", gone.Entries()))
	}
	c.freeSlots(gone.freed)
	if c.starved.CompareAndSwap(true, false) {
		c.wakeUp.Store(true)
	}
	return out, next
}

// phantomAfter returns how long a full window may stay without an ack before the messages go to
// another connection (CCS 4.4).
func (c *consumer) phantomAfter() time.Duration { return c.firstGap }

// checkPhantom detects a peer that left its whole window unacknowledged for too long: its process
// may be gone while TCP lives on (CCS 4.4). It moves the messages to the sender's other
// connections, if there are any, and reports whether it did. Some messages may be delivered twice,
// which the contract permits.
func (c *consumer) checkPhantom(now time.Time) bool {
	if c.shared == nil {
		return false
	}
	if c.phantom.Load() {
		if !c.shared.Shared() {
			c.resume() // no other connection is left
		}
		return false
	}
	if c.room() > 0 || !c.shared.Shared() {
		return false
	}
	last := time.Unix(0, c.lastAck.Load())
	c.mu.Lock()
	var moved load
	var newest time.Time
	for _, first := range c.outstanding {
		for o := first; o != nil; o = o.next {
			moved.add(o)
			if o.Since.After(newest) {
				newest = o.Since
			}
		}
	}
	if newest.After(last) {
		last = newest // the window was not full before that
	}
	silent := now.Sub(last)
	if silent >= c.phantomAfter() {
		c.phantom.Store(true)
		clear(c.outstanding)
	}
	c.mu.Unlock()
	if !c.phantom.Load() {
		return false
	}
	c.freeSlots(moved)
	c.shared.Redistribute()
	c.log.Warn("phantom connection", zap.Int("messages", moved.messages), zap.Duration("took", silent))
	return true
}

// resume makes the consumer offer messages again, because its peer has sent something.
func (c *consumer) resume() {
	c.lastAck.Store(c.router.Now().UnixNano())
	if c.phantom.CompareAndSwap(true, false) {
		c.wakeUp.Store(true)
		c.signal()
	}
}

// acknowledge handles an ack for an entry that was written to this connection, and returns false if
// there is none. Devices choose the IDs, so two entries may have the same; then to decides
// (CCS 3.4).
func (c *consumer) acknowledge(id, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	acked := c.outstanding[id]
	if acked == nil {
		return false
	}
	for o := acked; o != nil; o = o.next {
		if o.Message.From == to {
			acked = o
			break
		}
	}
	c.acked.Acknowledged(&acked.Delivery)
	c.acked.freed.add(acked)
	c.unindex(id, acked)
	return true
}

// index appends o to the entries with its ID. The caller must hold c.mu.
func (c *consumer) index(o *offered) {
	last := c.outstanding[o.id]
	if last == nil {
		c.outstanding[o.id] = o
		return
	}
	for last.next != nil {
		last = last.next
	}
	last.next = o
}

// unindex removes o from the entries with the ID, and leaves o.next as it is. The caller must hold
// c.mu.
func (c *consumer) unindex(id string, o *offered) {
	first := c.outstanding[id]
	switch {
	case first != o:
		for first.next != o {
			first = first.next
		}
		first.next = o.next
	case o.next == nil:
		delete(c.outstanding, id)
	default:
		c.outstanding[id] = o.next
	}
}

// forgetAcked forgets the acknowledged entries in the store and frees their slots. It reports
// whether there were any. Entries that the store cannot forget now keep their slots until it can.
// So never more of them wait than the window has room for.
func (c *consumer) forgetAcked(ctx context.Context) bool {
	c.forgetting.Lock()
	defer c.forgetting.Unlock()
	c.mu.Lock()
	d := c.acked
	c.acked = c.spare
	c.mu.Unlock()
	err := c.box.Forget(ctx, &d.Finished)
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		c.forgetLater(d)
		return false
	}
	if err != nil {
		// They are delivered again later, which the contract permits.
		c.router.StoreFailed(c.log, "forget acknowledged messages", err, zap.Int("messages", d.Entries()))
	}
	freed := d.freed
	d.Reset()
	c.spare = finished{Finished: d.Finished}
	if freed.messages == 0 {
		return false
	}
	c.lastAck.Store(c.router.Now().UnixNano())
	c.freeSlots(freed)
	if c.starved.CompareAndSwap(true, false) {
		c.wakeUp.Store(true)
		c.signal()
	}
	return true
}

// forgetLater puts back entries that could not be forgotten, so that a later forgetAcked forgets
// them.
func (c *consumer) forgetLater(d finished) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.Append(&c.acked.Finished)
	d.freed.messages += c.acked.freed.messages
	d.freed.bytes += c.acked.freed.bytes
	c.acked, c.spare = d, finished{}
	time.AfterFunc(claimRetry, func() { c.forgetDue.Store(true); c.signal() })
}

// freeSlots frees the slots and bytes of entries.
func (c *consumer) freeSlots(l load) {
	c.held.Sub(l.bytes)
	c.window.Give(l.messages)
}

// retryMemory wakes a consumer that had no room because the process was out of message memory, if
// there is room now.
func (c *consumer) retryMemory() {
	if c.room() > 0 && c.starved.CompareAndSwap(true, false) {
		c.wakeUp.Store(true)
	}
}
