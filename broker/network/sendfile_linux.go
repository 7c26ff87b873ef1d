package network

import (
	"io"
	"os"
	"syscall"
)

// sendfile is the state of a sendfile call with an explicit offset, which net.TCPConn.ReadFrom cannot do: it moves the
// file's own position, and two readers of one segment share that.
type sendfile struct {
	toSocket func(fd uintptr) bool
	fromFile func(fd uintptr)
	file     int
	off      int64
	n        int64
	err      error
}

// sendfile sends n bytes of f from off on. ok is false, without an error, when nothing was sent and the caller should copy.
func (o *output) sendfile(f *os.File, off, n int64) (ok bool, err error) {
	s := &o.sending
	if s.toSocket == nil {
		s.toSocket, s.fromFile = o.trySendfile, o.sendfileFrom
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	s.off, s.n, s.err = off, n, nil
	// Control holds the descriptor: it cannot be closed, and its number given to another file, while we use it.
	if err := raw.Control(s.fromFile); err != nil {
		return false, err
	}
	if s.err != nil && s.n == n && (s.err == syscall.EINVAL || s.err == syscall.ENOSYS) {
		return false, nil // a file system without sendfile
	}
	return true, s.err
}

func (o *output) sendfileFrom(fd uintptr) {
	o.sending.file = int(fd)
	if err := o.wrote(o.c.raw.Write(o.sending.toSocket)); err != nil {
		o.sending.err = err
	}
}

func (o *output) trySendfile(fd uintptr) bool {
	s := &o.sending
	for s.n > 0 {
		m, err := syscall.Sendfile(int(fd), s.file, &s.off, int(min(s.n, pieceMax)))
		if m > 0 {
			s.n -= int64(m)
		}
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			o.arm()
			return false
		case err != nil:
			s.err = err
			return true
		case m == 0:
			s.err = io.ErrUnexpectedEOF
			return true
		}
	}
	return true
}
