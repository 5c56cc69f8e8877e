package ccs

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Sweep forgets some of the expired entries, as Run does.
func (r *Router) Sweep(ctx context.Context) (expired int, err error) {
	now := r.clock.Now()
	entries, _, err := r.expire(ctx, now)
	if err != nil {
		return 0, err
	}
	return len(entries), r.reportExpired(ctx, entries, now)
}

// Dedup is the memory of repeats.
type Dedup struct {
	d      *dedup
	random *rand.Rand
	prints []fingerprint
	states []dedupState
}

// NewDedup returns the memory of repeats of a router on a store.
func NewDedup(ctx context.Context, st store.Store, now time.Time) (*Dedup, error) {
	d, err := newDedup(ctx, st, now, zap.NewNop())
	return &Dedup{d: d, random: rand.New(rand.NewPCG(1, 2))}, err
}

// Send looks n new messages up and accepts them.
func (d *Dedup) Send(n int, now time.Time) {
	d.prints = d.prints[:0]
	for range n {
		d.prints = append(d.prints, fingerprint{d.random.Uint64(), d.random.Uint64()})
	}
	var call *sendCall
	call, d.states = d.d.begin(d.prints, d.states[:0], now)
	d.d.end(call, d.prints, func(int) bool { return true })
}
