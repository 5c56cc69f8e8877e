package diskstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/openccs/openccs/store"
)

// projectKeys says which project has a key. It is made from the projects at the first lookup, and
// the committer keeps it up to date from then on.
type projectKeys struct {
	mu      sync.RWMutex
	senders map[[sha256.Size]byte]string // nil before it was made
}

// sender returns the sender of a key. made is false if the index is not made yet.
func (k *projectKeys) sender(hash [sha256.Size]byte) (sender string, made bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.senders[hash], k.senders != nil
}

// change replaces the keys of a project. Either may be nil. Only the committer calls it.
func (k *projectKeys) change(before, after *store.Project) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.senders == nil {
		return
	}
	if before != nil {
		for i := range before.Keys {
			delete(k.senders, before.Keys[i].Hash)
		}
	}
	if after != nil {
		for i := range after.Keys {
			k.senders[after.Keys[i].Hash] = after.Sender
		}
	}
}

// ProjectByKey returns the project that has a key with this hash.
func (s *Store) ProjectByKey(ctx context.Context, hash [sha256.Size]byte) (*store.Project, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.projects.ByKey(hash,
		func() (string, error) { return s.senderOf(ctx, hash) },
		func(sender string) (*store.Project, error) { return s.readProject(textKey(prefixProject, sender)) },
	)
}

func (s *Store) senderOf(ctx context.Context, hash [sha256.Size]byte) (string, error) {
	sender, made := s.keys.sender(hash)
	if !made {
		if err := s.committer.do(ctx, newChange(s.indexKeys)); err != nil {
			return "", fmt.Errorf("index the keys of projects: %w", err)
		}
		sender, _ = s.keys.sender(hash)
	}
	if sender == "" {
		return "", fmt.Errorf("project by key: %w", store.ErrNotFound)
	}
	return sender, nil
}

// indexKeys makes the index, after all earlier changes.
func (s *Store) indexKeys(g *group) error {
	if err := g.flush(); err != nil {
		return err
	}
	all, err := s.allProjects()
	if err != nil {
		return err
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.senders = make(map[[sha256.Size]byte]string, len(all))
	for _, p := range all {
		for i := range p.Keys {
			s.keys.senders[p.Keys[i].Hash] = p.Sender
		}
	}
	return nil
}
