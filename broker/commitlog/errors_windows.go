package commitlog

import (
	"errors"

	"golang.org/x/sys/windows"
)

// Passes says whether a file call may work again later: the disk is full, or handles have run out.
func Passes(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES)
}
