package ccs

import (
	"errors"
	"iter"

	"github.com/openccs/openccs/store"
)

// Reason says why the core does not take a message, or why a message that it took failed. Reasons
// are finer than the codes of any door. Each door has one table from reasons to its codes.
type Reason uint8

// The reasons. The numbers are written to disk.
const (
	UnknownToken Reason = iota + 1 // no registration has the token
	WrongSender                    // the registration does not name the sender
	// The app instance is unregistered, or its token was superseded long ago.
	Unregistered
	InvalidTopic // the name of the topic is not valid
	// The registration is of another app than restricted_package_name.
	InvalidPackage
	// The message cannot be decoded, or a field has the wrong type.
	InvalidMessage
	MissingTarget     // the message names no target
	TooBig            // the payload is larger than the limit
	InvalidDataKey    // a key of the data is reserved
	BadTTL            // time_to_live is out of range
	BadCollapseKey    // the collapse key is too long
	BadPriority       // the priority is not known
	RateExceeded      // too many messages to one device, or from one device
	TopicRateExceeded // too many messages to one topic
	QuotaExceeded     // the sender has used up its quota
	QueueFull         // too many messages wait in the queue
	WindowExceeded    // too many messages of the connection are unanswered
	Draining          // the connection takes no new messages
	UnknownSender     // the message of a device names no sender that exists
	NotRegistered     // the app on the device has no registration for the sender
	NobodyConnected   // a message with a TTL of zero found no session
	Expired           // the TTL passed before a session took the message
	RepeatRefused     // the first copy of the same message was refused
	// The server cannot take the message now. The sender should try again.
	Unavailable
	Damaged          // the queue of the message is damaged
	Internal         // a fault of the server
	InvalidCondition // the condition on topics is not valid
	endOfReasons
)

// reasonNames are the names for logs and metrics. They do not change.
var reasonNames = [...]string{
	UnknownToken:      "unknown_token",
	WrongSender:       "wrong_sender",
	Unregistered:      "unregistered",
	InvalidTopic:      "invalid_topic",
	InvalidPackage:    "invalid_package",
	InvalidMessage:    "invalid_message",
	MissingTarget:     "missing_target",
	TooBig:            "too_big",
	InvalidDataKey:    "invalid_data_key",
	BadTTL:            "bad_ttl",
	BadCollapseKey:    "bad_collapse_key",
	BadPriority:       "bad_priority",
	RateExceeded:      "rate_exceeded",
	TopicRateExceeded: "topic_rate_exceeded",
	QuotaExceeded:     "quota_exceeded",
	QueueFull:         "queue_full",
	WindowExceeded:    "window_exceeded",
	Draining:          "draining",
	UnknownSender:     "unknown_sender",
	NotRegistered:     "not_registered",
	NobodyConnected:   "nobody_connected",
	Expired:           "expired",
	RepeatRefused:     "repeat_refused",
	Unavailable:       "unavailable",
	Damaged:           "damaged",
	Internal:          "internal",
	InvalidCondition:  "invalid_condition",
}

// String returns the name of the reason for logs and metrics, such as "unknown_token".
func (r Reason) String() string {
	if r == 0 || r >= endOfReasons {
		return "unknown"
	}
	return reasonNames[r]
}

// Reasons yields every reason, so that a test can check the table of a door.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := UnknownToken; r < endOfReasons && yield(r); r++ {
		}
	}
}

// Refusal says why the core does not take a message. A door may tell the peer Reason and Detail, in
// its own words. Err is for the log.
type Refusal struct {
	Reason Reason
	Detail string // the subject of the reason, such as the token or a limit; may be ""
	Err    error  // the underlying fault of the server; nil if the message is at fault
}

// Error returns the refusal as one line for a log.
func (r *Refusal) Error() string {
	s := r.Reason.String()
	if r.Detail != "" {
		s += " (" + r.Detail + ")"
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Unwrap returns the fault of the server that caused the refusal.
func (r *Refusal) Unwrap() error { return r.Err }

// RefusalOf converts an error of the router into a refusal for a peer. A refusal in its chain is
// returned unchanged. An unavailable store becomes Unavailable, and the peer should try again
// (CCS 3.3). Any other error becomes Internal.
func RefusalOf(err error) *Refusal {
	var refused *Refusal
	switch {
	case errors.As(err, &refused):
		return refused
	case store.Unavailable(err):
		return &Refusal{Reason: Unavailable, Err: err}
	}
	return &Refusal{Reason: Internal, Err: err}
}
