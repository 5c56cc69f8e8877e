package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/openccs/openccs/store"
)

const (
	// releasedFor is how long a dead node that wakes up can learn that it was declared dead.
	releasedFor = 24 * time.Hour
	maxUpdates  = 10 // tries to change the membership while other nodes change it too
)

// errContended says that other nodes changed the membership again and again.
var errContended = errors.New("other nodes change the membership all the time")

// update changes the membership. If another node is faster, update calls change again with the new
// membership.
func (c *Cluster) update(ctx context.Context, change func(m *store.Members)) error {
	for range maxUpdates {
		from, err := c.store.Members(ctx)
		if err != nil {
			return err
		}
		to := from.Clone()
		change(to)
		if ok, err := c.store.UpdateMembers(ctx, from, to); err != nil || ok {
			return err
		}
	}
	return errContended
}

// recordHeartbeat enters a heartbeat of self into the membership. It reports whether self is still
// alive to the others, and which dead nodes self must take over. heartbeat is the time of two
// heartbeats.
func recordHeartbeat(m *store.Members, self store.NodeID, heartbeat time.Duration) (alive bool, takeOver []store.NodeID) {
	_, dead := m.Dead[self]
	_, released := m.Released[self]
	alive = !dead && !released
	declareDead(m, self, heartbeat)
	if alive {
		m.Live[self] = m.Now
	}
	for node, until := range m.Dead {
		if !until.After(m.Now) {
			m.Dead[node] = m.Now.Add(2 * heartbeat) // then it is the task of another node
			takeOver = append(takeOver, node)
		}
	}
	for node, at := range m.Released {
		if m.Now.Sub(at) > releasedFor {
			delete(m.Released, node)
		}
	}
	return alive, takeOver
}

// declareDead moves the nodes that have sent no heartbeat for too long. If that is all of them, the
// store was unavailable or stood still, and each node gets as much time again.
func declareDead(m *store.Members, self store.NodeID, heartbeat time.Duration) {
	var last time.Time
	for _, seen := range m.Live {
		if seen.After(last) {
			last = seen
		}
	}
	storeStoodStill := m.Now.Sub(last) > heartbeat
	for node, seen := range m.Live {
		switch {
		case node == self:
		case storeStoodStill:
			m.Live[node] = m.Now
		case m.Now.Sub(seen) > heartbeat*3/2:
			delete(m.Live, node)
			m.Dead[node] = time.UnixMilli(0) // not the task of any node yet
		}
	}
}

// release notes that all queues of a dead node were taken over.
func release(m *store.Members, node store.NodeID) {
	delete(m.Dead, node)
	m.Released[node] = m.Now
}
