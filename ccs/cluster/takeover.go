package cluster

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// takeOverBatch is the number of queues of a dead node that are taken over at a time.
const takeOverBatch = 100

// takeOverLoop takes over dead nodes, one after the other, until ctx ends.
func (c *Cluster) takeOverLoop(ctx context.Context, dead <-chan store.NodeID) {
	for {
		select {
		case node := <-dead:
			c.takeOver(ctx, node)
		case <-ctx.Done():
			return
		}
	}
}

// takeOver passes the queues of a dead node to the nodes that are alive. If that fails, it becomes
// the task of some node again.
func (c *Cluster) takeOver(ctx context.Context, node store.NodeID) {
	log := c.log.With(zap.String("node", string(node)))
	started, queues := time.Now(), 0
	for {
		n, err := c.store.TakeOver(ctx, node, takeOverBatch, c.comeBack)
		queues += n
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("taking over the queues of a dead node failed", zap.Int("queues", queues), zap.Error(err))
			}
			return
		}
		if n == 0 {
			break
		}
	}
	if err := c.update(ctx, func(m *store.Members) { release(m, node) }); err != nil {
		if ctx.Err() == nil {
			log.Warn("taking over a dead node failed", zap.Error(err))
		}
		return
	}
	log.Info("queues of a dead node taken over", zap.Int("queues", queues), zap.Duration("took", time.Since(started)))
}
