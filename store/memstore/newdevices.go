package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/openccs/openccs/store"
)

var _ store.NewDevices = (*Store)(nil)

// AddNewDevice implements store.NewDevices.
func (s *Store) AddNewDevice(ctx context.Context, device uint64, since time.Time) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, noted := g.newcomers[device]; !noted {
		g.newcomers[device] = since
	}
	return nil
}

// RemoveNewDevice implements store.NewDevices.
func (s *Store) RemoveNewDevice(ctx context.Context, device uint64) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.newcomers, device)
	return nil
}

// ForgetNewDevices implements store.NewDevices.
func (s *Store) ForgetNewDevices(ctx context.Context, before time.Time, max int) (forgotten []*store.Registration, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	devices := slices.SortedFunc(maps.Keys(g.newcomers), func(a, b uint64) int {
		return cmp.Or(g.newcomers[a].Compare(g.newcomers[b]), cmp.Compare(a, b))
	})
	for _, device := range devices[:min(max, len(devices))] {
		if !g.newcomers[device].Before(before) {
			break
		}
		delete(g.newcomers, device)
		for _, token := range g.byDevice[device] {
			r := g.byToken[token]
			forgotten = append(forgotten, r)
			delete(g.byToken, token)
			g.topics.pass(r, "")
			g.groups.pass(r, "")
		}
		delete(g.byDevice, device)
		s.accounts.forgetDevice(device)
	}
	return forgotten, nil
}
