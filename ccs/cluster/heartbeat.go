package cluster

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

const (
	beatsPerHeartbeat = 2
	maxTakeovers      = 16 // dead nodes that wait for this one to take them over
)

// heartbeatLoop sends heartbeats until ctx ends, and takes over the nodes that are dead.
func (c *Cluster) heartbeatLoop(ctx context.Context) {
	dead := make(chan store.NodeID, maxTakeovers)
	c.loops.Go(func() { c.takeOverLoop(ctx, dead) })
	tick := time.NewTicker(c.heartbeat / beatsPerHeartbeat)
	defer tick.Stop()
	for {
		takeOver, err := c.sendHeartbeat(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("heartbeat failed", zap.Error(err))
		}
		for _, node := range takeOver {
			select {
			case dead <- node:
			default: // it becomes a task again
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sendHeartbeat sends a heartbeat. It returns the dead nodes that this one must take over.
func (c *Cluster) sendHeartbeat(ctx context.Context) (takeOver []store.NodeID, err error) {
	self, alive := c.self(), false
	err = c.update(ctx, func(m *store.Members) { alive, takeOver = recordHeartbeat(m, self, c.heartbeat) })
	if err != nil {
		return nil, err
	}
	if !alive {
		c.log.Error("this node was declared dead by the others; closing all sessions", zap.String("node", string(self)))
		c.reenter()
	}
	return takeOver, nil
}
