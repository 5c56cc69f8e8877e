package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// Internals for tests.
var (
	New                = newStore
	DecodeRegistration = decodeRegistration
	EncodeRegistration = encodeRegistration
	ErrReplicas        = transport.ErrReplicas
	AppendRecord       = appendRecord
	LuaConstants       = luaConstants
	WithConstants      = withConstants
)

// ForgetProject has the effect of another node's change.
func (s *Store) ForgetProject(sender string) { s.projects.Forget(sender) }

// Sources returns the scripts as Redis gets them, by name.
func Sources() map[string]string {
	all := map[string]string{}
	for _, s := range scripts.All() {
		all[s.Name()] = s.Source()
	}
	return all
}

func (s *Store) Prefix() string                        { return s.prefix }
func (s *Store) Node() store.NodeID                    { return s.node() }
func (s *Store) Client() redis.UniversalClient         { return s.rdb }
func (s *Store) Owner(l store.Lease) string            { return s.owner(l) }
func (s *Store) KeyOf(k store.Key, what string) string { return s.key(k.String(), what) }
func (s *Store) NotesKey() string                      { return s.nodeQueuesKey(s.node()) }

// OnWaiting sets the function to call when a queue has more entries.
func (s *Store) OnWaiting(f func(store.Key, store.NodeID)) {
	s.identity.Store(&identity{s.node(), f})
}

// DetachStep is the first half of DetachQueue.
func (s *Store) DetachStep(ctx context.Context, a store.Attachment, back time.Duration) error {
	return s.detach(ctx, a, back)
}
