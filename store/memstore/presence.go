package memstore

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/openccs/openccs/store"
)

// presence holds the queues that have a session. A memory store outlives no process, but it may
// outlive the router that used it.
type presence struct {
	mu   sync.Mutex
	keys map[store.Key]struct{}
}

var _ store.Presence = (*Store)(nil)

// SetPresent implements store.Presence.
func (s *Store) SetPresent(ctx context.Context, k store.Key, present bool) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	if present {
		s.presence.keys[k] = struct{}{}
	} else {
		delete(s.presence.keys, k)
	}
	return nil
}

// Present implements store.Presence.
func (s *Store) Present(ctx context.Context) ([]store.Key, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	return slices.Collect(maps.Keys(s.presence.keys)), nil
}
