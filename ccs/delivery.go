package ccs

import (
	"time"

	"github.com/openccs/openccs/store"
)

// Delivery is one claimed entry until it is done: acknowledged, or given up.
type Delivery struct {
	Entry store.Entry
	// Message shares memory with Entry.Body. It is empty for a marker of deleted messages.
	Message Message

	Since time.Time // time of the first offer
	Due   time.Time // time of the next offer if the peer does not acknowledge
	gap   time.Duration
	sent  int
}

// Size returns the size in bytes that the delivery holds.
func (d *Delivery) Size() int64 { return int64(len(d.Entry.Body)) }

// Stored reports whether the entry is in the queue. A message with a TTL of zero never is
// (CCS 5.2).
func (d *Delivery) Stored() bool { return d.Entry.ID != 0 }

// Expired reports whether the TTL of a stored entry has passed, by the clock of the router.
func (d *Delivery) Expired(now time.Time) bool {
	return d.Stored() && !d.Entry.Expires.IsZero() && !now.Before(d.Entry.Expires)
}

// Receipt returns the receipt that is owed after the delivery is acknowledged, or false if none was
// requested.
func (d *Delivery) Receipt() (_ Receipt, owed bool) {
	m, e := &d.Message, &d.Entry
	if m.ReceiptFor == "" {
		return Receipt{}, false
	}
	return Receipt{
		Sender: m.From, Token: m.ReceiptFor, App: m.App, ID: m.ID,
		Accepted: e.Accepted, Entry: e.ID, Origin: m.Origin,
	}, true
}

// maxGap is the longest wait between two offers of a message on a living connection (CCS 4.3).
const maxGap = 15 * time.Minute

// Offered records the first offer of the delivery, at now by the router's clock. Without an
// acknowledgement it is due again after gap.
func (d *Delivery) Offered(now time.Time, gap time.Duration) {
	d.Since, d.Due, d.gap, d.sent = now, now.Add(gap), gap, 1
}

// Resend is a decision on a delivery that the peer has not acknowledged.
type Resend uint8

// The decisions on a delivery.
const (
	ResendLater  Resend = iota // not due yet
	ResendNow                  // offer it again
	ResendGiveUp               // give it up
)

// Resend decides what happens to a delivery that the peer has not acknowledged (CCS 3.5, 4.3). Once
// it is due, it is offered again, each time after twice the wait. This happens at most limit times;
// a negative limit means without limit. An expired message is given up, and so is one with a TTL of
// zero, which is delivered now or never.
func (d *Delivery) Resend(now time.Time, limit int) Resend {
	switch {
	case now.Before(d.Due):
		return ResendLater
	case !d.Stored(), d.Expired(now), limit >= 0 && d.sent > limit:
		return ResendGiveUp
	}
	d.sent++
	d.gap = min(2*d.gap, maxGap)
	d.Due = now.Add(d.gap)
	return ResendNow
}

// Offers collects the messages that a session has written, so that they are counted and reported as
// one batch. Messages with a TTL of zero are counted but named in no event.
type Offers struct {
	box   *mailbox
	times [2]offers // offers for the first time on this connection; offers of the same again
}

type offers struct {
	n   int
	ids []store.ID // empty if the router has no observer
}

// Add adds a message that the session is writing. again says that it was written before on this
// connection.
func (o *Offers) Add(id store.ID, again bool) {
	t := &o.times[0]
	if again {
		t = &o.times[1]
	}
	t.n++
	if id != 0 && o.box.router.observer != nil {
		t.ids = append(t.ids, id)
	}
}

// Done counts the collected messages and reports them to the observer. No lock may be held.
func (o *Offers) Done() {
	m := o.box
	d := DirectionOf(m.key)
	m.router.tally.offered(d, o.times[0].n, o.times[1].n)
	if len(o.times[0].ids)+len(o.times[1].ids) == 0 {
		return
	}
	events := NewEvents()
	for i, code := range [...]string{CodeFirst, CodeAgain} {
		if ids := o.times[i].ids; len(ids) > 0 {
			e := events.Add(EventOffered)
			e.Code, e.Dir, e.Key, e.Lease, e.Entries = code, d, m.key, m.lease, ids
		}
	}
	m.router.Tell(events)
}

// Finished collects deliveries whose life has ended, for Mailbox.Forget. The zero value is empty.
type Finished struct {
	ids      []store.ID
	expired  []store.ID
	givenUp  []store.ID
	receipts []Receipt
}

// Acknowledged adds a delivery that the peer acknowledged, with the receipt that it owes.
func (f *Finished) Acknowledged(d *Delivery) {
	if receipt, owed := d.Receipt(); owed {
		f.receipts = append(f.receipts, receipt)
	}
	f.Add(d.Entry.ID, nil)
}

// Add adds an entry and the receipt that it owes, nil for none. The ID is zero if the entry was
// never stored.
func (f *Finished) Add(id store.ID, owed *Receipt) {
	if owed != nil {
		f.receipts = append(f.receipts, *owed)
	}
	if id != 0 {
		f.ids = append(f.ids, id)
	}
}

// Expired adds an entry whose TTL passed before the peer acknowledged it. It owes no receipt.
func (f *Finished) Expired(id store.ID) { f.expired = append(f.expired, id) }

// GivenUp adds a delivery that the peer did not acknowledge and that is not offered again. It owes
// no receipt. now is the time by the router's clock.
func (f *Finished) GivenUp(d *Delivery, now time.Time) {
	switch {
	case !d.Stored():
	case d.Expired(now):
		f.Expired(d.Entry.ID)
	default:
		f.givenUp = append(f.givenUp, d.Entry.ID)
	}
}

// Append adds everything that o has collected.
func (f *Finished) Append(o *Finished) {
	f.ids, f.receipts = append(f.ids, o.ids...), append(f.receipts, o.receipts...)
	f.expired, f.givenUp = append(f.expired, o.expired...), append(f.givenUp, o.givenUp...)
}

// Entries returns the number of collected entries.
func (f *Finished) Entries() int { return len(f.ids) + len(f.expired) + len(f.givenUp) }

// Reset empties f and keeps its memory.
func (f *Finished) Reset() {
	clear(f.receipts)
	f.ids, f.expired, f.givenUp, f.receipts = f.ids[:0], f.expired[:0], f.givenUp[:0], f.receipts[:0]
}
