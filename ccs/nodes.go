package ccs

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Where a store serves several nodes, the router of each is told what the others do: hints alone, for the
// store itself is the truth. What it does not know of other nodes' sessions the store decides (store.Limit's
// Connected).

// maxChanged bounds the projects whose change other nodes told of and that Run has not looked at yet. Beyond it
// the hint is dropped; who may be logged in is checked regularly anyway.
const maxChanged = 1000

// joinNodes takes part if the store serves several nodes.
func (r *Router) joinNodes(ctx context.Context) error {
	nodes, ok := r.store.(store.Nodes)
	if !ok {
		return nil
	}
	r.nodes = nodes
	if err := nodes.Join(ctx, thisNode{r}, r.comeBack); err != nil {
		return fmt.Errorf("join the other nodes: %w", err)
	}
	return nil
}

// thisNode is what the store knows of the router.
type thisNode struct{ r *Router }

// Wake implements store.Node.
func (n thisNode) Wake(k store.Key) { n.r.wake(k) }

// TakenOver implements store.Node.
func (n thisNode) TakenOver(k store.Key, l store.Lease) {
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
		case h.lease:
			m.session.Close(ErrLeaseLost)
		}
	}
}

// Offered implements store.Node.
func (n thisNode) Offered(e store.Entry) { n.r.offer(e) }

// ProjectChanged implements store.Node.
func (n thisNode) ProjectChanged(sender string) {
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
	if r.nodes == nil {
		return nil
	}
	if err := r.nodes.ProjectChanged(ctx, string(sender)); err != nil {
		return fmt.Errorf("tell other nodes that project %s has changed: %w", sender, err)
	}
	return nil
}

// claimant is the lease that a mailbox claims with.
func (m *Mailbox) claimant() store.Lease {
	if isShared(m.key) {
		return m.hub.lease
	}
	return m.lease
}

// attachNode has the other nodes know that the mailbox's queue is served here. A session that another node
// has for a device has ended when it returns.
func (r *Router) attachNode(ctx context.Context, m *Mailbox) error {
	if r.nodes == nil {
		return nil
	}
	if err := r.nodes.Attach(ctx, m.key, m.claimant()); err != nil {
		return fmt.Errorf("attach %s: %w", m.key, err)
	}
	return nil
}

// giveBack ends the claims of a mailbox that is the last of its queue here.
func (m *Mailbox) giveBack(ctx context.Context) {
	r := m.router
	var err error
	if r.nodes == nil {
		err = r.store.Release(ctx, m.key, m.claimant())
	} else {
		var back time.Duration
		if r.stopping.Load() {
			back = r.comeBack
		}
		err = r.nodes.Detach(ctx, m.key, m.claimant(), back)
	}
	if err != nil {
		r.StoreFailed(r.log, "release", err, zap.Stringer("queue", m.key))
	}
}

// offerElsewhere hands messages that are never stored to other nodes, and says which were taken.
func (r *Router) offerElsewhere(ctx context.Context, batch []store.Entry) []bool {
	if r.nodes == nil {
		return make([]bool, len(batch))
	}
	taken, err := r.nodes.Offer(ctx, batch)
	if err != nil {
		r.StoreFailed(r.log, "offer messages with TTL 0 to other nodes", err, zap.Int("messages", len(batch)))
		return make([]bool, len(batch))
	}
	return taken
}
