package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// What tests may look at.
var (
	New                = newStore
	ErrTakenOver       = errTakenOver
	DecodeRegistration = decodeRegistration
	EncodeRegistration = encodeRegistration
	ErrReplicas        = errReplicas
)

// ForgetProject is what another node's change does.
func (s *Store) ForgetProject(sender string) { s.projects.Forget(sender) }

func (s *Store) Prefix() string                        { return s.prefix }
func (s *Store) Node() string                          { return s.node() }
func (s *Store) Client() redis.UniversalClient         { return s.rdb }
func (s *Store) Owner(l store.Lease) string            { return s.owner(l) }
func (s *Store) KeyOf(k store.Key, what string) string { return s.key(k.String(), what) }
func (s *Store) NotesKey() string                      { return s.notesKey(s.node()) }
func (s *Store) SetHint(f func(store.Key, string))     { s.hint = f }

func (s *Store) Reap(ctx context.Context, k store.Key, node string, back time.Duration) (bool, error) {
	return s.reap(ctx, k, node, back)
}

// DropNews has what this node tells the others get lost.
func (s *Store) DropNews() { s.hint = func(store.Key, string) {} }

// StopBeating has the others take this node for dead. It neither looks at its queues any more.
func (s *Store) StopBeating() {
	s.stop()
	s.loops.Wait()
}

// Beat is one heartbeat.
func (s *Store) Beat(ctx context.Context) { s.beat(ctx) }

// Quit is the first half of Detach.
func (s *Store) Quit(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error {
	return s.quit(ctx, k, l, back)
}
