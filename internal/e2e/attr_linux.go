package e2e

import "syscall"

// attr makes the kernel end a child when the test run dies without its cleanups, as on a timeout of go test.
func attr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
