//go:build unix

package network

import (
	"net"
	"syscall"
)

// setBacklog changes how many connections the kernel keeps: listen on a socket that listens already does just that. Net always
// asks for as many as the system allows.
func setBacklog(ln *net.TCPListener, n int) {
	if raw, err := ln.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.Listen(int(fd), n) }) // as it was, if it fails
	}
}
