package store

import (
	"context"
	"time"
)

// Mark stands for a message of an app server: for its sender, its message_id and its content. A message that comes
// again has the same.
type Mark [16]byte

// The bounds of what a Repeats keeps, each twice at most: a client has no more than its window of messages
// unanswered when its connection dies, and sends those again at once.
const (
	RepeatsFor = 10 * time.Minute // CCS 4.3
	MaxRepeats = 250_000
)

// Repeats is an optional ability of a store: to remember over a restart which messages were put, so that one that
// its sender sends again, since the answer was lost with the server, is not put again.
//
// It keeps the Mark of each entry whose Put does not end as Refused or Duplicate, in the same step as the entry:
// there is never a mark without its entry, which would lose a message. Marks are not a part of a Dump.
type Repeats interface {
	// Remembered returns the marks that were kept since RepeatsFor before now, by all nodes, in the order of time: about
	// the newest MaxRepeats at least, and no more than twice as many. The error wraps errors.ErrUnsupported if the store
	// keeps none the way it is set up.
	Remembered(ctx context.Context, now time.Time) ([]Mark, error)
}
