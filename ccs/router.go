package ccs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Options are what a Router may be told. The zero value works.
type Options struct {
	Profile Profile
	Clock   Clock       // default: the wall clock
	Logger  *zap.Logger // default: none

	// ReturnGrace is how long after a start the devices that were connected when the store was last used
	// count as connected still, so that a crash does not throw their messages away; default 30 s.
	ReturnGrace time.Duration

	// NewDevices is how many devices of one address may register in a day and not have connected; default
	// DefaultNewDevices.
	NewDevices int

	// Cluster is the other processes on the store; default: this one has it for itself.
	Cluster Cluster

	// Observer is told what happens to messages, registrations and sessions; default: nobody is.
	Observer Observer

	// Turns are for long work, by the queue of the sender or device that it is for; default: long work only yields to
	// other goroutines. What is spent is counted in bytes; NewTurns makes them.
	Turns *Turns

	// Tokens knows the access tokens that LoginToken takes; default: none is taken, only API keys are.
	Tokens TokenChecker
}

// DefaultReturnGrace covers the first retries of every known device after a restart (DEV 11).
const DefaultReturnGrace = 30 * time.Second

// Router decides. It checks every message, puts it in the right queue, and wakes the session that waits
// at the queue's other end. Endpoints translate for it; the store remembers for it.
type Router struct {
	// Static after New.
	store       store.Store
	profile     Profile
	clock       Clock
	log         *zap.Logger
	devices     deviceKeys
	tokens      TokenChecker // nil: there are none
	returnGrace time.Duration
	repeats     *dedup
	observer    Observer // nil: nobody is told what happens

	turns     *Turns // nil: there are none
	newcomers *newDevices
	shares    *shares // of devices in the backlogs of senders

	cluster Cluster       // nil: this process has the store for itself
	changed chan SenderID // projects that changed on other nodes

	deviceRates   *keyedLimiter[uint64]   // downstream messages to one device (CCS 5.10)
	upstreamRates *keyedLimiter[DeviceID] // upstream messages of one device (CCS 5.10)
	quotas        *keyedLimiter[SenderID] // downstream messages of one sender

	started time.Time // by the wall

	tally    Tally
	trouble  storeHealthLog
	leases   atomic.Uint64
	stopping atomic.Bool

	// Lock order: mu, then a hub's, then a session's own. None is held over I/O.
	mu        sync.RWMutex
	hubs      map[store.Key]*hub     // a queue with no session has none
	leaving   map[store.Key]*mailbox // shared queues whose last session gives its claims back
	returning map[store.Key]struct{} // devices that were connected when the store was last used, and are not back
}

// New makes a router over a store.
func New(ctx context.Context, st store.Store, o Options) (*Router, error) {
	setDefault(&o.ReturnGrace, DefaultReturnGrace)
	setDefault(&o.NewDevices, DefaultNewDevices)
	r := &Router{
		store:       st,
		profile:     o.Profile.withDefaults(),
		clock:       o.Clock,
		log:         o.Logger,
		returnGrace: o.ReturnGrace,
		cluster:     o.Cluster,
		tokens:      o.Tokens,
		observer:    o.Observer,
		turns:       o.Turns,
		newcomers:   newNewDevices(o.NewDevices),
		changed:     make(chan SenderID, maxChanged),
		started:     time.Now(),
		leaving:     make(map[store.Key]*mailbox),
		returning:   make(map[store.Key]struct{}),
		hubs:        make(map[store.Key]*hub),
	}
	r.deviceRates, r.upstreamRates, r.quotas = newKeyedLimiter[uint64](), newKeyedLimiter[DeviceID](), newKeyedLimiter[SenderID]()
	r.shares = newShares(st, r.profile.deviceShare())
	if r.clock == nil {
		r.clock = systemClock{}
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	r.log = r.log.Named("router")
	r.leases.Store(firstLease())
	var err error
	if r.devices, err = newDeviceKeys(ctx, st); err != nil {
		return nil, err
	}
	if r.repeats, err = newDedup(ctx, st, r.clock.Now(), r.log); err != nil {
		return nil, err
	}
	if p, ok := st.(store.Presence); ok {
		present, err := p.Present(ctx)
		if err != nil {
			return nil, fmt.Errorf("list devices that were connected: %w", err)
		}
		for _, k := range present {
			r.returning[k] = struct{}{}
		}
		if len(present) > 0 {
			r.log.Info("devices expected back", zap.Int("devices", len(present)), zap.Duration("within", r.returnGrace))
		}
	}
	return r, nil
}

// firstLease starts the leases of a process at a random place, so that no two processes on one store
// ever use the same.
func firstLease() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) >> 1
}

// Profile is the limits that the router keeps.
func (r *Router) Profile() Profile { return r.profile }

// Now is the time that messages go by.
func (r *Router) Now() time.Time { return r.clock.Now() }

// Tally returns the router's count of messages.
func (r *Router) Tally() *Tally { return &r.tally }

// Stop tells the router that the process ends on purpose: the devices that leave now are expected back.
func (r *Router) Stop() { r.stopping.Store(true) }

const (
	sweepEvery = time.Second
	sweepBatch = 10_000 // entries that one sweep looks at
)

// Run removes expired messages until ctx ends, and counts devices as away that did not come back. Each sweep looks at a
// bounded number of entries and the next goes on from there: what has expired is never delivered anyway, so that only space
// is at stake, and when a device is told that its message has failed. After a jump of the clock Run sweeps at once until
// nothing more has expired, and then makes the sessions look for what is due.
func (r *Router) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	late := time.NewTimer(r.returnGrace - time.Since(r.started))
	defer late.Stop()
	jumped, stop := jumps(r.clock)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			r.expireReturning(ctx)
		case <-tick.C:
			if _, err := r.sweep(ctx); err != nil {
				return err
			}
		case <-jumped:
			for more := true; more; {
				var err error
				if more, err = r.sweep(ctx); err != nil {
					return err
				}
			}
			r.tickSessions()
		}
	}
}

// sweep removes what has expired, up to a limit, and reports whether there may be more. The error is that of ctx.
func (r *Router) sweep(ctx context.Context) (more bool, err error) {
	now := r.clock.Now()
	expired, more, err := r.expire(ctx, now)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil: // a store in trouble is complained of once
		r.StoreFailed(r.log, "sweep expired messages", err)
		return false, nil
	case len(expired) > 0:
		r.log.Debug("messages expired", zap.Int("messages", len(expired)))
		if err := r.reportExpired(ctx, expired, now); err != nil {
			r.StoreFailed(r.log, "tell devices of expired messages", err)
		}
	}
	if err := r.forgetNewDevices(ctx, now); err != nil && ctx.Err() == nil {
		r.StoreFailed(r.log, "forget devices that never connected", err)
	}
	return more, nil
}
