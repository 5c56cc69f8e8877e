package ccs

import (
	"strings"
	"time"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// Downstream is a message from an app server to a device, whichever door it came through (CCS 2.3). The door has
// checked what the rules in package payload say of it.
type Downstream struct {
	To                string // registration token, or the address of a topic; "" where there is a Condition
	Condition         string // on topics
	ID                string // as the app server chose it; by it and the content a repeat is known
	CollapseKey       string
	Priority          payload.Priority
	TTL               time.Duration // whole seconds, up to payload.MaxTTL; zero for now or never (CCS 5.2)
	DelayWhileIdle    bool
	ReceiptRequested  bool
	DryRun            bool
	ContentAvailable  bool
	MutableContent    bool
	RestrictedPackage string
	Data              payload.Data
	Notification      payload.Data // nil if there is none
}

// toTopic reports whether the message is for the subscribers of topics.
func (m *Downstream) toTopic() bool {
	return m.Condition != "" || strings.HasPrefix(m.To, payload.TopicPrefix)
}

// high reports whether the message has a high priority: it names that, or it has a notification and names none.
func (m *Downstream) high() bool {
	return m.Priority == payload.PriorityHigh || m.Priority == payload.PriorityDefault && m.Notification != nil
}

// Result is what became of one message of a batch.
type Result struct {
	ID        string    // of the message
	Entry     store.ID  // what the queue calls the message; zero if nothing was stored for it
	Accepted  time.Time // when; with Entry it names the message for good
	Canonical string    // the token that superseded the addressed one, "" if none did (CCS 5.6)
	Refusal   *Refusal  // nil: the message is stored, durably, and may be acknowledged
}
