package store

import (
	"context"
	"time"
)

// Mark stands for a message of an app server: its sender, its message_id and its content. A
// repeated message has the same mark.
type Mark [16]byte

// RepeatsFor and MaxRepeats bound the marks in a Repeats, which may keep twice as many. A client
// has at most its window of messages unanswered when its connection dies, and sends those again at
// once.
const (
	RepeatsFor = 10 * time.Minute // CCS 4.3
	MaxRepeats = 250_000
)

// Repeats is an optional ability of a store: it remembers across a restart which messages were put.
// A sender sends a message again if the answer was lost with the server, and that message must not
// be put again.
//
// The store keeps the Mark of each entry whose Put does not end as Refused or Duplicate, in the
// same step as the entry. A mark without its entry would lose a message. Marks are not a part of a
// Dump.
type Repeats interface {
	// Remembered returns the marks that all nodes kept since RepeatsFor before now, in the order of
	// time. It returns at least about the newest MaxRepeats marks, and no more than twice as many.
	// The error wraps errors.ErrUnsupported if the configuration of the store keeps none.
	Remembered(ctx context.Context, now time.Time) ([]Mark, error)
}
