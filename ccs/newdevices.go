package ccs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// DefaultNewDevices is how many devices of one address may register in a day and not have connected
// yet. An address may belong to a mobile network, whose phones connect within seconds and then do
// not count.
const DefaultNewDevices = 1000

const (
	newcomerTime      = 24 * time.Hour // a device that does not connect within it is forgotten
	maxNewcomerApps   = 100            // registrations of a device that has not connected
	maxNewcomers      = 100_000        // devices with a known address; an evicted one counts all day
	maxNewcomerOrigin = 10_000         // addresses that are known; an evicted one starts at zero
	newcomerSweep     = 20             // devices to forget in a second
)

// newDevices counts, for each address, the devices that have registered and not connected. It
// counts this node only: a device that registers here and connects elsewhere counts to the end of
// the day.
type newDevices struct {
	limit int

	mu      sync.Mutex
	origins *lru.Cache[netip.Prefix, *newDeviceDay]
	devices *lru.Cache[uint64, newcomer]
}

// newDeviceDay is the count of one address in one day.
type newDeviceDay struct {
	began time.Time
	used  int
	told  bool // the log has a line about it
}

// newcomer says in which network and day a device has registered.
type newcomer struct {
	network netip.Prefix
	day     time.Time
}

func newNewDevices(limit int) *newDevices {
	n := &newDevices{limit: limit}
	// New fails only for a size below one.
	n.origins, _ = lru.New[netip.Prefix, *newDeviceDay](maxNewcomerOrigin)
	n.devices, _ = lru.New[uint64, newcomer](maxNewcomers)
	return n
}

// reserve counts a device for its address. It reports whether there was room, and if not, whether
// this is the first refusal of the day.
func (n *newDevices) reserve(network netip.Prefix, device uint64, now time.Time) (ok, news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, known := n.origins.Get(network)
	if !known || now.Sub(d.began) >= newcomerTime {
		d = &newDeviceDay{began: now}
		n.origins.Add(network, d)
	}
	if d.used >= n.limit {
		news = !d.told
		d.told = true
		return false, news
	}
	d.used++
	n.devices.Add(device, newcomer{network, d.began})
	return true, false
}

// cancel undoes reserve, because the device has connected or could not register.
func (n *newDevices) cancel(device uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from, ok := n.devices.Peek(device)
	if !ok {
		return
	}
	n.devices.Remove(device)
	if d, ok := n.origins.Peek(from.network); ok && d.began.Equal(from.day) {
		d.used--
	}
}

func (n *newDevices) has(device uint64) bool { return n.devices.Contains(device) }

// admitNewDevice decides on the first registration of a device.
func (r *Router) admitNewDevice(ctx context.Context, device uint64, network netip.Prefix, now time.Time) error {
	ok, news := r.newcomers.reserve(network, device, now)
	if news {
		r.log.Warn("new devices of an address refused: too many have not connected",
			zap.Stringer("remote_addr", network), zap.Int("limit", r.newcomers.limit))
	}
	if !ok {
		return ErrTooManyDevices
	}
	if st, ok := r.store.(store.NewDevices); ok {
		return st.AddNewDevice(ctx, device, now)
	}
	return nil
}

// endProbation ends a device's time as a newcomer, because the device has a session.
func (r *Router) endProbation(ctx context.Context, device uint64) error {
	r.newcomers.cancel(device)
	if st, ok := r.store.(store.NewDevices); ok {
		return st.RemoveNewDevice(ctx, device)
	}
	return nil
}

// forgetNewDevices forgets some of the devices that registered a day ago and never connected, with
// their messages.
func (r *Router) forgetNewDevices(ctx context.Context, now time.Time) error {
	st, ok := r.store.(store.NewDevices)
	if !ok {
		return nil
	}
	forgotten, err := st.ForgetNewDevices(ctx, now.Add(-newcomerTime), newcomerSweep)
	for _, reg := range forgotten {
		if e := r.purge(ctx, reg); e != nil {
			err = errors.Join(err, fmt.Errorf("drop messages of a forgotten device: %w", e))
		}
	}
	if len(forgotten) > 0 {
		r.log.Debug("devices forgotten that never connected", zap.Int("registrations", len(forgotten)))
	}
	return err
}
