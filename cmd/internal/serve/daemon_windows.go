package serve

import "syscall"

// detached is Windows' DETACHED_PROCESS: a child without this console.
const detached = 0x8

// background makes a child that outlives the terminal.
func background() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: detached | syscall.CREATE_NEW_PROCESS_GROUP}
}
