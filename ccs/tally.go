package ccs

import (
	"sync/atomic"
	"time"

	"github.com/openccs/openccs/store"
)

// End says how an accepted message left its queue.
type End uint8

// The ends. The numbers are written to disk.
const (
	Acknowledged End = 1 // its receiver has it
	EndExpired   End = 2 // its TTL passed
	EndCollapsed End = 3 // a newer message with the same collapse key replaced it
	// It was displaced by a new collapse key, or discarded for a marker.
	EndEvicted      End = 4
	EndUnregistered End = 5 // its app instance is gone
	EndGivenUp      End = 6 // its receiver did not acknowledge it in time, or it cannot be decoded
	EndRemoved      End = 7 // an operator removed it
	EndVolatile     End = 8 // it had a TTL of zero, and was offered or dropped at once

	endOfEnds = 9
)

// endNames are the names for logs, events and metrics. They do not change.
var endNames = [...]string{
	Acknowledged: "acknowledged", EndExpired: "expired", EndCollapsed: "collapsed", EndEvicted: "evicted",
	EndUnregistered: "unregistered", EndGivenUp: "given-up", EndRemoved: "removed", EndVolatile: "volatile",
}

// String returns the name of the end, such as "acknowledged".
func (e End) String() string { return nameOf(e, endNames[:]) }

// Tally counts messages since the router was made. Its methods may be called from any goroutine.
// The goroutine that does the work adds to it once a batch.
//
// Between two events of a router, in each direction, every accepted message either has ended or
// waits:
//
//	accepted - ended = entries in the queues - entries in the queues at the start
//
// This holds for the sum of all routers of one store. A failed call of the store may still have
// done its work. Its messages are counted as in doubt, and the two sides differ by at most their
// number.
type Tally struct {
	directions [endOfDirections]tally
	fanouts    fanoutTally
}

// fanoutTally counts topic messages.
type fanoutTally struct {
	begun, done, subscribers, copied, dropped, last atomic.Int64
}

// FanoutCounts is what a Tally has counted of topic messages (TOPICS 2.5).
type FanoutCounts struct {
	Begun       int64 // topic messages that this router accepted
	Done        int64 // topic messages whose last copies this router made
	Subscribers int64 // subscribers that were to have a copy
	Copied      int64 // copies that were accepted for them
	// Dropped counts subscribers without a copy: the queue was full, a rate exceeded, or the app
	// another.
	Dropped int64
	Last    time.Duration // from the acceptance of the topic message done last to its last copy
}

// Fanouts returns what was counted of topic messages.
func (t *Tally) Fanouts() FanoutCounts {
	f := &t.fanouts
	return FanoutCounts{
		Begun: f.begun.Load(), Done: f.done.Load(), Subscribers: f.subscribers.Load(),
		Copied: f.copied.Load(), Dropped: f.dropped.Load(), Last: time.Duration(f.last.Load()),
	}
}

// tally counts the messages of one direction.
type tally struct {
	accepted   atomic.Int64
	duplicates atomic.Int64
	refused    [endOfReasons]atomic.Int64
	ended      [endOfEnds]atomic.Int64
	first      atomic.Int64
	again      atomic.Int64
	inFlight   atomic.Int64

	acceptedInDoubt atomic.Int64
	endedInDoubt    atomic.Int64

	_ [64]byte // keeps two directions on separate cache lines
}

// Counts is a snapshot of one direction of a Tally.
type Counts struct {
	// Accepted counts messages that were queued, markers included, and messages with a TTL of zero.
	Accepted     int64
	Duplicates   int64 // messages that were accepted before
	Refused      [endOfReasons]int64
	Ended        [endOfEnds]int64
	OfferedFirst int64
	OfferedAgain int64
	InFlight     int64 // entries that sessions have claimed and not ended

	// Messages of failed calls of the store. No other number includes them, but the store may have
	// kept or forgotten them.
	AcceptedInDoubt int64
	EndedInDoubt    int64
}

// AllEnded returns the number of messages that have left their queue.
func (c *Counts) AllEnded() (n int64) {
	for _, some := range c.Ended {
		n += some
	}
	return n
}

// AllRefused returns the number of messages that were not accepted.
func (c *Counts) AllRefused() (n int64) {
	for _, some := range c.Refused {
		n += some
	}
	return n
}

// Counts returns the counts of a direction. A message that is being processed may be in only some
// of them.
func (t *Tally) Counts(d Direction) Counts {
	c := &t.directions[d]
	counts := Counts{
		Accepted: c.accepted.Load(), Duplicates: c.duplicates.Load(),
		OfferedFirst: c.first.Load(), OfferedAgain: c.again.Load(), InFlight: c.inFlight.Load(),
		AcceptedInDoubt: c.acceptedInDoubt.Load(), EndedInDoubt: c.endedInDoubt.Load(),
	}
	for i := range c.refused {
		counts.Refused[i] = c.refused[i].Load()
	}
	for i := range c.ended {
		counts.Ended[i] = c.ended[i].Load()
	}
	return counts
}

// offered counts messages that a session has written: for the first time, and again.
func (t *Tally) offered(d Direction, first, again int) {
	if first > 0 {
		t.directions[d].first.Add(int64(first))
	}
	if again > 0 {
		t.directions[d].again.Add(int64(again))
	}
}

// Refused counts a message that was not accepted.
func (t *Tally) Refused(d Direction, why Reason) { t.directions[d].refused[why].Add(1) }

func (t *Tally) ended(d Direction, how End, n int) {
	if n > 0 {
		t.directions[d].ended[how].Add(int64(n))
	}
}

func (t *Tally) claimed(d Direction, n int) {
	if n != 0 {
		t.directions[d].inFlight.Add(int64(n))
	}
}

// endedInDoubt counts messages of a failed call that should have forgotten them.
func (t *Tally) endedInDoubt(d Direction, n int) {
	if n > 0 {
		t.directions[d].endedInDoubt.Add(int64(n))
	}
}

// acceptedInDoubt counts the entries of a Put that failed, wholly or in part.
func (t *Tally) acceptedInDoubt(entries []store.Entry, partial *store.PartialError) {
	for i := range entries {
		if partial == nil || partial.Of(i) != nil {
			t.directions[DirectionOf(entries[i].Key)].acceptedInDoubt.Add(1)
		}
	}
}

// batchTally collects the outcomes of a Put, so that a batch costs few atomic additions.
type batchTally [endOfDirections]struct{ accepted, duplicates, collapsed, evicted int }

func (b *batchTally) outcome(d Direction, o *store.Outcome) {
	c := &b[d]
	switch o.Result {
	case store.Stored:
		c.accepted++
		c.evicted += len(o.Displaced)
	case store.Collapsed:
		c.accepted++
		c.collapsed += len(o.Displaced)
	case store.Discarded:
		c.accepted++
		c.evicted += len(o.Displaced)
	case store.Duplicate:
		c.duplicates++
	}
}

// add adds a batch.
func (t *Tally) add(b *batchTally) {
	for d := range b {
		from, to := &b[d], &t.directions[d]
		if from.accepted > 0 {
			to.accepted.Add(int64(from.accepted))
		}
		if from.duplicates > 0 {
			to.duplicates.Add(int64(from.duplicates))
		}
		t.ended(Direction(d), EndCollapsed, from.collapsed)
		t.ended(Direction(d), EndEvicted, from.evicted)
	}
}
