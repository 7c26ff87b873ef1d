package fs

import (
	"math"

	"golang.org/x/sys/windows"
)

// Space says how large the file system of a directory is, and how much of that can still be written, in bytes. It is a matter of the
// disk, not of what a simulated file system pretends to have.
func Space(dir string) (total, usable int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var free, all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, &all, nil); err != nil {
		return 0, 0, err
	}
	return int64(min(all, math.MaxInt64)), int64(min(free, math.MaxInt64)), nil
}
