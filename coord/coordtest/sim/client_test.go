package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"ottla/coord/coordtest/model"
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
	code, body := encode(op)
	c.push(append(wire.AppendInt(wire.AppendInt(nil, c.xid), int32(code)), body...))
}

// ping keeps the session alive.
func (c *client) ping() { c.push(wire.AppendInt(wire.AppendInt(nil, -2), int32(wire.OpPing))) }

func encode(op model.Op) (wire.Op, []byte) {
	path := wire.AppendString(nil, op.Path)
	switch op.Kind {
	case model.Create:
		var flags int32
		if op.Ephemeral {
			flags |= 1
		}
		if op.Sequential {
			flags |= 2
		}
		return wire.OpCreate, wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(path, []byte(op.Data)), wire.OpenACL), flags)
	case model.Delete:
		return wire.OpDelete, wire.AppendInt(path, op.Version)
	case model.Set:
		return wire.OpSetData, wire.AppendInt(wire.AppendBuffer(path, []byte(op.Data)), op.Version)
	case model.Check:
		return wire.OpCheck, wire.AppendInt(path, op.Version)
	case model.Multi:
		var b []byte
		for _, o := range op.Ops {
			code, body := encode(o)
			b = append(wire.AppendMultiHeader(b, code, false, -1), body...)
		}
		return wire.OpMulti, wire.AppendMultiHeader(b, -1, true, -1)
	case model.CloseSession:
		return wire.OpCloseSession, nil
	case model.Get:
		return wire.OpGetData, wire.AppendBool(path, op.Watch)
	case model.Exists:
		return wire.OpExists, wire.AppendBool(path, op.Watch)
	case model.Children:
		return wire.OpGetChildren2, wire.AppendBool(path, op.Watch)
	case model.Sync:
		return wire.OpSync, path
	case model.AddWatch:
		var mode int32
		if op.Recursive {
			mode = 1
		}
		return wire.OpAddWatch, wire.AppendInt(path, mode)
	}
	panic("no such operation")
}

// decode reads the answer to an operation.
func decode(op model.Op, code int32, body []byte) (model.Result, error) {
	r := model.Result{Code: code}
	if code != model.OK {
		return r, nil
	}
	d := wire.NewDecoder(body)
	switch op.Kind {
	case model.Create, model.Sync:
		r.Path = string(d.String())
	case model.Set, model.Exists:
		r.Stat = stat(&d)
	case model.Get:
		r.Data = string(d.Buffer())
		r.Stat = stat(&d)
	case model.Children:
		r.Children = []string{}
		for n := d.Int(); n > 0; n-- {
			r.Children = append(r.Children, string(d.String()))
		}
		slices.Sort(r.Children)
		r.Stat = stat(&d)
	case model.AddWatch:
		d.Int() // an error of its own
	case model.Multi:
		r.Results = []model.Result{}
		for _, o := range op.Ops {
			typ := d.Int()
			d.Bool()
			d.Int()
			if wire.Op(typ) == wire.OpError {
				r.Results = append(r.Results, model.Result{Code: d.Int()})
				continue
			}
			r.Results = append(r.Results, decodeSub(&d, o))
		}
		d.Int()
		if done := d.Bool(); !done {
			return r, fmt.Errorf("the answer to %v does not end", op)
		}
		d.Int()
	}
	if d.Err() == nil && len(d.Rest()) > 0 {
		return r, fmt.Errorf("%d bytes behind the answer to %v", len(d.Rest()), op)
	}
	return r, d.Err()
}

// decodeSub reads one result of a multi that succeeded.
func decodeSub(d *wire.Decoder, op model.Op) (r model.Result) {
	switch op.Kind {
	case model.Create:
		r.Path = string(d.String())
	case model.Set:
		r.Stat = stat(d)
	}
	return r
}

func stat(d *wire.Decoder) *model.Stat {
	s := d.Stat()
	return &model.Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Pzxid: s.Pzxid, Ctime: s.Ctime, Mtime: s.Mtime, Version: s.Version, Cversion: s.Cversion,
		Aversion: s.Aversion, Owner: s.EphemeralOwner, Length: s.DataLength, Children: s.NumChildren,
	}
}
