package load

import (
	"syscall"
	"time"
)

// sleepPrecisely sleeps more precisely than the runtime's timers do.
func sleepPrecisely(d time.Duration) {
	spec := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&spec, nil) // an interrupted sleep is shorter, and the caller checks
}
