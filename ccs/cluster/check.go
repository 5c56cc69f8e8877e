package cluster

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Each attached queue is checked once in checkEvery, a part of them at a time. So a lost hint
// causes a delay of at most that time.
const (
	checkEvery = time.Second
	checkParts = 10
)

// checkLoop checks the attached queues until ctx ends.
func (c *Cluster) checkLoop(ctx context.Context) {
	tick := time.NewTicker(checkEvery / checkParts)
	defer tick.Stop()
	var all []store.Attachment
	for part := 0; ; part = (part + 1) % checkParts {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if part == 0 {
			c.makeUp(ctx)
			all = c.leases.all()
		}
		from, to := part*len(all)/checkParts, (part+1)*len(all)/checkParts
		if err := c.check(ctx, all[from:to]); err != nil && ctx.Err() == nil {
			c.log.Warn("checking the attached queues failed", zap.Error(err))
		}
	}
}

// check looks at queues and tells the Node the state that it needs of each.
func (c *Cluster) check(ctx context.Context, some []store.Attachment) error {
	if len(some) == 0 {
		return nil
	}
	states, err := c.store.CheckQueues(ctx, some)
	for i, state := range states {
		a := some[i]
		if !state.Known || !c.leases.has(a) {
			continue
		}
		switch {
		case state.Owned:
		case state.Other && a.Key.Kind == store.KindDevice:
			c.leases.remove(a)
			c.node.TakenOver(a.Key, a.Lease)
		default:
			// The store has lost it, or has forgotten it after a day without messages.
			c.log.Info("queue attached again", zap.Stringer("queue", a.Key))
			if _, failed := c.attach(ctx, a, false); failed != nil && err == nil {
				err = failed
			}
		}
		if state.Waiting {
			c.node.Wake(a.Key)
		}
	}
	return err
}
