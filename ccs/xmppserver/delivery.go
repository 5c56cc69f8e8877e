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

// feed is one queue that a session empties into its stream: the peer's messages, or an app server's receipts.
// Each has its own window, so that a client that never acknowledges receipts, as many do, still gets messages
// (CCS 3.5).
type feed struct {
	// Static after attach.
	name     string // what the log calls the entries
	router   *ccs.Router
	key      store.Key
	join     func(context.Context, store.Key, feedHandle) (ccs.Mailbox, error) // attaches the feed to its queue
	box      ccs.Mailbox
	shared   *ccs.SharedMailbox           // box, where other connections may empty the queue too; nil for a device's
	window   *flowcontrol.Window          // offered and not acknowledged (CCS 4.2)
	held     *flowcontrol.Account         // bytes of that
	signal   func()                       // tells serveLoop that there is something to do
	tick     func()                       // tells it to look for what is due to be sent again
	id       func(d *ccs.Delivery) string // the message_id on the wire
	write    func(b []byte, o *offered) []byte
	resends  int // how often an entry is sent again before it is given up; negative for no limit
	firstGap time.Duration
	log      *zap.Logger

	settling sync.Mutex // one settle at a time; may be held over a call of the store, and never taken under mu
	spare    finished   // memory for acked; under settling

	// Owned by serveLoop.
	offeredTotal int

	// Shared.
	wakeUp  atomic.Bool  // the queue may have more
	starved atomic.Bool  // it may, but no slot was free
	phantom atomic.Bool  // the peer does not seem to be there: others have its messages
	size    atomic.Int64 // of the largest entry in the last batch
	lastAck atomic.Int64 // when an ack last came, in Unix nanoseconds by the clock of the router; at first when the feed began

	late atomic.Bool // what the store could not forget is to be tried again

	mu          sync.Mutex          // never held over I/O
	acked       finished            // since the last settle
	outstanding map[string]*offered // by id, the first of those that have it
}

// finished is deliveries that the peer has acknowledged.
type finished struct {
	ccs.Finished
	freed load // what they took
}

// offered is a delivery that this connection carries and that is not acknowledged.
type offered struct {
	ccs.Delivery
	id   string   // on the wire
	next *offered // the one with the same id that was sent after it
}

const (
	claimBatch    = 256 // entries taken from the store at a time
	claimRetry    = time.Second
	attachTimeout = 15 * time.Second // for an older session of a device to end
)

// attach opens the feed of a queue. wakeable says whether the session takes anything new.
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
	f.wakeUp.Store(true) // what waited while nobody was there
	return nil
}

// feedHandle is what the router knows of a feed's session.
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

// starve notes that the feed is to be woken by the next slot that comes free. False if none is free still;
// true if one came free meanwhile, and the note is taken back.
func (f *feed) starve() bool {
	f.starved.Store(true)
	return f.free() > 0 && f.starved.CompareAndSwap(true, false)
}

// free is how many entries may be offered. The bytes of the next ones are guessed from those of the last: an entry's
// size is known only when it is claimed. A feed that holds nothing may always have one.
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

// minSize is the least that an entry is taken for, before the first too.
const minSize = 512

// offer claims entries, as many as the window has room for, and appends them to out. More says that the
// queue is not known to be empty.
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

// resend appends what was not acknowledged for too long, and gives up what has expired or was sent often enough
// (CCS 3.5, 4.3). A message with TTL 0 was for then or never. It returns when the next message is due, if that is
// before next.
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

// phantomAfter is how long a full window may stay without an ack before the messages go to another connection
// (CCS 4.4).
func (f *feed) phantomAfter() time.Duration { return f.firstGap }

// checkPhantom moves the messages of a peer that has left its whole window unacknowledged for too long over to
// the sender's other connections, if there are any: its process may be gone while TCP lives on (CCS 4.4).
// Some may be delivered twice, which the contract permits. It reports whether they were moved.
func (f *feed) checkPhantom(now time.Time) bool {
	if f.shared == nil {
		return false
	}
	if f.phantom.Load() {
		if !f.shared.Shared() {
			f.revive() // nobody else is left
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
		last = newest // the window has not been full for longer
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

// revive lets a feed whose peer has shown itself have messages again.
func (f *feed) revive() {
	f.lastAck.Store(f.router.Now().UnixNano())
	if f.phantom.CompareAndSwap(true, false) {
		f.wakeUp.Store(true)
		f.signal()
	}
}

// acknowledge takes an ack for an entry that this connection carries. Devices choose the ids, so that two
// may have chosen the same: then to decides (CCS 3.4). False if there is none.
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

// note puts o behind those that have its id. To be called with mu held, as strike.
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

// strike takes o from those that have the id. Who walks over these may go on from o.
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

// settle lets the store forget what was acknowledged, and gives its slots back. It reports whether there was
// any. What the store cannot forget now keeps its slots until it can, so that no more waits for it than the window has.
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
		// Redelivered later: the peer meets it a second time, which the contract permits.
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

// keep has what could not be forgotten forgotten later, with what is acknowledged until then.
func (f *feed) keep(d finished) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.Append(&f.acked.Finished)
	d.freed.messages += f.acked.freed.messages
	d.freed.bytes += f.acked.freed.bytes
	f.acked, f.spare = d, finished{}
	time.AfterFunc(claimRetry, func() { f.late.Store(true); f.signal() })
}

// give frees what entries held.
func (f *feed) give(l load) {
	f.held.Sub(l.bytes)
	f.window.Give(l.messages)
}

// recheck wakes a feed that had no room for want of memory of the whole process, which may be there now.
func (f *feed) recheck() {
	if f.free() > 0 && f.starved.CompareAndSwap(true, false) {
		f.wakeUp.Store(true)
	}
}
