//go:build !linux

package network

import "os"

type sendfile struct{}

func (o *output) sendfile(*os.File, int64, int64) (ok bool, err error) { return false, nil }
