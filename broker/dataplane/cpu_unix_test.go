//go:build unix

package dataplane

import (
	"syscall"
	"time"
)

// processCPU is the CPU time of this process, client and broker together: steadier than the rate on a busy machine.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
