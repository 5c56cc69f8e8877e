package ccsclient

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"
)

// messageIDs makes message_ids for messages without one. Two messageIDs never make the same ID.
type messageIDs struct {
	prefix string
	last   atomic.Uint64
}

func newMessageIDs() *messageIDs { return &messageIDs{prefix: rand.Text() + "-"} }

func (m *messageIDs) next() string { return m.prefix + strconv.FormatUint(m.last.Add(1), 10) }
