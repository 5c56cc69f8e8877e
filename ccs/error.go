package ccs

import "errors"

// Errors of logins, and reasons to close a session.
var (
	ErrTakenOver     = errors.New("a newer login took over") // DEV 6
	ErrLeaseLost     = errors.New("this node was declared dead by its peers")
	ErrShuttingDown  = errors.New("the server is shutting down")
	ErrDetached      = errors.New("the session has ended")
	ErrUnknownDevice = errors.New("unknown device or wrong security token")
	ErrUnknownSender = errors.New("unknown sender ID")
	ErrWrongKey      = errors.New("the key is not one of the sender's")
	ErrWrongAddress  = errors.New("the key is not accepted from this address")
	ErrUnauthorized  = errors.New("no good credential")
	ErrInvalidSender = errors.New("not a sender ID or authorised entity")

	ErrInvalidTopic    = errors.New("not the name of a topic")
	ErrTooManyTopics   = errors.New("the registration has too many topics")
	ErrNotMember       = errors.New("the app on the device has no such registration")
	ErrInvalidChannel  = errors.New("not a user and an app of GCM for Chrome")
	ErrNoOwner         = errors.New("no project owns the app")
	ErrTooManyChannels = errors.New("the device has too many channels, or the channel too many devices")

	ErrTooManyRegistrations = errors.New("the device has too many registrations")
	ErrTooManyDevices       = errors.New("too many new devices of the address have not connected")
)
