//go:build !unix

package redistest

import "syscall"

// No process can be paused here: the system refuses to send these, and the test fails.
const (
	signalStop     = syscall.Signal(-1)
	signalContinue = syscall.Signal(-1)
)
