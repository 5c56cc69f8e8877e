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

// DefaultNewDevices is how many devices one address may register in a day before they have connected. Behind one
// address there may be a mobile network, whose phones connect within seconds and then do not count.
const DefaultNewDevices = 1000

const (
	newcomerTime      = 24 * time.Hour // a device that has not connected for so long is forgotten
	maxNewcomerApps   = 100            // registrations of a device that has not connected
	maxNewcomers      = 100_000        // devices whose address is remembered; the least recent counts to the end of the day
	maxNewcomerOrigin = 10_000         // addresses that are remembered; the least recent starts afresh
	newcomerSweep     = 20             // devices that are forgotten a second
)

// newcomers counts the devices of each address that have registered and not connected. It knows only what happened
// on this node: one that registers here and connects elsewhere counts to the end of the day.
type newcomers struct {
	limit int

	mu      sync.Mutex
	origins *lru.Cache[netip.Prefix, *newcomerDay]
	devices *lru.Cache[uint64, newcomer]
}

// newcomerDay is a day of an address.
type newcomerDay struct {
	began time.Time
	used  int
	told  bool // the log has a line about it
}

// newcomer is where a device that has not connected has come from, and in which day.
type newcomer struct {
	network netip.Prefix
	day     time.Time
}

func newNewcomers(limit int) *newcomers {
	n := &newcomers{limit: limit}
	n.origins, _ = lru.New[netip.Prefix, *newcomerDay](maxNewcomerOrigin) // fails only for a size below one
	n.devices, _ = lru.New[uint64, newcomer](maxNewcomers)
	return n
}

// take counts a device for its address. It reports whether there was room, and if not, whether that is news.
func (n *newcomers) take(network netip.Prefix, device uint64, now time.Time) (ok, news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, known := n.origins.Get(network)
	if !known || now.Sub(d.began) >= newcomerTime {
		d = &newcomerDay{began: now}
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

// giveBack undoes take, because the device has connected or could not register.
func (n *newcomers) giveBack(device uint64) {
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

func (n *newcomers) has(device uint64) bool { return n.devices.Contains(device) }

// admitNewcomer decides over the first registration of a device.
func (r *Router) admitNewcomer(ctx context.Context, device uint64, network netip.Prefix, now time.Time) error {
	ok, news := r.newcomers.take(network, device, now)
	if news {
		r.log.Warn("new devices of an address refused: too many have not connected",
			zap.Stringer("remote_addr", network), zap.Int("limit_per_day", r.newcomers.limit))
	}
	if !ok {
		return ErrTooManyDevices
	}
	if st, ok := r.store.(store.Newcomers); ok {
		return st.AddNewcomer(ctx, device, now)
	}
	return nil
}

// welcome ends a device's time as a newcomer, because it has a session.
func (r *Router) welcome(ctx context.Context, device uint64) error {
	r.newcomers.giveBack(device)
	if st, ok := r.store.(store.Newcomers); ok {
		return st.RemoveNewcomer(ctx, device)
	}
	return nil
}

// forgetNewcomers forgets some of the devices that have registered a day ago and never connected, with what waits for
// them.
func (r *Router) forgetNewcomers(ctx context.Context, now time.Time) error {
	st, ok := r.store.(store.Newcomers)
	if !ok {
		return nil
	}
	forgotten, err := st.ForgetNewcomers(ctx, now.Add(-newcomerTime), newcomerSweep)
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
