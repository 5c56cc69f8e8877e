package store

import (
	"context"
	"maps"
	"time"
)

// NodeID names one of the processes that share a store. No ID is used twice.
type NodeID string

// Owner is a lease of a node.
type Owner struct {
	Node  NodeID
	Lease Lease
}

// Attachment ties a queue to the lease of a session: only this lease may claim.
type Attachment struct {
	Key   Key
	Lease Lease
}

// Coordinator is an optional ability of a store: several processes, called nodes, use it at once.
// Each method is one atomic step on the shared data, or one message to another node. Package
// ccs/cluster decides when and why a step is taken.
type Coordinator interface {
	Membership
	Ownership
	Hints
}

// Membership keeps the list of nodes.
type Membership interface {
	// Enter makes this process a node under a new ID, and forgets all claims under an older one.
	// From then on only an attached lease may claim: for any other lease Claim returns ErrTakenOver
	// or nothing. The store calls waiting for each owner of a queue that has received entries from
	// this process, this node included. waiting must not block.
	Enter(waiting func(k Key, n NodeID)) NodeID
	// Members returns a consistent view of the nodes.
	Members(ctx context.Context) (*Members, error)
	// UpdateMembers writes the record of each node that differs between from and to. It keeps the
	// store's notes on this node for another day. It writes nothing and returns false if one of
	// these records is no longer as in from.
	UpdateMembers(ctx context.Context, from, to *Members) (bool, error)
}

// Members holds what the nodes know of each other. All times are by the clock of the store, to the
// millisecond.
type Members struct {
	Now  time.Time
	Live map[NodeID]time.Time // when each node sent its last heartbeat
	// Dead holds the nodes whose queues must be taken over, and the time until which one other node
	// has that task.
	Dead     map[NodeID]time.Time
	Released map[NodeID]time.Time // nodes whose queues were taken over, and when
}

// Clone returns a copy that can be changed.
func (m *Members) Clone() *Members {
	return &Members{Now: m.Now, Live: maps.Clone(m.Live), Dead: maps.Clone(m.Dead), Released: maps.Clone(m.Released)}
}

// Ownership keeps the owners of the queues: leases of nodes. A device's queue has one owner at
// most, other queues may have several.
type Ownership interface {
	// AttachQueue makes a lease of this node an owner of a queue. If a device's queue has another
	// owner, AttachQueue returns it in other and changes nothing. With force it takes the queue
	// from that owner, which it returns in taken. The entries that this owner had claimed are
	// offered again, and it can claim no more.
	AttachQueue(ctx context.Context, a Attachment, force bool) (other, taken Owner, err error)
	// DetachQueue undoes AttachQueue, releases the lease and notifies the other owners of the
	// queue. To other nodes it is one step: the next owner sees all released entries. The device
	// counts as connected for back longer.
	DetachQueue(ctx context.Context, a Attachment, back time.Duration) error
	// CheckQueues returns the state of each attached queue. It does not wait for a part of the
	// store that is in trouble: the states of its queues are not Known. The error is about
	// something else, and is the first of several.
	CheckQueues(ctx context.Context, attached []Attachment) ([]QueueState, error)
	// Owners lists the nodes that have a session for each queue.
	Owners(ctx context.Context, keys []Key) ([][]NodeID, error)
	// TakeOver takes at most max queues from a node. One step ends the ownership of a queue and
	// releases its claims, so the entries are offered again. The device of such a queue counts as
	// connected for back longer. TakeOver returns the number of queues taken, 0 when none is left.
	TakeOver(ctx context.Context, n NodeID, max int, back time.Duration) (queues int, err error)
}

// QueueState is the result of CheckQueues for one queue.
type QueueState struct {
	Known   bool // false: the store does not know the state, and nothing else is set
	Owned   bool // the attachment is in force
	Other   bool // another lease has the queue
	Waiting bool // an entry waits to be claimed
}

// Hints carries messages between nodes. A hint may get lost.
type Hints interface {
	// Publish sends each hint to its node.
	Publish(ctx context.Context, hints []Hint) error
	// Subscribe calls heard for each hint to a node until ctx ends or the connection is lost. Hints
	// that come before it is called or after it has returned are lost. heard must not block.
	Subscribe(ctx context.Context, n NodeID, heard func(Hint)) error
}

// HintKind is the kind of a Hint.
type HintKind uint8

// The kinds of hint.
const (
	HintWaiting        HintKind = iota + 1 // entries may wait in Keys
	HintTakeOver                           // Lease must give up the queue Keys[0] to another node
	HintOffer                              // Entry is for a session of this node; it is never stored
	HintProjectChanged                     // Project, its keys or its OAuth clients have changed
)

// Hint is a message to a node.
type Hint struct {
	To      NodeID
	Kind    HintKind
	Keys    []Key
	Lease   Lease
	Entry   Entry
	Project string
}
