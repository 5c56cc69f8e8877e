package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
)

// fanouts holds the fan-outs in progress.
type fanouts struct {
	mu      sync.Mutex // taken before a shard's lock
	all     map[uint64]*heldFanout
	renewed map[store.Lease]time.Time // by the wall

	// Projects take turns: the one whose last turn is the longest ago is next.
	served map[string]uint64
	turn   uint64
}

type heldFanout struct {
	store.Fanout
	lease store.Lease // 0 for none
}

func (f *fanouts) init() {
	f.all = map[uint64]*heldFanout{}
	f.served = map[string]uint64{}
	f.renewed = map[store.Lease]time.Time{}
}

// lapsed reports whether the holder of a lease has been silent for too long.
func (f *fanouts) lapsed(l store.Lease) bool {
	return l == 0 || time.Since(f.renewed[l]) > store.FanoutLease
}

// BeginFanouts keeps fan-outs.
func (s *Store) BeginFanouts(ctx context.Context, batch []*store.Fanout, max int, _ time.Time) ([]bool, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	f := &s.fanouts
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := make([]bool, len(batch))
	for i, o := range batch {
		n := 0
		for _, other := range f.all {
			if other.Sender == o.Sender {
				n++
			}
		}
		if n >= max {
			continue
		}
		if f.all[o.ID] != nil {
			return nil, fmt.Errorf("fan-out %d: %w", o.ID, store.ErrExists)
		}
		kept[i] = true
		h := &heldFanout{Fanout: *o}
		h.Body = slices.Clone(o.Body)
		f.all[o.ID] = h
	}
	return kept, nil
}

// ClaimFanouts gives free fan-outs to a lease.
func (s *Store) ClaimFanouts(ctx context.Context, l store.Lease, max int) (claimed []*store.Fanout, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	f := &s.fanouts
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewed[l] = time.Now()
	for len(claimed) < max {
		var first *heldFanout
		for _, h := range f.sorted("") {
			if f.lapsed(h.lease) && (first == nil || f.served[h.Sender] < f.served[first.Sender]) {
				first = h
			}
		}
		if first == nil {
			break
		}
		first.lease = l
		f.turn++
		f.served[first.Sender] = f.turn
		c := first.Fanout
		c.Body = slices.Clone(first.Body)
		claimed = append(claimed, &c)
	}
	return claimed, nil
}

// sorted lists the fan-outs of a sender, or of all for "". The caller must hold f.mu.
func (f *fanouts) sorted(sender string) (all []*heldFanout) {
	for _, h := range f.all {
		if sender == "" || h.Sender == sender {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b *heldFanout) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// CopyFanout puts copies.
func (s *Store) CopyFanout(ctx context.Context, l store.Lease, o *store.Fanout, copies []store.Entry, _ []store.Place, done bool, now time.Time) ([]store.Outcome, error) {
	return s.copyFanout(ctx, l, o, done, func() ([]store.Outcome, error) { return s.Put(ctx, copies, now) })
}

// copyFanout puts copies with a function.
func (s *Store) copyFanout(ctx context.Context, l store.Lease, o *store.Fanout, done bool, put func() ([]store.Outcome, error)) ([]store.Outcome, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	f := &s.fanouts
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.all[o.ID]
	if h == nil || h.lease != l {
		return nil, fmt.Errorf("fan-out %d: %w", o.ID, store.ErrTakenOver)
	}
	f.renewed[l] = time.Now()
	outcomes, err := put()
	if err != nil {
		return nil, err
	}
	h.After, h.Copied, h.Dropped = o.After, o.Copied, o.Dropped
	if done {
		delete(f.all, o.ID)
		if len(f.sorted(h.Sender)) == 0 {
			delete(f.served, h.Sender)
		}
	}
	return outcomes, nil
}

// RenewFanouts keeps a lease from lapsing.
func (s *Store) RenewFanouts(ctx context.Context, l store.Lease) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.fanouts.mu.Lock()
	defer s.fanouts.mu.Unlock()
	s.fanouts.renewed[l] = time.Now()
	return nil
}

// ReleaseFanouts gives fan-outs back.
func (s *Store) ReleaseFanouts(ctx context.Context, l store.Lease, ids ...uint64) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.fanouts.mu.Lock()
	defer s.fanouts.mu.Unlock()
	for id, h := range s.fanouts.all {
		if h.lease == l && (len(ids) == 0 || slices.Contains(ids, id)) {
			h.lease = 0
		}
	}
	if len(ids) == 0 {
		delete(s.fanouts.renewed, l)
	}
	return nil
}

// Fanouts lists fan-outs in progress.
func (s *Store) Fanouts(ctx context.Context, sender string) (all []*store.Fanout, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.fanouts.mu.Lock()
	defer s.fanouts.mu.Unlock()
	for _, h := range s.fanouts.sorted(sender) {
		c := h.Fanout
		c.Body = nil
		all = append(all, &c)
	}
	return all, nil
}

func (f *fanouts) list(all *store.Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.sorted("") {
		c := h.Fanout
		all.Fanouts = append(all.Fanouts, &c)
	}
}

func (f *fanouts) restore(all []*store.Fanout) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range all {
		if f.all[o.ID] == nil {
			f.all[o.ID] = &heldFanout{Fanout: *o}
		}
	}
}
