//go:build !unix

package redistest

import "syscall"

// On this system no process can be paused. It refuses to send these signals, and the test fails.
const (
	signalStop     = syscall.Signal(-1)
	signalContinue = syscall.Signal(-1)
)
