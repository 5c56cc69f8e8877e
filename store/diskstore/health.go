package diskstore

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/openccs/openccs/store"
)

// condition is a state of the store in which it refuses calls. Each refuses what those before it do, and more.
type condition int

const (
	low     condition = iota // little space is left: what takes more is refused
	stalled                  // a write waits for the disk: writes are refused
	failed                   // a write has failed: the database must be opened again. Reads go on
	down                     // it is being opened again: all calls are refused
	broken                   // only a new process can open it
	closed
	conditions
)

// health is the conditions that hold now. Reading it costs an atomic load.
type health struct {
	gravest atomic.Pointer[verdict] // nil while none holds

	mu     sync.Mutex
	holds  [conditions]error
	broken chan struct{} // closed when broken begins
}

type verdict struct {
	condition condition
	err       error
}

func (h *health) init() { h.broken = make(chan struct{}) }

// refusal is the error of a call that is refused from a condition on, or nil.
func (h *health) refusal(from condition) error {
	if v := h.gravest.Load(); v != nil && v.condition >= from {
		return v.err
	}
	return nil
}

// begin notes that a condition holds. The first reason stays.
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

// end notes that conditions hold no longer.
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

// unavailable makes a reason an error that callers know as store.ErrUnavailable.
func unavailable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, fmt.Errorf(format, args...))
}

// refusesGrowth returns why the store takes nothing that needs more space, or nil.
func (s *Store) refusesGrowth() error { return s.health.refusal(low) }

// Health implements store.Health.
func (s *Store) Health() error { return s.health.refusal(low) }

// Broken implements store.Breakable.
func (s *Store) Broken() <-chan struct{} { return s.health.broken }
