package store

import (
	"context"
	"time"
)

// Nodes is an optional ability of a store: to be used by several processes at once, which are called nodes.
// Whatever it tells a Node about the others is a hint that may get lost; what is lost is made good within a
// second by looking at the queues themselves.
type Nodes interface {
	// Join makes this process a node, and names whom the store tells what the others do. For back longer, the
	// devices of a node that has died count as connected. To be called once, before anything is claimed; from
	// then on only what is attached is.
	Join(ctx context.Context, n Node, back time.Duration) error

	// Attach notes that this node has a session for a queue, and claims for it under l. A device's queue has
	// one such session at most: one of another node is told to end, and waited for; if it cannot be heard, its
	// claims are void as soon as Attach returns. The other kinds may have one for each node.
	Attach(ctx context.Context, k Key, l Lease) error
	// Detach undoes Attach, releases what l has claimed, and has other nodes claim it. A device counts as
	// connected for back longer.
	Detach(ctx context.Context, k Key, l Lease, back time.Duration) error

	// Offer hands each message, which is never stored, to another node that has a session for its queue, and
	// says whether one has.
	Offer(ctx context.Context, batch []Entry) ([]bool, error)
	// ProjectChanged tells the other nodes that a project, its keys or its OAuth clients have changed.
	ProjectChanged(ctx context.Context, sender string) error
}

// Node is what a store tells one node about the others. Its methods never block.
type Node interface {
	// Wake says that a queue, attached here, may have more.
	Wake(k Key)
	// TakenOver says that what l has claimed is not its any more: another node has the device now, or the
	// other nodes took this one for dead. The session must end.
	TakenOver(k Key, l Lease)
	// Offered hands over a message that is never stored.
	Offered(e Entry)
	// ProjectChanged says that a project, its keys or its OAuth clients have changed on another node.
	ProjectChanged(sender string)
}
