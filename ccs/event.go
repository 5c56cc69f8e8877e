package ccs

import (
	"sync"

	"github.com/openccs/openccs/store"
)

// EventKind is the kind of an event.
type EventKind uint8

// The kinds of event. The numbers are written to disk.
const (
	// A message was accepted: it is in its queue, or was offered at once.
	EventStored       EventKind = 1
	EventRefused      EventKind = 2 // a message was not accepted
	EventOffered      EventKind = 3 // messages were written to a session's connection
	EventEnded        EventKind = 4 // messages left their queue
	EventReleased     EventKind = 5 // a session released what it had not acknowledged
	EventSession      EventKind = 6 // a session changed its state
	EventRegistration EventKind = 7 // a registration was made, superseded or unregistered
	EventFanout       EventKind = 8 // a topic message was accepted, or copied to all subscribers
)

// eventKindNames are the names for logs. They do not change.
var eventKindNames = [...]string{
	EventStored: "stored", EventRefused: "refused", EventOffered: "offered", EventEnded: "ended",
	EventReleased: "released", EventSession: "session", EventRegistration: "registration", EventFanout: "fan-out",
}

// String returns the name of the kind, such as "stored".
func (k EventKind) String() string { return nameOf(k, eventKindNames[:]) }

// Direction is the way that a message travels.
type Direction uint8

// The directions. The numbers are written to disk. Zero is for an event that concerns no message.
const (
	Down     Direction = 1 // from an app server to a device, or from ccs itself to a device
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
	CodeStored    = "stored"    // Displaced names entries that were displaced by a new collapse key
	CodeCollapsed = "collapsed" // Displaced names the entry that was replaced
	// The message and Displaced were discarded. Entry is the marker for them.
	CodeEvicted = "evicted"
	// The message was accepted before, and is not queued a second time.
	CodeDuplicate = "duplicate"
	CodeVolatile  = "volatile" // a message with a TTL of zero, which is never queued
)

// The codes of EventOffered.
const (
	CodeFirst = "first" // first offer on the connection
	// The messages were offered on the connection before, and not acknowledged.
	CodeAgain = "again"
)

// The codes of EventRegistration.
const (
	CodeRegistered   = "registered"
	CodeSuperseded   = "superseded" // Text is the newer token
	CodeUnregistered = "unregistered"
)

// The codes of EventFanout. Text is the topic or condition.
const (
	CodeBegun = "begun" // N is the size of the message
	CodeDone  = "done"  // N is the number of copies
)

// The codes of EventReleased.
const (
	CodeClosed  = "closed"  // the session has ended
	CodePhantom = "phantom" // the session goes on, but its peer does not answer
)

// The codes of EventSession, besides CodeClosed. For CodeClosed, Text is the reason, such as
// ClosedByPeer.
const (
	CodeOpened = "opened" // the session has its queues
)

// Event is something that happened to messages, to a registration or to a session. Kind decides
// which fields are set; the others are zero.
type Event struct {
	At   int64 // nanoseconds since 1970 by the router's clock; for an expired entry its expiry
	Kind EventKind
	Dir  Direction
	// Code is one of the kind's codes. For EventRefused it is the name of the Reason, for
	// EventEnded that of the End.
	Code string

	// The queue, and the entry if the event is about one. After EventStored the two identify a
	// message.
	Key   store.Key
	Entry store.ID

	Entries []store.ID // EventOffered, EventEnded: the entries of a batch
	// EventStored: entries that were forgotten because of this one. They get no EventEnded.
	Displaced []store.ID
	Lease     store.Lease // the session
	N         int64       // EventStored: bytes of the message at rest

	Sender SenderID
	Token  string // the registration token
	App    string
	ID     string // message_id
	Conn   string // the connection
	Text   string // EventRefused: the refusal's detail; EventSession: why the session closed
}

// Observer is told in batches what happens, as it happens. Observe must return soon and call no
// method of the Router. It must keep neither the slice nor anything that it refers to.
//
// The events of one call of the Router come in the order in which they happened. Events of two
// concurrent calls come in any order: an observer may learn that an entry has ended before it
// learns that it was stored.
type Observer interface {
	Observe(events []Event)
}

// Observers returns an observer that calls several observers in order: nil for none, the observer
// itself for one. Nil observers are left out.
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

// Events is a batch of events under construction, for one goroutine. NewEvents returns one, and
// Router.Tell takes it back.
type Events struct{ list []Event }

var eventsPool = sync.Pool{New: func() any { return new(Events) }}

// maxPooledEvents is the largest batch whose memory is reused.
const maxPooledEvents = 2048

// NewEvents returns an empty batch.
func NewEvents() *Events { return eventsPool.Get().(*Events) }

// Add appends an event and returns it. The caller fills it in before it adds the next one.
func (e *Events) Add(kind EventKind) *Event {
	e.list = append(e.list, Event{Kind: kind})
	return &e.list[len(e.list)-1]
}

// Len returns the number of events in the batch.
func (e *Events) Len() int { return len(e.list) }

// free returns the memory of the batch to the pool.
func (e *Events) free() {
	if cap(e.list) > maxPooledEvents {
		return
	}
	clear(e.list)
	e.list = e.list[:0]
	eventsPool.Put(e)
}

// Watched reports whether the router has an observer. If not, a caller need not make events.
func (r *Router) Watched() bool { return r.observer != nil }

// Tell passes a batch of events to the observer. The batch must not be used afterwards. An event
// without a time gets the current time by the router's clock.
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
