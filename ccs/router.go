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

	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// Options are the optional arguments of New. The zero value works.
type Options struct {
	Profile Profile
	Clock   Clock       // default: the wall clock
	Logger  *zap.Logger // default: none

	// ReturnGrace is how long after a start a device still counts as connected if it was connected
	// when the store was last used. It keeps a crash from discarding the messages of such devices.
	// The default is 30 s.
	ReturnGrace time.Duration

	// NewDevices is how many devices of one address may register in a day and not have connected;
	// default DefaultNewDevices.
	NewDevices int

	// Cluster is the connection to the other processes on the store; default: no other process uses
	// it.
	Cluster Cluster

	// Observer gets the events of messages, registrations and sessions; default: none.
	Observer Observer

	// Turns limit long work, by the queue of its sender or device; default: long work only yields
	// to other goroutines. Their cost is counted in bytes. NewTurns makes them.
	Turns *Turns

	// Tokens checks the access tokens that LoginToken accepts; default: only API keys are accepted.
	Tokens TokenChecker
}

// DefaultReturnGrace covers the first retries of every known device after a restart (DEV 11).
const DefaultReturnGrace = 30 * time.Second

// Router decides what happens to messages. It checks each message, puts it into the right queue,
// and wakes a session at the other end of the queue. Doors translate for it; the store keeps its
// messages.
type Router struct {
	// These fields do not change after New.
	store       store.Store
	profile     Profile
	clock       Clock
	log         *zap.Logger
	devices     deviceKeys
	tokens      TokenChecker // nil: access tokens are not accepted
	returnGrace time.Duration
	repeats     *dedup
	observer    Observer // nil: no events are made

	turns     *Turns // nil: long work only yields
	newcomers *newDevices
	shares    *shares // shares of devices in the backlogs of senders

	cluster Cluster       // nil: no other process uses the store
	changed chan SenderID // projects that changed on other nodes

	deviceRates   *flowcontrol.Keyed[uint64]   // downstream messages to one device (CCS 5.10)
	upstreamRates *flowcontrol.Keyed[DeviceID] // upstream messages of one device (CCS 5.10)
	quotas        *flowcontrol.Keyed[SenderID] // downstream messages of one sender
	apps          appOwners

	started time.Time // wall time

	fanouts fanouts

	tally    Tally
	trouble  storeHealthLog
	dropped  logLimit // receipts and send_errors that a queue did not take
	leases   atomic.Uint64
	stopping atomic.Bool

	// Lock order: mu, then a hub's mu, then a session's own lock. None is held over I/O.
	mu      sync.RWMutex
	hubs    map[store.Key]*hub     // only for queues with a session
	leaving map[store.Key]*mailbox // shared queues whose last session is releasing its claims
	// Devices that were connected when the store was last used, and have not come back.
	returning map[store.Key]struct{}
}

// New returns a router for a store.
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

		deviceRates:   flowcontrol.NewKeyed[uint64](maxRates),
		upstreamRates: flowcontrol.NewKeyed[DeviceID](maxRates),
		quotas:        flowcontrol.NewKeyed[SenderID](maxRates),
		apps:          newAppOwners(),
	}
	r.shares = newShares(st, r.profile.deviceShare())
	if r.clock == nil {
		r.clock = systemClock{}
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	r.log = r.log.Named("router")
	r.leases.Store(firstLease())
	r.fanouts.lease = store.Lease(r.leases.Add(1))
	r.fanouts.wake = make(chan struct{}, 1)
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
			r.log.Info("devices expected back", zap.Int("devices", len(present)), zap.Duration("limit", r.returnGrace))
		}
	}
	return r, nil
}

// firstLease returns a random number for the first lease, so that no two processes on one store use
// the same.
func firstLease() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) >> 1
}

// Profile returns the limits that the router applies.
func (r *Router) Profile() Profile { return r.profile }

// Now returns the time that messages go by.
func (r *Router) Now() time.Time { return r.clock.Now() }

// Tally returns the router's count of messages.
func (r *Router) Tally() *Tally { return &r.tally }

// Stop tells the router that the process ends on purpose. Devices that leave from now on are
// expected back.
func (r *Router) Stop() { r.stopping.Store(true) }

const (
	sweepEvery = time.Second
	sweepBatch = 10_000 // entries that one sweep looks at
)

// Run removes expired messages until ctx ends, and marks devices as away that did not come back.
// Each sweep looks at a bounded number of entries, and the next goes on from there. Expired
// messages are never delivered anyway, so a late sweep only costs space and delays send_errors.
// After a jump of the clock Run sweeps until nothing more has expired. Then it makes the sessions
// look for due work.
func (r *Router) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { r.runFanouts(ctx) })
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

// sweep removes expired entries up to a limit, and reports whether there may be more. The error is
// that of ctx.
func (r *Router) sweep(ctx context.Context) (more bool, err error) {
	now := r.clock.Now()
	expired, more, err := r.expire(ctx, now)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil: // the log gets one line about a failing store
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
