//go:build !unix

package load

import "time"

// ownCPU returns 0, because the CPU time is not known here.
func ownCPU() time.Duration { return 0 }
