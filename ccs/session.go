package ccs

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Session is a connection that empties a queue.
type Session interface {
	// Wake says that the mailbox may have more. It never blocks. False means "not by me, not now": the
	// window is full or the connection drains, so that the next session of the queue may have it. A
	// session that refused claims again by itself as soon as it can.
	Wake() bool
	// Close ends the session: another took over, or the server shuts down. It never blocks.
	Close(reason error)
}

// SharedSession is a Session that shares its queue with others.
type SharedSession interface {
	Session
	// Room is how many more messages the session would take now. It never blocks.
	Room() int
}

// connected reports whether a device counts as connected: it is, or it was when the server stopped and
// has a moment to come back.
func (r *Router) connected(k store.Key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.hubs[k] != nil {
		return true
	}
	_, expected := r.returning[k]
	return expected && time.Since(r.started) < r.returnGrace
}

// expireReturning notes that the devices that are not back by now are away.
func (r *Router) expireReturning(ctx context.Context) {
	r.mu.Lock()
	expected := r.returning
	r.returning = make(map[store.Key]struct{})
	r.mu.Unlock()
	for k := range expected {
		r.setPresent(ctx, k, false)
	}
}

func (r *Router) setPresent(ctx context.Context, k store.Key, present bool) {
	p, ok := r.store.(store.Presence)
	if !ok {
		return
	}
	if err := p.SetPresent(ctx, k, present); err != nil {
		r.StoreFailed(r.log, "note presence", err, zap.Stringer("device", k), zap.Bool("present", present))
	}
}
