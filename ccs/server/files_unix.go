//go:build unix

package server

import "syscall"

// openFiles is how many files the process may have open, 0 if there is no limit. Go has raised the soft limit to the
// hard one when the process started.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > maxOpenFiles {
		return 0
	}
	return int(l.Cur)
}
