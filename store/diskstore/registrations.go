package diskstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
)

// recordCache holds the registrations in memory. Only the committer changes a registration, and it
// replaces the record here after the change is applied. So a record here is never older than the
// one on disk.
type recordCache struct {
	cache *lru.Cache[string, *store.Registration]

	mu      sync.Mutex
	changes uint64 // how many times replace has changed a record
}

// replace replaces changed records, and drops those of forgotten tokens.
func (c *recordCache) replace(changed []*store.Registration, forgot []string) {
	if len(changed) == 0 && len(forgot) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	for _, r := range changed {
		c.cache.Add(r.Token, r)
	}
	for _, token := range forgot {
		c.cache.Remove(token)
	}
}

// load reads a record that is not in memory, and keeps it there unless a record changed during the
// read.
func (c *recordCache) load(read func() (*store.Registration, error)) (*store.Registration, error) {
	c.mu.Lock()
	before := c.changes
	c.mu.Unlock()
	r, err := read()
	if r == nil || err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		c.cache.Add(r.Token, r)
	}
	return r, nil
}

// Registrations looks up tokens. A record in memory costs no allocation.
func (s *Store) Registrations(ctx context.Context, dst []*store.Registration, tokens []string) ([]*store.Registration, error) {
	if err := s.enter(ctx); err != nil {
		return dst, err
	}
	defer s.life.RUnlock()
	for _, token := range tokens {
		r, ok := s.records.cache.Get(token)
		if !ok {
			var err error
			if r, err = s.loadRegistration(token); err != nil {
				return dst, fmt.Errorf("look up a registration: %w", err)
			}
		}
		dst = append(dst, r)
	}
	return dst, nil
}

func (s *Store) loadRegistration(token string) (*store.Registration, error) {
	return s.records.load(func() (*store.Registration, error) { return s.readRegistration(token) })
}

// readRegistration reads a record from disk. It returns nil if there is none.
func (s *Store) readRegistration(token string) (*store.Registration, error) {
	value, found, err := s.get(textKey(prefixToken, token))
	if err != nil || !found {
		return nil, err
	}
	r := &store.Registration{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("registration: %w: %w", errDamaged, err)
	}
	return r, nil
}

// DeviceRegistrations lists every registration of a device.
func (s *Store) DeviceRegistrations(ctx context.Context, device uint64) ([]*store.Registration, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	all, err := s.readDevice(device)
	if err != nil {
		return nil, fmt.Errorf("registrations of device %d: %w", device, err)
	}
	return all, nil
}

func (s *Store) readDevice(device uint64) (all []*store.Registration, err error) {
	first := deviceKey(device, "")
	var tokens []string
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: keyAfter(first)})
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid(); it.Next() {
		tokens = append(tokens, string(it.Key()[deviceTokenOff:]))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, err
	}
	for _, token := range tokens {
		r, err := s.readRegistration(token)
		if err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// keyAfter returns the first key after all keys with a prefix.
func keyAfter(prefix []byte) []byte {
	after := append([]byte{}, prefix...)
	for i := len(after) - 1; i >= 0; i-- {
		if after[i]++; after[i] != 0 {
			return after[:i+1]
		}
	}
	return nil
}

// Register returns the same registration if it is still valid, or stores a new one.
func (s *Store) Register(ctx context.Context, r store.Registration, now time.Time) (*store.Registration, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if err := s.refusesGrowth(); err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	fresh := r.Fresh(now)
	var kept *store.Registration
	err := s.committer.do(ctx, newChange(func(g *group) (err error) {
		kept, err = g.register(fresh, now)
		return err
	}))
	if err != nil {
		return nil, fmt.Errorf("register device %d: %w", r.Device, err)
	}
	return kept, nil
}

func (g *group) register(fresh *store.Registration, now time.Time) (*store.Registration, error) {
	if err := g.flush(); err != nil {
		return nil, err
	}
	// The newest of the slot is mostly the same, and is found without the rest of the device.
	slot := fresh.Slot()
	newest, found, err := g.s.get(textKey(prefixSlot, slot))
	if err != nil {
		return nil, err
	}
	if found {
		old, err := g.s.readRegistration(string(newest))
		if err != nil || old != nil && old.Same(fresh) {
			return old, err
		}
	}
	all, err := g.s.readDevice(fresh.Device)
	if err != nil {
		return nil, err
	}
	kept, changed, err := store.Register(all, fresh, now)
	if err != nil || kept != fresh {
		return kept, err
	}
	if taken, err := g.s.readRegistration(fresh.Token); err != nil || taken != nil {
		return nil, errors.Join(err, fmt.Errorf("token: %w", store.ErrExists))
	}
	for _, r := range changed {
		if err := g.setRegistration(r); err != nil {
			return nil, err
		}
		if r == fresh {
			continue
		}
		if err := g.pass(r, fresh); err != nil {
			return nil, err
		}
	}
	for _, r := range changed[:len(changed)-1] {
		if err := g.passGroups(r, fresh.Token); err != nil {
			return nil, err
		}
	}
	return fresh, errors.Join(
		g.batch.Set(textKey(prefixSlot, slot), []byte(fresh.Token), nil),
		g.batch.Set(deviceKey(fresh.Device, fresh.Token), nil, nil),
	)
}

func (g *group) setRegistration(r *store.Registration) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	g.records = append(g.records, r)
	return g.batch.Set(textKey(prefixToken, r.Token), value, nil)
}

// Unregister marks tokens as unregistered.
func (s *Store) Unregister(ctx context.Context, now time.Time, tokens ...string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	err := s.committer.do(ctx, newChange(func(g *group) error {
		for _, token := range tokens {
			if err := g.unregister(token, now); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	return nil
}

func (g *group) unregister(token string, now time.Time) error {
	if err := g.flush(); err != nil {
		return err
	}
	old, err := g.s.readRegistration(token)
	if err != nil {
		return err
	}
	changed := store.Unregister([]*store.Registration{old}, now, token)
	if len(changed) == 0 {
		return nil
	}
	if err := errors.Join(g.setRegistration(changed[0]), g.pass(old, nil)); err != nil {
		return err
	}
	if err := g.passGroups(old, ""); err != nil {
		return err
	}
	slot := textKey(prefixSlot, old.Slot())
	newest, found, err := g.s.get(slot)
	if err != nil || !found || string(newest) != token {
		return err
	}
	return g.batch.Delete(slot, nil)
}

// ForgetRegistrations implements store.Forgetter.
func (s *Store) ForgetRegistrations(ctx context.Context, tokens ...string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	err := s.committer.do(ctx, newChange(func(g *group) error {
		if err := g.flush(); err != nil {
			return err
		}
		all := make([]*store.Registration, len(tokens))
		for i, token := range tokens {
			var err error
			if all[i], err = g.s.readRegistration(token); err != nil {
				return err
			}
		}
		for _, dead := range store.Forgettable(all) {
			if err := g.forget(dead); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		return fmt.Errorf("forget registrations: %w", err)
	}
	return nil
}
