package mcs

import "errors"

// The kinds of FrameError; test with errors.Is.
var (
	// ErrTooBig means that a frame says to be larger than the Reader's limit.
	ErrTooBig = errors.New("frame too big")
	// ErrBadFrame means bytes that are no frame, or a payload that is no message.
	ErrBadFrame = errors.New("bad frame")
)

// FrameError tells what is wrong with a frame. Nothing behind such a frame can be read.
type FrameError struct {
	Kind   error // ErrTooBig or ErrBadFrame
	Reason string
}

// Error names the kind and the reason.
func (e *FrameError) Error() string { return e.Kind.Error() + ": " + e.Reason }

// Unwrap returns the kind.
func (e *FrameError) Unwrap() error { return e.Kind }

func badFrame(reason string) error { return &FrameError{Kind: ErrBadFrame, Reason: reason} }
