//go:build !unix

package eagerconn

import "syscall"

// parkedSize is what is read while nobody knows when something will come. It is all that a wait brings here, so that it
// has room for some small records.
const parkedSize = 4 << 10

// readNow reads nothing where the system cannot do so without waiting: what there is comes with the next wait.
func readNow(syscall.RawConn, []byte) (int, error) { return 0, nil }
