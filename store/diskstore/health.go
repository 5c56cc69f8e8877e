package diskstore

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/openccs/openccs/store"
)

// condition is a state in which the store refuses calls. Each refuses more than the one before it.
type condition int

const (
	low     condition = iota // little space is left: calls that need more are refused
	stalled                  // a write waits for the disk: writes are refused
	failed                   // a write has failed: the database must be reopened. Reads go on
	down                     // the database is being reopened: all calls are refused
	broken                   // only a new process can open it
	closed
	conditions
)

// health holds the current conditions. Reading it costs an atomic load.
type health struct {
	gravest atomic.Pointer[verdict] // nil without a condition

	mu     sync.Mutex
	holds  [conditions]error
	broken chan struct{} // closed when broken begins
}

type verdict struct {
	condition condition
	err       error
}

func (h *health) init() { h.broken = make(chan struct{}) }

// refusal returns the error of a call that is refused from a condition on, or nil.
func (h *health) refusal(from condition) error {
	if v := h.gravest.Load(); v != nil && v.condition >= from {
		return v.err
	}
	return nil
}

// begin notes that a condition holds. Its first reason stays.
func (h *health) begin(c condition, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds[c] != nil {
		return
	}
	h.holds[c] = err
	if c == broken {
		close(h.broken)
	}
	h.judge()
}

// end notes that conditions no longer hold.
func (h *health) end(over ...condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range over {
		h.holds[c] = nil
	}
	h.judge()
}

// judge publishes the gravest condition. The caller must hold h.mu.
func (h *health) judge() {
	for c := conditions - 1; c >= 0; c-- {
		if err := h.holds[c]; err != nil {
			h.gravest.Store(&verdict{c, err})
			return
		}
	}
	h.gravest.Store(nil)
}

// unavailable makes an error that wraps store.ErrUnavailable from a reason.
func unavailable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, fmt.Errorf(format, args...))
}

// refusesGrowth returns why the store refuses calls that need more space, or nil.
func (s *Store) refusesGrowth() error { return s.health.refusal(low) }

// Health implements store.Health.
func (s *Store) Health() error { return s.health.refusal(low) }

// Broken implements store.Breakable.
func (s *Store) Broken() <-chan struct{} { return s.health.broken }
