package fs

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// iovMax is the most buffers that one pwritev takes (IOV_MAX).
const iovMax = 1024

// ignoringEINTR runs fn again for as long as a signal interrupts it.
func ignoringEINTR(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// control runs fn with the descriptor, which stays open meanwhile.
func (f *osFile) control(fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = ignoringEINTR(func() error { return fn(int(fd)) }) }); err != nil {
		return err
	}
	return ferr
}

func (f *osFile) Datasync() error { return f.control(unix.Fdatasync) }

func (f *osFile) Preallocate(size int64) error {
	err := f.control(func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return extend(f.File, size)
	}
	return err
}

func (f *osFile) WriteVAt(bufs [][]byte, off int64) (n int64, err error) {
	if len(bufs) == 1 {
		w, err := f.WriteAt(bufs[0], off)
		return int64(w), err
	}
	for len(bufs) > 0 {
		part := bufs[:min(len(bufs), iovMax)]
		want := 0
		for _, b := range part {
			want += len(b)
		}
		var w int
		if err := f.control(func(fd int) (err error) { w, err = unix.Pwritev(fd, part, off+n); return err }); err != nil {
			return n, err
		}
		n += int64(w)
		if w < want { // a short write: the rest one by one, which names the error
			if w == 0 {
				return n, io.ErrShortWrite
			}
			m, err := writeVSerial(f, after(part, w), off+n)
			n += m
			if err != nil {
				return n, err
			}
		}
		bufs = bufs[len(part):]
	}
	return n, nil
}

// after returns the buffers without their first n bytes.
func after(bufs [][]byte, n int) [][]byte {
	for i, b := range bufs {
		if n < len(b) {
			return append([][]byte{b[n:]}, bufs[i+1:]...)
		}
		n -= len(b)
	}
	return nil
}
