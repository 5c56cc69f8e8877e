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

	// ErrTakenOver says that the lease which claims does not have the queue, or has lost it (see Coordinator).
	ErrTakenOver = errors.New("the queue belongs to another session")

	// ErrUnavailable says that the store can not do this now, and that the caller shall try again later: the
	// disk is full, the server that keeps the data does not answer. A store wraps it around the cause. A call
	// that fails so has the same meaning as any that fails: an entry may or may not have been kept.
	ErrUnavailable = errors.New("store is unavailable")
)

// Unavailable reports whether a call that failed may succeed later, here or on another connection. Besides
// ErrUnavailable that is the end of the store (the server is stopping) and the end of the call's context.
func Unavailable(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Breakable is an optional ability of a store: to fail in a way that only a new process can mend.
type Breakable interface {
	Health
	// Broken is closed when that has happened. Health then says what, and calls fail.
	Broken() <-chan struct{}
}

// Health is an optional ability of a store: to say whether it can do its work now.
type Health interface {
	// Health returns nil, or why calls are refused: an error that wraps ErrUnavailable and reads as a reason for
	// an operator. It returns at once: it tells what the store knows and asks nobody, neither disk nor network.
	Health() error
}

// Store is everything that ccs remembers.
type Store interface {
	Queue
	Registrations
	Projects
	OAuth
	Secrets
	// Close flushes and gives everything back. Calls under way end with ErrClosed or as if the store
	// were still open.
	Close() error
}

// Secrets keeps the server's own random keys.
type Secrets interface {
	// Secret returns the secret of that name, which is fresh if there was none. Two callers at once
	// get the same.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)
}
