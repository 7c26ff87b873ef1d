//go:build !windows

package commitlog

import (
	"errors"
	"syscall"
)

// Passes says whether a file call may work again later: the disk is full, or descriptors have run out.
func Passes(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
