package sim

import (
	"encoding/binary"
	"io"
	"net"
	"sync"

	"ottla/coord/coordtest/model"
	"ottla/coord/coordtest/speak"
	"ottla/coord/wire"
)

// client is one client with at most one session and one connection. It sends what it is told to, never waits, and keeps what comes back.
type client struct {
	n       int // which of the clients
	session int64
	pw      []byte
	timeout int32 // ms

	conn        int // the connection's number in the model; every connection has another
	nc          net.Conn
	out         chan []byte
	attached    bool // its connect request was answered
	xid         int32
	zxid        int64 // the highest seen
	outstanding []pending

	mu     sync.Mutex
	frames [][]byte
	gone   bool // the connection is over
}

// pending is a request without an answer.
type pending struct {
	xid     int32
	op      model.Op
	sent    int64 // wall clock, ms
	call    int   // step
	session int64
}

// dial connects to the server; the handshake is sent with it.
func (c *client) dial(l *listener, conn int) {
	c.conn, c.xid, c.outstanding, c.attached = conn, 0, nil, false
	c.nc, c.out = l.dial(conn), make(chan []byte, 1024)
	c.mu.Lock()
	c.frames, c.gone = nil, false
	c.mu.Unlock()
	pw := c.pw
	if pw == nil {
		pw = make([]byte, wire.PasswordSize)
	}
	b := wire.AppendInt(nil, 0)
	b = wire.AppendLong(b, c.zxid)
	b = wire.AppendInt(b, c.timeout)
	b = wire.AppendLong(b, c.session)
	b = wire.AppendBuffer(b, pw)
	nc, out := c.nc, c.out
	go func() {
		for b := range out {
			if _, err := nc.Write(b); err != nil {
				for range out { // until it is closed
				}
			}
		}
	}()
	go c.read(nc)
	c.push(append(b, 0))
}

func (c *client) push(body []byte) {
	c.out <- append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func (c *client) read(nc net.Conn) {
	for {
		b, err := readFrame(nc)
		c.mu.Lock()
		if c.nc == nc {
			if err == nil {
				c.frames = append(c.frames, b)
			} else {
				c.gone = true
			}
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func readFrame(nc net.Conn) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(nc, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(nc, b)
	return b, err
}

// take returns what has come.
func (c *client) take() (frames [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames, c.frames = c.frames, nil
	return frames
}

// isGone says whether the connection is over, and everything that came on it was taken.
func (c *client) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone && len(c.frames) == 0
}

// hangUp ends the connection; the session lives on.
func (c *client) hangUp() {
	if c.nc == nil {
		return
	}
	c.nc.Close()
	close(c.out)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nc, c.outstanding = nil, nil
}

func (c *client) connected() bool { return c.nc != nil }

// send sends a request.
func (c *client) send(op model.Op, now int64, step int) {
	c.xid++
	c.outstanding = append(c.outstanding, pending{c.xid, op, now, step, c.session})
	code, body := speak.Encode(op)
	c.push(append(wire.AppendInt(wire.AppendInt(nil, c.xid), int32(code)), body...))
}

// ping keeps the session alive.
func (c *client) ping() { c.push(wire.AppendInt(wire.AppendInt(nil, -2), int32(wire.OpPing))) }
