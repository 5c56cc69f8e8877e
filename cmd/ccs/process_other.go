//go:build !unix

package main

import "os"

// processExists reports whether a process has this ID: on Windows, FindProcess opens it.
func processExists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}
