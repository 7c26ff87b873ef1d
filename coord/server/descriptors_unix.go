//go:build unix

package server

import (
	"os"
	"syscall"
)

// descriptors are how many files the process has open and may have open; -1 where that cannot be known.
func descriptors() (open, limit int64) {
	open, limit = -1, -1
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			open = int64(len(entries))
			break
		}
	}
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		limit = int64(r.Cur)
	}
	return open, limit
}
