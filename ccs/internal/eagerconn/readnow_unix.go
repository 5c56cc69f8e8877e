//go:build unix

package eagerconn

import (
	"errors"
	"io"
	"syscall"
)

// parkedSize is the size of a read while the wait for the peer may be long, so that no buffer
// waits. An acknowledgement fits and costs one system call. After that many bytes there are nearly
// always more.
const parkedSize = 96

// readNow reads the available bytes without waiting. It returns 0 and no error if there are none.
func readNow(raw syscall.RawConn, p []byte) (n int, err error) {
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			if n, failed = syscall.Read(int(fd), p); !errors.Is(failed, syscall.EINTR) {
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(failed, syscall.EAGAIN):
		return 0, nil
	case failed != nil:
		return 0, failed
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}
