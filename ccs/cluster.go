package ccs

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Cluster is a Router's connection to the other processes, called nodes, that serve the same store.
// Package ccs/cluster implements it. The store itself keeps queues consistent when sessions of
// another node change them (store.Limit's Connected).
type Cluster interface {
	// Attach makes this node serve a queue, with claims under l. When it returns, no other node has
	// a session for the device any more.
	Attach(ctx context.Context, k store.Key, l store.Lease) error
	// Detach undoes Attach and releases the claims of l. The device counts as connected for back
	// longer.
	Detach(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error
	// Offer passes messages that are never stored to other nodes that have sessions for their
	// queues. It reports for each message whether a session was found.
	Offer(ctx context.Context, batch []store.Entry) ([]bool, error)
	// ProjectChanged tells the other nodes that a project, its keys or its OAuth clients have
	// changed.
	ProjectChanged(ctx context.Context, sender string) error
}

// maxChanged bounds the changed projects of other nodes that Run has not looked at yet. Further
// hints are dropped: keys of open sessions are checked regularly anyway.
const maxChanged = 1000

// Node is a Router as seen by hints from other nodes. Its methods never block.
type Node struct{ r *Router }

// Node returns the receiver for hints from other nodes.
func (r *Router) Node() Node { return Node{r} }

// Wake says that a queue may have more entries.
func (n Node) Wake(k store.Key) { n.r.wake(k) }

// TakenOver says that a lease has lost its queue, and ends the session. Another node has the device
// now, or this node was declared dead.
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

// Offered takes a message that is never stored.
func (n Node) Offered(e store.Entry) { n.r.offer(e) }

// ProjectChanged says that a project, its keys or its OAuth clients have changed on another node.
func (n Node) ProjectChanged(sender string) {
	select {
	case n.r.changed <- SenderID(sender):
	default:
	}
}

// Changed returns the channel of senders whose keys have changed on another node. Doors end the
// sessions that a revoked key has opened.
func (r *Router) Changed() <-chan SenderID { return r.changed }

// PublishProjectChange makes the other nodes check whether a sender's keys are still valid.
func (r *Router) PublishProjectChange(ctx context.Context, sender SenderID) error {
	if r.cluster == nil {
		return nil
	}
	if err := r.cluster.ProjectChanged(ctx, string(sender)); err != nil {
		return fmt.Errorf("tell other nodes that project %s has changed: %w", sender, err)
	}
	return nil
}

// attachNode tells the other nodes that this node serves the mailbox's queue. When it returns, no
// other node has a session for the device any more.
func (r *Router) attachNode(ctx context.Context, m *mailbox) error {
	if r.cluster == nil {
		return nil
	}
	if err := r.cluster.Attach(ctx, m.key, m.claims); err != nil {
		return fmt.Errorf("attach %s: %w", m.key, err)
	}
	return nil
}

// giveBack ends the claims of a mailbox that is the last of its queue on this node.
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

// offerElsewhere offers messages that are never stored to other nodes, and reports which were
// taken.
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
