package store

import (
	"context"
	"time"
)

// Newcomers is an optional ability of a store: to know which devices have registered and have never had a session, so
// that those can be forgotten.
type Newcomers interface {
	// AddNewcomer notes a device that is about to register for the first time. One that is noted keeps its time.
	AddNewcomer(ctx context.Context, device uint64, since time.Time) error
	// RemoveNewcomer takes the note back, because the device has a session. That there is none is no error.
	RemoveNewcomer(ctx context.Context, device uint64) error
	// ForgetNewcomers forgets the registrations, living ones too, of devices that were noted before a time, and
	// returns them. It looks at no more than max devices, the oldest first. A device that has a session on any node is
	// only taken out of the notes.
	ForgetNewcomers(ctx context.Context, before time.Time, max int) ([]*Registration, error)
}
