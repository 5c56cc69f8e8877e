package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithTest makes the process end with the test binary, which runs no Cleanup when a test times
// out.
func dieWithTest(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
