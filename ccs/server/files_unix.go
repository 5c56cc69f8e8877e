//go:build unix

package server

import "syscall"

// openFiles returns how many files the process may have open, or 0 for no limit. Go raised the
// soft limit to the hard one when the process started.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > maxOpenFiles {
		return 0
	}
	return int(l.Cur)
}
