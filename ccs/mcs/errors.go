package mcs

import "errors"

// These are the kinds of FrameError. Test for them with errors.Is.
var (
	// ErrTooBig means that the announced size of a frame is over the Reader's limit.
	ErrTooBig = errors.New("frame too big")
	// ErrBadFrame means bytes that are not a frame, or a payload that is not a message.
	ErrBadFrame = errors.New("bad frame")
)

// FrameError describes a fault in a frame. Nothing after such a frame can be read.
type FrameError struct {
	Kind   error // ErrTooBig or ErrBadFrame
	Reason string
}

// Error returns the kind and the reason.
func (e *FrameError) Error() string { return e.Kind.Error() + ": " + e.Reason }

// Unwrap returns the kind.
func (e *FrameError) Unwrap() error { return e.Kind }

func badFrame(reason string) error { return &FrameError{Kind: ErrBadFrame, Reason: reason} }
