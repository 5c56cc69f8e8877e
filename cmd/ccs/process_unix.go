//go:build unix

package main

import "syscall"

// processExists reports whether a process has this ID. A process of another user exists too.
func processExists(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }
