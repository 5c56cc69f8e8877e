package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// Limits of a storm of logins. The server returns memory to the system after each storm.
const (
	stormLogins = 500             // minimum number of logins in a storm
	stormEnd    = 5 * time.Second // time of few logins that ends a storm
	stormTick   = time.Second
)

// storm counts logins and detects the end of a burst.
type storm struct {
	last, since, peak int64
	quiet             time.Duration
}

// over reports whether a storm has just ended. The caller calls it every stormTick with the number
// of logins since the start. It returns true once after each storm.
func (s *storm) over(total int64) bool {
	n := total - s.last
	s.last = total
	s.since += n
	s.peak = max(s.peak, n)
	if n*10 > s.peak {
		s.quiet = 0
		return false
	}
	if s.quiet += stormTick; s.quiet < stormEnd {
		return false
	}
	many := s.since >= stormLogins
	s.since, s.peak, s.quiet = 0, 0, 0
	return many
}

// giveBack returns memory to the system after each storm of logins, until ctx ends. The memory of
// the handshakes is garbage by then. The heap may be quiet for hours, and the runtime would keep
// its pages.
func (s *Server) giveBack(ctx context.Context) error {
	tick := time.NewTicker(stormTick)
	defer tick.Stop()
	var w storm
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if w.over(s.mcs.Logins() + s.xmpp.Logins()) {
			start := time.Now()
			runtime.GC() // the next collection, in FreeOSMemory, empties the pools
			debug.FreeOSMemory()
			s.log.Info("memory given back after many logins", zap.Duration("took", time.Since(start)))
		}
	}
}
