//go:build !unix

package eagerconn

import "syscall"

// parkedSize is the size of a read while the wait for the peer may be long. On this system it is
// all that a wait returns, so it has room for some small records.
const parkedSize = 4 << 10

// readNow reads nothing on a system that cannot read without waiting. The next wait returns the
// bytes.
func readNow(syscall.RawConn, []byte) (int, error) { return 0, nil }
