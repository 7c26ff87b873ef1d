//go:build unix && !linux

package e2e

import "syscall"

func attr() *syscall.SysProcAttr { return nil }
