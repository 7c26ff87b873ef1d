//go:build !unix

package server

// descriptors are how many files the process has open and may have open; -1 where that cannot be known.
func descriptors() (open, limit int64) { return -1, -1 }
