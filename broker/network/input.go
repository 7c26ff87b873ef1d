package network

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// rawRead is the state of a read through the raw connection (see fillRaw).
type rawRead struct {
	callback func(fd uintptr) bool
	n        int
	err      error
}

// fill waits for bytes and appends them to the buffer, which it makes room in first.
func (c *conn) fill() error {
	if err := c.room(); err != nil {
		return err
	}
	var n int
	var err error
	if c.raw != nil {
		n, err = c.fillRaw()
	} else {
		n, err = c.fillPortable()
	}
	c.since.Store(0)
	c.unpark()
	c.w += n
	if n == 0 && err == nil {
		err = io.EOF
	}
	if n > 0 {
		return nil // an error shows again
	}
	return err
}

// room makes room for reading behind what the buffer holds. A full buffer doubles, whatever the frame in it claims; what is
// beyond bufferBase is drawn from the budget. Up to readAhead a full buffer also doubles where moving its rest to the front
// would do: the client is faster than we are, and larger reads are fewer. For that nobody waits.
func (c *conn) room() error {
	if c.in == nil || c.w < len(c.in.b) {
		return nil
	}
	size := max(bufferBase, 2*len(c.in.b))
	more := int64(size) - bufferBase - c.drawn
	switch {
	case c.r > 0:
		if size > readAhead || !c.srv.budget.tryDraw(more) {
			c.w = copy(c.in.b, c.in.b[c.r:c.w])
			c.r = 0
			return nil
		}
	case more > 0:
		if !c.srv.budget.draw(c, more, c.isReserved(), c.dead) {
			return net.ErrClosed
		}
	}
	c.drawn += more
	c.moveIn(size)
	return nil
}

// isReserved says whether the request that is being read may use the reserve.
func (c *conn) isReserved() bool {
	return c.w-c.r >= routeBytes && c.srv.cfg.Reserved(int16(binary.BigEndian.Uint16(c.in.b[c.r+frameHeader:])))
}

// moveIn moves what the buffer holds into another one of at least size bytes. Memory that this frees goes back to the budget.
func (c *conn) moveIn(size int) {
	b := getBuffer(size)
	n := copy(b.b, c.in.b[c.r:c.w])
	c.in.put()
	c.in, c.r, c.w = b, 0, n
	if over := c.drawn - max(0, int64(len(b.b))-bufferBase); over > 0 {
		c.drawn -= over
		c.srv.budget.repay(c, over)
	}
}

// releaseIn gives the buffer back.
func (c *conn) releaseIn() {
	if c.in != nil {
		c.in.put()
		c.in, c.r, c.w = nil, 0, 0
	}
	c.srv.budget.repay(c, c.drawn)
	c.drawn = 0
}

// park is called when there is nothing to read now: it lets go of the memory that the wait does not need.
func (c *conn) park() error {
	c.trim()
	return c.wait(c.in != nil)
}

// unpark ends wait.
func (c *conn) unpark() {
	if c.parked > 0 {
		c.srv.budget.letGo(c.parked)
		c.parked = 0
	}
}

// trim lets go of memory that holds nothing.
func (c *conn) trim() {
	if c.in == nil {
		return
	}
	switch held := c.w - c.r; {
	case held == 0:
		c.releaseIn()
	case held <= len(c.in.b)/4:
		c.moveIn(held + 1) // room for a byte at least: a read of none would look like the end
	}
}

var errHoarded = errors.New("too much memory is held by requests that were begun and not ended")

// wait notes for the reaper that the connection waits for bytes, and counts those that it holds. It fails when that is too much.
func (c *conn) wait(partial bool) error {
	if partial {
		c.parked = min(int64(len(c.in.b)), bufferBase) // what is beyond is drawn
		if !c.srv.budget.hold(c, c.parked) {
			return errHoarded
		}
	}
	c.partial.Store(partial)
	c.since.Store(int64(c.srv.Elapsed()))
	return nil
}

// fillPortable reads where there are no raw calls. Without a buffer it waits for a length word first.
func (c *conn) fillPortable() (int, error) {
	if c.r == c.w {
		c.releaseIn()
	}
	if err := c.wait(c.in != nil); err != nil {
		return 0, err
	}
	if c.in == nil {
		var length [frameHeader]byte
		n, err := io.ReadFull(c.nc, length[:])
		if err != nil {
			return 0, err
		}
		c.in = getBuffer(bufferBase)
		return copy(c.in.b, length[:n]), nil
	}
	return c.nc.Read(c.in.b[c.w:])
}
