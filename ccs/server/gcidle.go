package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// What counts as a storm of logins, after which memory is given back.
const (
	stormLogins = 500             // in all, at least
	stormEnd    = 5 * time.Second // of few logins, after which it is over
	stormTick   = time.Second
)

// storm watches logins and says when many have come and no more come.
type storm struct {
	last, since, peak int64
	quiet             time.Duration
}

// over is called every stormTick with the number of logins since the start. It reports true once after each storm.
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

// giveBack returns memory to the system after each storm of logins, until ctx ends. What handshakes needed is garbage
// by then, of a heap that may be quiet for hours, and the runtime would keep its pages.
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
			runtime.GC() // empties the pools with the next one
			debug.FreeOSMemory()
			s.log.Info("memory given back after many logins", zap.Duration("took", time.Since(start)))
		}
	}
}
