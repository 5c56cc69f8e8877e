package ccsclient

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"
)

// messageIDs makes the message_ids of messages that have none. No two of them make the same.
type messageIDs struct {
	prefix string
	last   atomic.Uint64
}

func newMessageIDs() *messageIDs { return &messageIDs{prefix: rand.Text() + "-"} }

func (m *messageIDs) next() string { return m.prefix + strconv.FormatUint(m.last.Add(1), 10) }
