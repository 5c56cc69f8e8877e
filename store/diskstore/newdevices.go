package diskstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

var _ store.NewDevices = (*Store)(nil)

// A newcomer has two keys: one to find its note, and one that keeps the notes in order. A store
// that was written before there were notes has none, so its devices stay.

func newcomerKey(device uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixNewcomer}, device)
}

// newcomersKey returns the key of a note in the order; since is in milliseconds.
func newcomersKey(since, device uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{prefixNewcomers}, since), device)
}

const newcomersKeyLen = 1 + 8 + 8

// newDevices holds the devices that have a note, because nearly every login is of another device. A
// read of the database costs a login more than a hundredth of its time.
type newDevices struct {
	mu      sync.Mutex
	devices map[uint64]struct{}
	partial bool // devices of the database may be missing
}

// maxNewDevices is the maximum number of devices in newDevices. With more notes than that, every
// login reads the database.
const maxNewDevices = 1 << 16

// load reads the devices from a database that nothing writes to.
func (n *newDevices) load(db *pebble.DB) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.devices, n.partial = map[uint64]struct{}{}, false
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixNewcomer}, UpperBound: []byte{prefixNewcomer + 1}})
	if err != nil {
		return err
	}
	for it.First(); it.Valid() && !n.partial; it.Next() {
		if key := it.Key(); len(key) == 1+8 {
			n.insert(binary.BigEndian.Uint64(key[1:]))
		}
	}
	err = errors.Join(it.Error(), it.Close())
	if pebble.IsCorruptionError(err) {
		n.partial, err = true, nil // the damage is reported where it is met again
	}
	return err
}

// insert adds a device if there is room. The caller must hold n.mu.
func (n *newDevices) insert(device uint64) {
	if len(n.devices) >= maxNewDevices {
		n.partial = true
		return
	}
	n.devices[device] = struct{}{}
}

func (n *newDevices) add(device uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.insert(device)
}

func (n *newDevices) remove(device uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.devices, device)
}

// may reports whether a device may have a note.
func (n *newDevices) may(device uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, has := n.devices[device]
	return has || n.partial
}

// AddNewDevice implements store.NewDevices.
func (s *Store) AddNewDevice(ctx context.Context, device uint64, since time.Time) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	err := s.committer.do(ctx, newChange(func(g *group) error {
		if err := g.flush(); err != nil {
			return err
		}
		if _, found, err := s.getNumber(newcomerKey(device)); err != nil || found {
			return err
		}
		s.newDevices.add(device)
		ms := uint64(since.UnixMilli())
		return errors.Join(
			g.batch.Set(newcomerKey(device), number(ms), nil),
			g.batch.Set(newcomersKey(ms, device), nil, nil),
		)
	}))
	if err != nil {
		return fmt.Errorf("note newcomer %d: %w", device, err)
	}
	return nil
}

// RemoveNewDevice implements store.NewDevices. Nearly every device has no note left, and then
// nothing is written.
func (s *Store) RemoveNewDevice(ctx context.Context, device uint64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if !s.newDevices.may(device) {
		return nil
	}
	_, found, err := s.getNumber(newcomerKey(device))
	if err == nil && found {
		err = s.committer.do(ctx, newChange(func(g *group) error {
			if err := g.flush(); err != nil {
				return err
			}
			since, found, err := s.getNumber(newcomerKey(device))
			if err != nil || !found {
				return err
			}
			return g.dropNewcomer(since, device)
		}))
	}
	if err != nil {
		return fmt.Errorf("take back the note of newcomer %d: %w", device, err)
	}
	return nil
}

func (g *group) dropNewcomer(since, device uint64) error {
	g.s.newDevices.remove(device)
	return errors.Join(
		g.batch.Delete(newcomerKey(device), nil),
		g.batch.Delete(newcomersKey(since, device), nil),
	)
}

// ForgetNewDevices implements store.NewDevices.
func (s *Store) ForgetNewDevices(ctx context.Context, before time.Time, max int) (forgotten []*store.Registration, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if some, err := s.newcomersBefore(uint64(before.UnixMilli()), 1); err != nil || len(some) == 0 {
		return nil, err // most calls have nothing to do
	}
	err = s.committer.do(ctx, newChange(func(g *group) error {
		if err := g.flush(); err != nil {
			return err
		}
		notes, err := s.newcomersBefore(uint64(before.UnixMilli()), max)
		if err != nil {
			return err
		}
		for _, n := range notes {
			all, err := s.readDevice(n.device)
			if err != nil {
				return err
			}
			for _, r := range all {
				if err := g.forget(r); err != nil {
					return err
				}
			}
			if err := errors.Join(g.deleteChannels(n.device), g.dropNewcomer(n.since, n.device)); err != nil {
				return err
			}
			forgotten = append(forgotten, all...)
		}
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("forget newcomers: %w", err)
	}
	return forgotten, nil
}

// newcomer is a note; since is in milliseconds.
type newcomer struct{ since, device uint64 }

func (s *Store) newcomersBefore(before uint64, max int) (notes []newcomer, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixNewcomers}, UpperBound: newcomersKey(before, 0)})
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid() && len(notes) < max; it.Next() {
		key := it.Key()
		if len(key) != newcomersKeyLen {
			return nil, errors.Join(fmt.Errorf("key %q: %w", key, errDamaged), it.Close())
		}
		notes = append(notes, newcomer{binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[1+8:])})
	}
	return notes, errors.Join(it.Error(), it.Close())
}

// forget removes a registration from the store, its subscriptions, and its slot if it is the newest
// there.
func (g *group) forget(r *store.Registration) error {
	ids, err := g.groupsOf(r.Place())
	if err == nil && len(ids) > 0 {
		err = g.flush() // another registration that is forgotten may be in the same group
	}
	if err != nil {
		return err
	}
	g.forgot = append(g.forgot, r.Token)
	slot := textKey(prefixSlot, r.Slot())
	newest, found, err := g.s.get(slot)
	if err == nil && found && string(newest) == r.Token {
		err = g.batch.Delete(slot, nil)
	}
	return errors.Join(
		err,
		g.pass(r, nil),
		g.batch.Delete(textKey(prefixToken, r.Token), nil),
		g.batch.Delete(deviceKey(r.Device, r.Token), nil),
		g.passGroups(r, ""),
	)
}
