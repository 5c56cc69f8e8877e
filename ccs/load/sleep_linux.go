package load

import (
	"syscall"
	"time"
)

// sleepPrecisely sleeps to within some 60 µs, which the runtime's timers don't.
func sleepPrecisely(d time.Duration) {
	spec := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&spec, nil) // an interrupted one is a shorter one, and the caller looks again
}
