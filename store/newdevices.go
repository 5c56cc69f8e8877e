package store

import (
	"context"
	"time"
)

// NewDevices is an optional ability of a store: it knows which devices have registered and never
// had a session, so that those can be forgotten.
type NewDevices interface {
	// AddNewDevice notes a device that is about to register for the first time. A noted device
	// keeps its time.
	AddNewDevice(ctx context.Context, device uint64, since time.Time) error
	// RemoveNewDevice removes the note, because the device has a session. A missing note is no
	// error.
	RemoveNewDevice(ctx context.Context, device uint64) error
	// ForgetNewDevices forgets the registrations, living ones too, of devices that were noted
	// before a time, and returns them. It looks at no more than max devices, the oldest first. For
	// a device that has a session on any node it only removes the note.
	ForgetNewDevices(ctx context.Context, before time.Time, max int) ([]*Registration, error)
}
