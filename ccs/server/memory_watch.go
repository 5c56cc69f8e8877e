package server

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/flowcontrol"
)

const (
	memoryLook = 250 * time.Millisecond // interval between two checks of the budget
	// memoryShare is the limit of a connection, in bytes. Reading pauses earlier if its share is
	// less.
	memoryShare = 1 << 20
	// memoryCalm is the time of sufficient shares before the log says that memory is free again.
	memoryCalm = 10 * time.Second
)

// watchMemory logs when connections wait because the memory for messages is used up, and when the
// shortage is over. It runs until ctx ends.
func watchMemory(ctx context.Context, log *zap.Logger, memory *flowcontrol.Budget) error {
	tick := time.NewTicker(memoryLook)
	defer tick.Stop()
	var began, last time.Time // start and end of the shortage; zero without one
	var most int64            // maximum bytes in use during the shortage
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
				zap.Int64("max_bytes", most), zap.Duration("took", last.Sub(began)))
			began = time.Time{}
		}
	}
}
