//go:build unix

package fs

import (
	"math"

	"golang.org/x/sys/unix"
)

// Space says how large the file system of a directory is, and how much of that can still be written, in bytes. It is a matter of the
// disk, not of what a simulated file system pretends to have.
func Space(dir string) (total, usable int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Bsize)
	return product(uint64(st.Blocks), block), product(uint64(st.Bavail), block), nil
}

func product(blocks, size uint64) int64 {
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(blocks * size)
}
