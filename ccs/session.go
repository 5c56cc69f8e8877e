package ccs

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Session is a connection that empties a queue.
type Session interface {
	// Wake says that the mailbox may have more entries. It must not block. It returns false if the
	// window is full or the connection drains; then another session of the queue may claim. A
	// session that returned false claims again by itself as soon as it can.
	Wake() bool
	// Close ends the session, because of a takeover or a shutdown. It must not block.
	Close(reason error)
}

// SharedSession is a Session that shares its queue with others.
type SharedSession interface {
	Session
	// Room returns how many more messages the session would take now. It must not block.
	Room() int
}

// The reasons for which a session closes. They are names for events and metrics, and do not change.
const (
	ClosedByPeer    = "peer"       // the peer ended it
	ClosedLost      = "lost"       // the connection broke
	ClosedSilent    = "silent"     // the peer did not send what it had to in time
	ClosedSlow      = "slow"       // the peer does not read what is written
	ClosedProtocol  = "protocol"   // the peer broke a rule
	ClosedDrained   = "drained"    // the session drained and has nothing in flight
	ClosedShutdown  = "shutdown"   // the server stops
	ClosedTakenOver = "taken-over" // a newer login of the device took over
	ClosedLeaseLost = "lease-lost" // other nodes declared this one dead
	ClosedStore     = "store"      // the store cannot be used
	ClosedNoMemory  = "no-memory"  // the budget for messages is used up
	ClosedInternal  = "internal"   // any other error
)

// CloseReason returns the reason to close for a session that ended with err. A door calls it for
// errors that it does not map itself.
func CloseReason(err error) string {
	var network net.Error
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return ClosedByPeer
	case errors.Is(err, ErrShuttingDown):
		return ClosedShutdown
	case errors.Is(err, ErrTakenOver), errors.Is(err, store.ErrTakenOver):
		return ClosedTakenOver
	case errors.Is(err, ErrLeaseLost):
		return ClosedLeaseLost
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed):
		return ClosedStore
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ClosedLost
	case errors.As(err, &network):
		if network.Timeout() {
			return ClosedSilent
		}
		return ClosedLost
	}
	return ClosedInternal
}

// connected reports whether a device counts as connected: it is, or it was when the server stopped
// and may still come back.
func (r *Router) connected(k store.Key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.hubs[k] != nil {
		return true
	}
	_, expected := r.returning[k]
	return expected && time.Since(r.started) < r.returnGrace
}

// expireReturning marks the devices as away that have not come back yet.
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
		r.StoreFailed(r.log, "note presence", err, zap.Stringer("device", k), zap.Bool("connected", present))
	}
}
