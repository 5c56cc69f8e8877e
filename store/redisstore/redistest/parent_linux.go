package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithTest has the process killed with the test binary, which runs no Cleanup when a test times out.
func dieWithTest(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
