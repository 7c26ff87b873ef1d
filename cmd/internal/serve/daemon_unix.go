//go:build unix

package serve

import "syscall"

// background makes a child that outlives the terminal.
func background() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
