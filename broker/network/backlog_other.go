//go:build !unix

package network

import "net"

// setBacklog leaves the system's own limit.
func setBacklog(*net.TCPListener, int) {}
