package ccsclient

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed answers a message on a connection that has ended or is being closed. A message in
	// flight may have arrived or not: send it again (CCS 4.3).
	ErrClosed = errors.New("ccsclient: connection closed")

	// ErrDraining refuses a message on a connection that the server is about to close. Send it
	// over another connection, and keep this one until the server ends it (CCS 3.7).
	ErrDraining = errors.New("ccsclient: connection is draining, send on another one")

	// ErrDuplicate refuses a message whose message_id is already in flight, because the two
	// answers could not be told apart.
	ErrDuplicate = errors.New("ccsclient: message_id is in flight already")
)

// AuthError says that the server refused a login (CCS 1.6). The errors of Dial wrap it.
type AuthError struct {
	Condition string // not-authorized, temporary-auth-failure, ...
	Username  string // the user name as sent
}

// Temporary reports whether the same login may succeed later.
func (e *AuthError) Temporary() bool { return e.Condition == "temporary-auth-failure" }

func (e *AuthError) Error() string {
	hint := "see the server's log for the reason"
	switch e.Condition {
	case "not-authorized":
		hint = "check the sender ID, and that the key is one of this sender and not disabled"
	case "temporary-auth-failure":
		hint = "the server can't check keys now or has enough connections of this sender, try again later"
	case "invalid-mechanism":
		hint = "the server doesn't take PLAIN, is it a CCS?"
	}
	return fmt.Sprintf("login of %s refused: %s: %s", e.Username, e.Condition, hint)
}

// StreamError says why the server ended the stream (CCS 1.10). The errors of Dial and Err wrap it.
type StreamError struct {
	Condition string // policy-violation, system-shutdown, ...
	Text      string
}

func (e *StreamError) Error() string {
	if e.Text == "" {
		return "the server ended the stream: " + e.Condition
	}
	return fmt.Sprintf("the server ended the stream: %s: %s", e.Condition, e.Text)
}
