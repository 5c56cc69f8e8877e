package server

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/flowcontrol"
)

const (
	memoryLook  = 250 * time.Millisecond // between two looks at the budget
	memoryShare = 1 << 20                // what a connection may hold; reading pauses earlier if its share is less
	memoryCalm  = 10 * time.Second       // for which the share must suffice before the log says that memory is free again
)

// watchMemory logs when connections are held back because the memory for messages is used up, and when that is over,
// until ctx ends.
func watchMemory(ctx context.Context, log *zap.Logger, memory *flowcontrol.Budget) error {
	tick := time.NewTicker(memoryLook)
	defer tick.Stop()
	var began, last time.Time // of the shortage; zero while there is none
	var most int64            // bytes used in it
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now = <-tick.C:
		}
		used := memory.Used()
		switch short := memory.Share() <= memoryShare; {
		case short && began.IsZero():
			began, last, most = now, now, used
			log.Warn("memory for messages is used up: reading pauses for the connections that hold most",
				zap.Int64("bytes", used), zap.Int64("limit", memory.Limit()))
		case short:
			last, most = now, max(most, used)
		case !began.IsZero() && now.Sub(last) >= memoryCalm:
			log.Info("memory for messages is free again", zap.Int64("bytes", used), zap.Int64("limit", memory.Limit()),
				zap.Int64("most", most), zap.Duration("took", last.Sub(began)))
			began = time.Time{}
		}
	}
}
