package store

import (
	"context"
	"time"
)

// Newcomers is an optional ability of a store: it knows which devices have registered and never had
// a session, so that those can be forgotten.
type Newcomers interface {
	// AddNewcomer notes a device that is about to register for the first time. A noted device keeps
	// its time.
	AddNewcomer(ctx context.Context, device uint64, since time.Time) error
	// RemoveNewcomer removes the note, because the device has a session. A missing note is no
	// error.
	RemoveNewcomer(ctx context.Context, device uint64) error
	// ForgetNewcomers forgets the registrations, living ones too, of devices that were noted before
	// a time, and returns them. It looks at no more than max devices, the oldest first. For a
	// device that has a session on any node it only removes the note.
	ForgetNewcomers(ctx context.Context, before time.Time, max int) ([]*Registration, error)
}
