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

// feed is a queue that a session empties into its stream: the peer's messages, or an app server's
// receipts. Each feed has its own window. So a client that never acknowledges receipts, as many do
// not, still gets messages (CCS 3.5).
type feed struct {
	// These fields do not change after attach.
	name   string // name of the entries in the log
	router *ccs.Router
	key    store.Key
	// join attaches the feed to its queue.
	join func(context.Context, store.Key, feedHandle) (ccs.Mailbox, error)
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

	// One settle runs at a time. The lock may be held over a call of the store, and is never taken
	// under mu.
	settling sync.Mutex
	spare    finished // memory for acked; guarded by settling

	// Owned by serveLoop.
	offeredTotal int

	// Shared by both goroutines.
	wakeUp  atomic.Bool  // the queue may have more
	starved atomic.Bool  // the queue may have more, but no slot was free
	phantom atomic.Bool  // the peer seems to be gone, and other connections have its messages
	size    atomic.Int64 // size of the largest entry in the last batch
	// lastAck is the time of the last ack, or of the feed's start, in Unix nanoseconds by the
	// router's clock.
	lastAck atomic.Int64

	late atomic.Bool // try again to forget what the store could not forget

	mu          sync.Mutex          // never held over I/O
	acked       finished            // since the last settle
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

// attach attaches the feed to its queue. wakeable reports whether the session takes new messages.
func (f *feed) attach(ctx context.Context, wakeable func() bool, end func(error)) error {
	f.outstanding = make(map[string]*offered)
	f.lastAck.Store(f.router.Now().UnixNano())
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	box, err := f.join(ctx, f.key, feedHandle{f, wakeable, end})
	if err != nil {
		return err
	}
	f.box = box
	f.shared, _ = box.(*ccs.SharedMailbox)
	f.wakeUp.Store(true) // entries may wait already
	return nil
}

// feedHandle is a feed as a session for the router.
type feedHandle struct {
	f        *feed
	wakeable func() bool
	end      func(error)
}

// Tick implements ccs.Ticker.
func (h feedHandle) Tick() { h.f.tick() }

func (h feedHandle) Wake() bool { return h.wakeable() && h.f.wake() }
func (h feedHandle) Room() int {
	if !h.wakeable() || h.f.phantom.Load() {
		return 0
	}
	return h.f.free()
}

func (h feedHandle) Close(reason error) { h.end(reason) }

func (f *feed) wake() bool {
	if f.phantom.Load() {
		return false
	}
	if f.free() == 0 && !f.starve() {
		return false
	}
	f.wakeUp.Store(true)
	f.signal()
	return true
}

// starve makes the next free slot wake the feed. It returns false if none is free, or true if a
// slot came free before that took effect.
func (f *feed) starve() bool {
	f.starved.Store(true)
	return f.free() > 0 && f.starved.CompareAndSwap(true, false)
}

// free returns how many entries may be offered. It estimates their size from the last batch,
// because the size of an entry is known only after the claim. An empty feed may always offer one.
func (f *feed) free() int {
	n := f.window.Free()
	if n == 0 {
		return 0
	}
	room := f.held.Room()
	if room == 0 && f.held.Held() > 0 {
		return 0
	}
	return min(n, max(1, int(room/max(f.size.Load(), minSize))))
}

// minSize is the smallest size that free assumes for an entry, and its first estimate.
const minSize = 512

// offer claims as many entries as the window has room for, and appends them to out. more says that
// the queue may have further entries.
func (f *feed) offer(ctx context.Context, out []byte) (_ []byte, more bool) {
	if f.phantom.Load() || !f.wakeUp.Swap(false) {
		return out, false
	}
	n := min(f.free(), claimBatch)
	if n == 0 {
		if f.starve() {
			f.wakeUp.Store(true)
			return out, true
		}
		return out, false
	}
	entries, err := f.box.Claim(ctx, n)
	if err != nil && ctx.Err() == nil {
		f.router.StoreFailed(f.log, "claim", err, zap.String("what", f.name))
		time.AfterFunc(claimRetry, func() { f.wakeUp.Store(true); f.signal() })
	}
	now := f.router.Now()
	var bytes, largest int64
	offers := make([]offered, len(entries))
	told := f.box.Offers()
	for i := range entries {
		o := &offers[i]
		if !f.box.Open(ctx, &entries[i], &o.Delivery) {
			continue
		}
		o.Offered(now, f.firstGap)
		f.window.Take(1)
		f.offeredTotal++
		bytes += o.Size()
		largest = max(largest, o.Size())
		o.id = f.id(&o.Delivery)
		f.mu.Lock()
		f.note(o)
		f.mu.Unlock()
		out = f.write(out, o)
		told.Add(o.Entry.ID, false)
	}
	told.Done()
	if len(entries) > 0 {
		f.held.Add(bytes)
		f.size.Store(largest)
	}
	if err == nil && len(entries) == n {
		f.wakeUp.Store(true)
		return out, true
	}
	return out, false
}

// resend appends messages that were unacknowledged for too long. It gives up messages that have
// expired or were sent often enough (CCS 3.5, 4.3), and those with TTL 0, which are delivered now
// or never. It returns when the next message is due, or next if that is earlier.
func (f *feed) resend(ctx context.Context, out []byte, now, next time.Time) ([]byte, time.Time) {
	var gone finished
	told := f.box.Offers()
	f.mu.Lock()
	for id, first := range f.outstanding {
		for o := first; o != nil; o = o.next {
			switch o.Resend(now, f.resends) {
			case ccs.ResendGiveUp:
				gone.GivenUp(&o.Delivery, now)
				gone.freed.add(o)
				f.strike(id, o)
				continue
			case ccs.ResendNow:
				out = f.write(out, o)
				told.Add(o.Entry.ID, true)
			}
			if o.Due.Before(next) {
				next = o.Due
			}
		}
	}
	f.mu.Unlock()
	told.Done()
	if gone.freed.messages == 0 {
		return out, next
	}
	if err := f.box.Forget(ctx, &gone.Finished); err != nil {
		f.router.StoreFailed(f.log, "forget messages that were given up", err, zap.Int("messages", gone.Entries()))
	}
	f.give(gone.freed)
	if f.starved.CompareAndSwap(true, false) {
		f.wakeUp.Store(true)
	}
	return out, next
}

// phantomAfter returns how long a full window may stay without an ack before the messages go to
// another connection (CCS 4.4).
func (f *feed) phantomAfter() time.Duration { return f.firstGap }

// checkPhantom detects a peer that left its whole window unacknowledged for too long: its process
// may be gone while TCP lives on (CCS 4.4). It moves the messages to the sender's other
// connections, if there are any, and reports whether it did. Some messages may be delivered twice,
// which the contract permits.
func (f *feed) checkPhantom(now time.Time) bool {
	if f.shared == nil {
		return false
	}
	if f.phantom.Load() {
		if !f.shared.Shared() {
			f.revive() // no other connection is left
		}
		return false
	}
	if f.free() > 0 || !f.shared.Shared() {
		return false
	}
	last := time.Unix(0, f.lastAck.Load())
	f.mu.Lock()
	var moved load
	var newest time.Time
	for _, first := range f.outstanding {
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
	if silent >= f.phantomAfter() {
		f.phantom.Store(true)
		clear(f.outstanding)
	}
	f.mu.Unlock()
	if !f.phantom.Load() {
		return false
	}
	f.give(moved)
	f.shared.Redistribute()
	f.log.Warn("phantom connection", zap.Int("moved", moved.messages), zap.Duration("silent", silent))
	return true
}

// revive makes the feed offer messages again, because its peer has sent something.
func (f *feed) revive() {
	f.lastAck.Store(f.router.Now().UnixNano())
	if f.phantom.CompareAndSwap(true, false) {
		f.wakeUp.Store(true)
		f.signal()
	}
}

// acknowledge handles an ack for an entry that was written to this connection, and returns false if
// there is none. Devices choose the IDs, so two entries may have the same; then to decides
// (CCS 3.4).
func (f *feed) acknowledge(id, to string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	acked := f.outstanding[id]
	if acked == nil {
		return false
	}
	for o := acked; o != nil; o = o.next {
		if o.Message.From == to {
			acked = o
			break
		}
	}
	f.acked.Acknowledged(&acked.Delivery)
	f.acked.freed.add(acked)
	f.strike(id, acked)
	return true
}

// note appends o to the entries with its ID. The caller must hold f.mu.
func (f *feed) note(o *offered) {
	last := f.outstanding[o.id]
	if last == nil {
		f.outstanding[o.id] = o
		return
	}
	for last.next != nil {
		last = last.next
	}
	last.next = o
}

// strike removes o from the entries with the ID, and leaves o.next as it is. The caller must hold
// f.mu.
func (f *feed) strike(id string, o *offered) {
	first := f.outstanding[id]
	switch {
	case first != o:
		for first.next != o {
			first = first.next
		}
		first.next = o.next
	case o.next == nil:
		delete(f.outstanding, id)
	default:
		f.outstanding[id] = o.next
	}
}

// settle forgets the acknowledged entries in the store and frees their slots. It reports whether
// there were any. Entries that the store cannot forget now keep their slots until it can. So never
// more of them wait than the window has room for.
func (f *feed) settle(ctx context.Context) bool {
	f.settling.Lock()
	defer f.settling.Unlock()
	f.mu.Lock()
	d := f.acked
	f.acked = f.spare
	f.mu.Unlock()
	err := f.box.Forget(ctx, &d.Finished)
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		f.keep(d)
		return false
	}
	if err != nil {
		// They are delivered again later, which the contract permits.
		f.router.StoreFailed(f.log, "forget acknowledged messages", err, zap.Int("messages", d.Entries()))
	}
	freed := d.freed
	d.Reset()
	f.spare = finished{Finished: d.Finished}
	if freed.messages == 0 {
		return false
	}
	f.lastAck.Store(f.router.Now().UnixNano())
	f.give(freed)
	if f.starved.CompareAndSwap(true, false) {
		f.wakeUp.Store(true)
		f.signal()
	}
	return true
}

// keep puts back entries that could not be forgotten, so that a later settle forgets them.
func (f *feed) keep(d finished) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.Append(&f.acked.Finished)
	d.freed.messages += f.acked.freed.messages
	d.freed.bytes += f.acked.freed.bytes
	f.acked, f.spare = d, finished{}
	time.AfterFunc(claimRetry, func() { f.late.Store(true); f.signal() })
}

// give frees the slots and bytes of entries.
func (f *feed) give(l load) {
	f.held.Sub(l.bytes)
	f.window.Give(l.messages)
}

// recheck wakes a feed that had no room because the process was out of message memory, if there is
// room now.
func (f *feed) recheck() {
	if f.free() > 0 && f.starved.CompareAndSwap(true, false) {
		f.wakeUp.Store(true)
	}
}
