package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

const (
	handover    = 2 * time.Second // time for another node to end its session of a device
	firstRetry  = 5 * time.Millisecond
	longestWait = 100 * time.Millisecond // between two tries to attach
)

// Attach makes this node serve a queue, and claim for it under l. If another node has a session for
// a device, Attach asks that node to end it and waits. If that takes too long, Attach takes the
// queue: when it returns, the claims of the other node are void.
func (c *Cluster) Attach(ctx context.Context, k store.Key, l store.Lease) error {
	// An earlier session may hold claims. Entries that this session claims would overtake those.
	for old, back := range c.leases.owedOf(k) {
		a := store.Attachment{Key: k, Lease: old}
		if err := c.store.DetachQueue(ctx, a, back); err != nil {
			return fmt.Errorf("detach the session before: %w", err)
		}
		c.leases.paid(a)
	}
	a := store.Attachment{Key: k, Lease: l}
	var told store.Owner
	asked := time.Now()
	for wait := firstRetry; ; wait = min(2*wait, longestWait) {
		other, err := c.attach(ctx, a, time.Since(asked) > handover)
		if err != nil {
			return err
		}
		if other == (store.Owner{}) {
			break
		}
		if told != other {
			told = other
			c.hints.send(store.Hint{To: other.Node, Kind: store.HintTakeOver, Keys: []store.Key{k}, Lease: other.Lease})
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("wait for the session of another node: %w", context.Cause(ctx))
		}
	}
	c.leases.add(a)
	return nil
}

// attach tries to attach a queue, and returns the session of another node that has it. It ignores a
// session of this node whose end did not reach the store.
func (c *Cluster) attach(ctx context.Context, a store.Attachment, force bool) (other store.Owner, err error) {
	for {
		other, taken, err := c.store.AttachQueue(ctx, a, force)
		if taken != (store.Owner{}) {
			c.log.Warn("device taken from a node that did not answer",
				zap.Stringer("device", a.Key), zap.String("node", string(taken.Node)))
		}
		if err != nil || force || other.Node != c.self() {
			return other, err
		}
		force = true
	}
}

// Detach undoes Attach and releases the claims of l. The device counts as connected for back
// longer. If the store is unavailable, the node detaches the queue as soon as the store is back.
func (c *Cluster) Detach(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error {
	a := store.Attachment{Key: k, Lease: l}
	c.leases.remove(a)
	err := c.store.DetachQueue(ctx, a, back)
	if err != nil && !errors.Is(err, store.ErrClosed) && !c.leases.owe(a, back) {
		c.log.Error("too many sessions have ended while the store was away; closing all sessions")
		c.reenter()
	}
	return err
}

// Limits of makeUp, so that the attached queues are checked in time even if a part of the store is
// unavailable.
const (
	makeUpTimeout  = 100 * time.Millisecond
	makeUpFailures = 3
)

// makeUp detaches the queues of sessions that ended while the store was unavailable. The order is
// random, so that those of another part of the store may come first the next time.
func (c *Cluster) makeUp(ctx context.Context) {
	failures := 0
	for a, back := range c.leases.allOwed() {
		one, cancel := context.WithTimeout(ctx, makeUpTimeout)
		err := c.store.DetachQueue(one, a, back)
		cancel()
		if err == nil {
			c.leases.paid(a)
		} else if failures++; failures == makeUpFailures {
			return
		}
	}
}
