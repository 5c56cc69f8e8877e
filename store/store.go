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
)

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
