//go:build !unix

package eagerconn

import "syscall"

// readNow reads nothing where the system cannot do so without waiting: what there is comes with the next wait.
func readNow(syscall.RawConn, []byte) (int, error) { return 0, nil }
