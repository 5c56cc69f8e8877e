package ccs

import (
	"sync"

	"github.com/openccs/openccs/store"
)

// EventKind says what has happened.
type EventKind uint8

// The kinds of event. The numbers are written to disk.
const (
	EventStored       EventKind = 1 // a message was accepted: it is in its queue, or was handed on at once
	EventRefused      EventKind = 2 // a message was not accepted
	EventOffered      EventKind = 3 // messages were written to a session's connection
	EventEnded        EventKind = 4 // messages have left their queue
	EventReleased     EventKind = 5 // a session gave back what it had not acknowledged
	EventSession      EventKind = 6 // a session changed its state
	EventRegistration EventKind = 7 // a registration was made, superseded or unregistered
)

// eventKindNames are the names for logs. They do not change.
var eventKindNames = [...]string{
	EventStored: "stored", EventRefused: "refused", EventOffered: "offered", EventEnded: "ended",
	EventReleased: "released", EventSession: "session", EventRegistration: "registration",
}

// String returns the name of the kind, such as "stored".
func (k EventKind) String() string { return nameOf(k, eventKindNames[:]) }

// Direction is the way that a message travels.
type Direction uint8

// The directions. The numbers are written to disk. Zero stands for an event that concerns no message.
const (
	Down     Direction = 1 // from an app server to a device, and what ccs itself tells a device
	Up       Direction = 2 // from a device to an app server
	Receipts Direction = 3 // delivery receipts to an app server

	endOfDirections = 4
)

var directionNames = [...]string{Down: "down", Up: "up", Receipts: "receipt"}

// String returns the name of the direction, such as "down".
func (d Direction) String() string { return nameOf(d, directionNames[:]) }

// DirectionOf returns the direction in which a queue's messages travel.
func DirectionOf(k store.Key) Direction {
	switch k.Kind {
	case store.KindSender:
		return Up
	case store.KindReceipts:
		return Receipts
	default:
		return Down
	}
}

// The codes of EventStored.
const (
	CodeStored    = "stored"    // Displaced names those that had to make room for a collapse key
	CodeCollapsed = "collapsed" // Displaced names the entry that was replaced
	CodeEvicted   = "evicted"   // the message and Displaced were thrown away; Entry is the marker that says so
	CodeDuplicate = "duplicate" // the message was accepted before, and is not in the queue a second time
	CodeVolatile  = "volatile"  // a message with a TTL of zero, which is never in a queue
)

// The codes of EventOffered.
const (
	CodeFirst = "first" // for the first time on the connection
	CodeAgain = "again" // on a connection that they were written to before, and that did not acknowledge them
)

// The codes of EventRegistration.
const (
	CodeRegistered   = "registered"
	CodeSuperseded   = "superseded" // Text is the newer token
	CodeUnregistered = "unregistered"
)

// The codes of EventReleased.
const (
	CodeClosed  = "closed"  // the session has ended
	CodePhantom = "phantom" // the session goes on, but its peer does not answer
)

// The codes of EventSession, besides CodeClosed. Text of one that closed is the reason, such as ClosedByPeer.
const (
	CodeOpened = "opened" // the session has its queues
)

// Event is something that happened to messages, to a registration or to a session. Which fields an event has depends
// on its Kind; the others are zero.
type Event struct {
	At   int64 // nanoseconds since 1970 by the router's clock; of an expired entry when it expired
	Kind EventKind
	Dir  Direction
	Code string // one of the kind's codes; of EventRefused the name of the Reason; of EventEnded the name of the End

	// The queue, and the entry if the event is about one. After EventStored the two name a message.
	Key   store.Key
	Entry store.ID

	Entries   []store.ID  // EventOffered, EventEnded: the entries of a batch
	Displaced []store.ID  // EventStored: entries that were forgotten for this one, and have no EventEnded
	Lease     store.Lease // the session
	N         int64       // EventStored: bytes of the message at rest

	Sender SenderID
	Token  string // the registration token
	App    string
	ID     string // message_id
	Conn   string // the connection
	Text   string // EventRefused: what the refusal is about; EventSession: why the session closed
}

// Observer is told what happens, in batches, as it happens. Observe returns soon and calls no method of the Router.
// It keeps neither the slice nor anything that it refers to.
//
// The events of one call of the Router come in the order in which they happened. Two calls that run at the same time
// tell theirs in any order: an observer may learn that an entry has ended before it learns that it was stored.
type Observer interface {
	Observe(events []Event)
}

// Observers returns an observer that tells several, in order: nil for none, the observer itself for one. Nil
// observers are left out.
func Observers(all ...Observer) Observer {
	var some observers
	for _, o := range all {
		if o != nil {
			some = append(some, o)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return some
}

type observers []Observer

// Observe implements Observer.
func (all observers) Observe(events []Event) {
	for _, o := range all {
		o.Observe(events)
	}
}

// Events is a batch of events that is being made. One goroutine uses it. NewEvents returns one, and Router.Tell takes
// it back.
type Events struct{ list []Event }

var eventsPool = sync.Pool{New: func() any { return new(Events) }}

// maxPooledEvents is the largest batch whose memory is used again.
const maxPooledEvents = 2048

// NewEvents returns an empty batch.
func NewEvents() *Events { return eventsPool.Get().(*Events) }

// Add appends an event and returns it, to be filled in before the next one is added.
func (e *Events) Add(kind EventKind) *Event {
	e.list = append(e.list, Event{Kind: kind})
	return &e.list[len(e.list)-1]
}

// Len returns the number of events in the batch.
func (e *Events) Len() int { return len(e.list) }

// free gives the memory of the batch back.
func (e *Events) free() {
	if cap(e.list) > maxPooledEvents {
		return
	}
	clear(e.list)
	e.list = e.list[:0]
	eventsPool.Put(e)
}

// Watched reports whether anybody observes the router. If not, a caller need not make events.
func (r *Router) Watched() bool { return r.observer != nil }

// Tell hands a batch of events to the observer. The batch must not be used afterwards. An event without a time gets the
// time that it is now by the router's clock.
func (r *Router) Tell(e *Events) {
	if r.observer != nil && len(e.list) > 0 {
		now := r.clock.Now().UnixNano()
		for i := range e.list {
			if e.list[i].At == 0 {
				e.list[i].At = now
			}
		}
		r.observer.Observe(e.list)
	}
	e.free()
}

// nameOf returns the name of a number that has one.
func nameOf[T ~uint8](n T, names []string) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return "unknown"
}
