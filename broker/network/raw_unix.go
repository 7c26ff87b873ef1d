//go:build unix

package network

import (
	"os"
	"syscall"
	"time"
)

// initRaw makes the connection use the socket's system calls under the runtime's poller. Against net.Conn's methods that
// saves a buffer per waiting connection (the read is tried with a pooled one, which goes back if there is nothing), and a
// timer per write (the deadline is armed only when the socket is full).
func (c *conn) initRaw() {
	raw, err := c.nc.SyscallConn()
	if err != nil {
		return // closed already; the portable read will say so
	}
	c.raw = raw
	c.reading.callback = c.tryRead
	c.out.writing.callback = c.out.tryWrite
}

// fillRaw waits for bytes behind in.b[:w].
func (c *conn) fillRaw() (int, error) {
	c.reading.n, c.reading.err = 0, nil
	if err := c.raw.Read(c.reading.callback); err != nil {
		return 0, err
	}
	return c.reading.n, c.reading.err
}

// tryRead reads without waiting; false means wait until readable and call again.
func (c *conn) tryRead(fd uintptr) bool {
	c.unpark()
	if c.in == nil {
		c.in, c.r, c.w = getBuffer(bufferBase), 0, 0
	} else if len(c.in.b) < bufferBase {
		c.moveIn(bufferBase)
	}
	for {
		n, err := syscall.Read(int(fd), c.in.b[c.w:])
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if c.reading.err = c.park(); c.reading.err != nil {
				return true
			}
			return false
		case nil:
			c.reading.n = n
		default:
			c.reading.err = os.NewSyscallError("read", err)
		}
		return true
	}
}

// writeRaw writes all of b.
func (o *output) writeRaw(b []byte) error {
	o.writing.b = b
	err := o.c.raw.Write(o.writing.callback)
	return o.wrote(err)
}

// wrote ends a raw write: takes the deadline back if it was armed.
func (o *output) wrote(err error) error {
	o.writing.b = nil
	if o.writing.armed {
		o.writing.armed = false
		_ = o.c.nc.SetWriteDeadline(time.Time{}) // fails only on a closed connection
	}
	if err == nil {
		err = o.writing.err
	}
	o.writing.err = nil
	return err
}

// tryWrite writes what the socket takes; false means wait until writable and call again.
func (o *output) tryWrite(fd uintptr) bool {
	w := &o.writing
	for len(w.b) > 0 {
		n, err := syscall.Write(int(fd), w.b)
		if n > 0 {
			w.b = w.b[n:]
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			o.arm()
			return false
		default:
			w.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// arm sets the deadline for the next progress of a write.
func (o *output) arm() {
	o.writing.armed = true
	_ = o.c.nc.SetWriteDeadline(time.Now().Add(o.c.srv.cfg.RequestTimeout))
}
