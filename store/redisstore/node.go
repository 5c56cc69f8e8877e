package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/openccs/openccs/store"
)

var _ store.Coordinator = (*Store)(nil)

// nodeLetters is the length of a node's ID: 60 bits, so that none is used twice.
const nodeLetters = 12

// identity is this process as a node. It does not change; Enter replaces it.
type identity struct {
	node    store.NodeID
	waiting func(k store.Key, n store.NodeID) // nil before Enter: this process is not a node
}

func newIdentity(waiting func(store.Key, store.NodeID)) *identity {
	return &identity{store.NodeID(rand.Text()[:nodeLetters]), waiting}
}

// Enter implements store.Membership.
func (s *Store) Enter(waiting func(k store.Key, n store.NodeID)) store.NodeID {
	me := newIdentity(waiting)
	s.identity.Store(me)
	s.forgetLeases()
	return me.node
}

// node returns the ID of this process.
func (s *Store) node() store.NodeID { return s.identity.Load().node }

// entered reports whether this process is a node.
func (s *Store) entered() bool { return s.identity.Load().waiting != nil }

// owner returns the name of a lease in Redis. It includes the node, to distinguish the leases of
// different nodes.
func (s *Store) owner(l store.Lease) string {
	return string(s.node()) + "/" + strconv.FormatUint(uint64(l), 10)
}

// nodeOf returns the node of an owner's name.
func nodeOf(owner string) store.NodeID {
	node, _, _ := strings.Cut(owner, "/")
	return store.NodeID(node)
}

// parseOwner parses an owner's name.
func parseOwner(name string) store.Owner {
	_, number, _ := strings.Cut(name, "/")
	lease, _ := strconv.ParseUint(number, 10, 64)
	return store.Owner{Node: nodeOf(name), Lease: store.Lease(lease)}
}

// leave releases all leases and removes this node from the live ones. If a lease cannot be
// released, the node stays, so that the others declare it dead and take over its queues.
func (s *Store) leave(ctx context.Context) error {
	err := s.releaseAll(ctx)
	if err != nil || !s.entered() {
		return err
	}
	return s.rdb.HDel(ctx, s.key(nodesTag, "live"), string(s.node())).Err()
}

// tellOwners reports that a queue has more entries, once for each of its owners as listed by Redis.
func (s *Store) tellOwners(k store.Key, owners any) {
	names, _ := owners.(string)
	waiting := s.identity.Load().waiting
	if names == "" || waiting == nil {
		return
	}
	for name := range strings.FieldsSeq(names) {
		waiting(k, nodeOf(name))
	}
}

// requireNoOtherNode returns store.ErrLocked if another node is alive. A killed node counts as
// alive for two heartbeats.
func (s *Store) requireNoOtherNode(ctx context.Context) error {
	m, err := s.Members(ctx)
	if err != nil {
		return err
	}
	others := 0
	for node, seen := range m.Live {
		if node != s.node() && m.Now.Sub(seen) <= 2*s.opts.Heartbeat {
			others++
		}
	}
	if others > 0 {
		return fmt.Errorf("%w: %d servers use this Redis; stop them, or wait until one that was killed counts as dead", store.ErrLocked, others)
	}
	return nil
}

var errReply = errors.New("unexpected reply")
