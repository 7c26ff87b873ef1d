package coord

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"

	"ottla/coord/config"
)

// explain adds to an error of the disk what an operator can do about it, where the error itself does not say.
func explain(err error, c *config.Config) error {
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		return fmt.Errorf("the data directory cannot be used: %w. Give it to the user that runs the coordinator: sudo chown -R \"$USER\" %s", err, c.DataDir)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the disk is full, and nothing can be acknowledged: %w. Make room on the disk of %s, then start again; nothing that was acknowledged is lost", err, dirs(c))
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the disk is read-only: %w. Look into the kernel's log (dmesg) for the cause, mount %s writable, then start again", err, dirs(c))
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("the disk failed: %w. Look into the kernel's log (dmesg) and at the disk of %s before you start again", err, dirs(c))
	}
	return err
}

func dirs(c *config.Config) string {
	if c.DataLogDir != "" && filepath.Clean(c.DataLogDir) != filepath.Clean(c.DataDir) {
		return c.DataDir + " and " + c.DataLogDir
	}
	return c.DataDir
}

// explainListen says why a port cannot be had; key is the one that sets it.
func explainListen(err error, key string, port int, address string) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE) || isWindowsInUse(err):
		return fmt.Errorf("port %d is taken by another program: %w. Perhaps a ZooKeeper or a coordinator is running (echo srvr | nc localhost %d shows it); "+
			"stop it, or set %s to another port", port, err, port, key)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("port %d is not for this user: %w. Ports below 1024 belong to root; set %s to a higher one", port, err, key)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &dns):
		return fmt.Errorf("%s is not an address of this machine: %w. Set %sAddress to one that is, or leave it out for all", address, err, key)
	}
	return err
}

// isWindowsInUse knows WSAEADDRINUSE, which syscall does not map.
func isWindowsInUse(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno == 10048
}
