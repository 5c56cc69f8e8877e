package ccs

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Cluster is what a Router needs of the other processes, called nodes, that serve the same store. Package ccs/cluster
// implements it. What another node's sessions change in a queue the store takes care of (store.Limit's Connected).
type Cluster interface {
	// Attach makes this node serve a queue, and claim for it under l. A session that another node has for the
	// device has ended when it returns.
	Attach(ctx context.Context, k store.Key, l store.Lease) error
	// Detach undoes Attach and releases what l has claimed. The device counts as connected for back longer.
	Detach(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error
	// Offer hands each message, which is never stored, to another node that has a session for its queue. It reports for
	// which one was found.
	Offer(ctx context.Context, batch []store.Entry) ([]bool, error)
	// ProjectChanged tells the other nodes that a project, its keys or its OAuth clients have changed.
	ProjectChanged(ctx context.Context, sender string) error
}

// maxChanged bounds the projects whose change other nodes told of and that Run has not looked at yet. Beyond it
// the hint is dropped; who may be logged in is checked regularly anyway.
const maxChanged = 1000

// Node is a Router as the other nodes' hints reach it. Its methods never block.
type Node struct{ r *Router }

// Node returns what must be told of the other nodes.
func (r *Router) Node() Node { return Node{r} }

// Wake says that a queue may have more.
func (n Node) Wake(k store.Key) { n.r.wake(k) }

// TakenOver says that a lease has lost its queue: another node has the device now, or this node was declared dead. The
// session ends.
func (n Node) TakenOver(k store.Key, l store.Lease) {
	h := n.r.hub(k)
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.mailboxes {
		switch l {
		case m.lease:
			m.session.Close(ErrTakenOver)
		case m.claims:
			m.session.Close(ErrLeaseLost)
		}
	}
}

// Offered hands over a message that is never stored.
func (n Node) Offered(e store.Entry) { n.r.offer(e) }

// ProjectChanged says that a project, its keys or its OAuth clients have changed on another node.
func (n Node) ProjectChanged(sender string) {
	select {
	case n.r.changed <- SenderID(sender):
	default:
	}
}

// Changed is where the router says whose keys have changed on another node: the endpoints end what a revoked
// one has opened.
func (r *Router) Changed() <-chan SenderID { return r.changed }

// TellChanged has the other nodes look whether a sender's keys are still good.
func (r *Router) TellChanged(ctx context.Context, sender SenderID) error {
	if r.cluster == nil {
		return nil
	}
	if err := r.cluster.ProjectChanged(ctx, string(sender)); err != nil {
		return fmt.Errorf("tell other nodes that project %s has changed: %w", sender, err)
	}
	return nil
}

// attachNode has the other nodes know that the mailbox's queue is served here. A session that another node
// has for a device has ended when it returns.
func (r *Router) attachNode(ctx context.Context, m *mailbox) error {
	if r.cluster == nil {
		return nil
	}
	if err := r.cluster.Attach(ctx, m.key, m.claims); err != nil {
		return fmt.Errorf("attach %s: %w", m.key, err)
	}
	return nil
}

// giveBack ends the claims of a mailbox that is the last of its queue here.
func (m *mailbox) giveBack(ctx context.Context) {
	r := m.router
	var err error
	if r.cluster == nil {
		err = r.store.Release(ctx, m.key, m.claims)
	} else {
		var back time.Duration
		if r.stopping.Load() {
			back = r.returnGrace
		}
		err = r.cluster.Detach(ctx, m.key, m.claims, back)
	}
	if err != nil {
		r.StoreFailed(r.log, "release", err, zap.Stringer("queue", m.key))
	}
}

// offerElsewhere hands messages that are never stored to other nodes, and says which were taken.
func (r *Router) offerElsewhere(ctx context.Context, batch []store.Entry) []bool {
	if r.cluster == nil {
		return make([]bool, len(batch))
	}
	taken, err := r.cluster.Offer(ctx, batch)
	if err != nil {
		r.StoreFailed(r.log, "offer messages with TTL 0 to other nodes", err, zap.Int("messages", len(batch)))
		return make([]bool, len(batch))
	}
	return taken
}
