package store

import (
	"context"
	"errors"
)

// Sentinel errors. Stores wrap them; test with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrClosed   = errors.New("store is closed")
	ErrLocked   = errors.New("in use by another process")

	// ErrTakenOver says that the claiming lease does not have the queue, or has lost it (see
	// Coordinator).
	ErrTakenOver = errors.New("the queue belongs to another session")

	// ErrUnavailable says that the store cannot do this now, and that the caller should try again
	// later. The disk is full, or the server of the data does not answer. A store wraps it around
	// the cause. As after any error, an entry may or may not have been kept.
	ErrUnavailable = errors.New("store is unavailable")
)

// Unavailable reports whether a failed call may succeed later, here or on another connection. The
// cause is ErrUnavailable, the end of the store (the server is stopping) or the end of the call's
// context.
func Unavailable(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Breakable is an optional ability of a store: it can fail in a way that only a new process
// repairs.
type Breakable interface {
	Health
	// Broken returns a channel that is closed when that has happened. Then Health says why, and
	// calls fail.
	Broken() <-chan struct{}
}

// Health is an optional ability of a store: it says whether the store can work now.
type Health interface {
	// Health returns nil, or an error that says why calls are refused. The error wraps
	// ErrUnavailable and reads as a reason for an operator. Health returns at once, from known
	// state; it uses neither disk nor network.
	Health() error
}

// Store keeps all data of ccs.
type Store interface {
	Queue
	Registrations
	Topics
	Groups
	Fanouts
	Projects
	OAuth
	Apps
	Channels
	DailyCounts
	Secrets
	// Close flushes and frees everything. Running calls end with ErrClosed or as if the store were
	// still open.
	Close() error
}

// Secrets keeps the server's own random keys.
type Secrets interface {
	// Secret returns the secret of that name. It keeps fresh as the secret if there was none. Two
	// callers at once get the same.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)
}
