package ccs

import (
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// Downstream is a message from an app server to a device, whichever door it came through (CCS 2.3).
// The door has already applied the rules of package payload.
type Downstream struct {
	// To is a registration token or the address of a topic, or "" if there is a Condition.
	To        string
	Condition string // a condition on topics
	ID        string // message_id of the app server; a repeat has the same ID and content
	// Unique says that the door made the ID, so the message is no repeat of any other.
	Unique      bool
	CollapseKey string
	Priority    payload.Priority
	// TTL is in whole seconds, up to payload.MaxTTL. Zero means now or never (CCS 5.2).
	TTL               time.Duration
	DelayWhileIdle    bool
	ReceiptRequested  bool
	DryRun            bool
	ContentAvailable  bool
	MutableContent    bool
	RestrictedPackage string
	Data              payload.Data
	Notification      payload.Data // nil for none
}

// toTopic reports whether the message is for the subscribers of topics.
func (m *Downstream) toTopic() bool {
	return m.Condition != "" || strings.HasPrefix(m.To, payload.TopicPrefix)
}

// target returns the topic or the condition that the message is for.
func (m *Downstream) target() string {
	if m.Condition != "" {
		return m.Condition
	}
	return m.To
}

// high reports whether the message has a high priority: it says so, or it has a notification and
// names no priority.
func (m *Downstream) high() bool {
	return m.Priority == payload.PriorityHigh || m.Priority == payload.PriorityDefault && m.Notification != nil
}

// Result is the outcome of one message of a batch.
type Result struct {
	ID        string    // message_id
	Entry     store.ID  // ID of the stored entry; zero if nothing was stored
	Accepted  time.Time // time of acceptance; with Entry it identifies the message forever
	Canonical string    // the token that superseded the addressed one, or "" (CCS 5.6)
	Refusal   *Refusal  // nil if the message is durably stored and may be acknowledged
	// TopicID is the number of a message to a topic or condition that was accepted, between 1 and
	// 2^63-1; zero for every other message.
	TopicID int64
	// Group is what became of a message to a device group that exists; nil for every other message.
	Group *GroupResult
}
