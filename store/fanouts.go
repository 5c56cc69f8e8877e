package store

import (
	"context"
	"time"
)

// Fanout is a message to a topic or condition that is being copied to the subscribers (TOPICS 2.5).
type Fanout struct {
	ID       uint64 // greater than zero, below 2^63; about in the order of acceptance
	Sender   string // the project's sender ID
	Accepted time.Time
	Expires  time.Time
	Mark     Mark   // remembered as that of an entry is; not a part of a Dump
	Body     []byte // the store does not look into it

	// After is the progress: the subscribers up to this place have their copies.
	After   Place
	Copied  int // copies that were put
	Dropped int // subscribers that got no copy
}

// Fanouts keeps fan-outs until they are done. A fan-out that was begun survives kill -9 with its
// progress. A lease holds each fan-out under way, so that only one process works on it.
type Fanouts interface {
	// BeginFanouts keeps fan-outs, which no lease holds yet. It does not keep one whose project has
	// max fan-outs in progress. When it returns, what it kept is durable.
	BeginFanouts(ctx context.Context, batch []*Fanout, max int, now time.Time) (kept []bool, err error)
	// ClaimFanouts gives at most max fan-outs that no lease holds to a lease. Projects take turns,
	// and the oldest of a project comes first. In a store for several processes a lease lapses
	// FanoutLease or earlier after the last call with it.
	ClaimFanouts(ctx context.Context, l Lease, max int) ([]*Fanout, error)
	// CopyFanout puts copies of the message, with the progress in f. places has the subscriber of
	// each copy, in order. If done is set, the fan-out is forgotten. A copy is put once: after a
	// crash or an error, a caller that claims the fan-out again and goes on from its progress puts
	// none a second time. The outcome of a copy that was put before is Duplicate. The error is
	// ErrTakenOver if the lease does not hold the fan-out.
	CopyFanout(ctx context.Context, l Lease, f *Fanout, copies []Entry, places []Place, done bool, now time.Time) ([]Outcome, error)
	// RenewFanouts tells the store that the holder of a lease is at work.
	RenewFanouts(ctx context.Context, l Lease) error
	// ReleaseFanouts gives fan-outs back, all that the lease holds if none are named.
	ReleaseFanouts(ctx context.Context, l Lease, ids ...uint64) error
	// Fanouts lists the fan-outs of a project in progress, the oldest first; of all projects for
	// "". They come without Body.
	Fanouts(ctx context.Context, sender string) ([]*Fanout, error)
}

// FanoutLease is how long after the last call a lease holds fan-outs, in a store for several
// processes. A store may have a shorter one.
const FanoutLease = 15 * time.Second

// CopyDedupFor is how long a store that cannot put copies and progress in one step remembers each
// copy.
const CopyDedupFor = 6 * time.Hour
