package coord_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"ottla/coord/wire"
)

// client is the smallest client that tells errors instead of hiding them behind reconnects.
type client struct {
	t    testing.TB
	nc   net.Conn
	xid  int32
	zxid int64 // the highest seen
	id   int64
	pw   []byte

	events []string // paths of watch events seen, with their type
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(time.Minute))
	return &client{t: t, nc: nc, pw: make([]byte, 16)}
}

func (c *client) close() { c.nc.Close() }

func (c *client) send(body []byte) error {
	_, err := c.nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func (c *client) frame() ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(c.nc, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(c.nc, b)
	return b, err
}

// connect opens a session, or attaches to the one of id and pw.
func (c *client) connect() error {
	b := wire.AppendInt(nil, 0)
	b = wire.AppendLong(b, c.zxid)
	b = wire.AppendInt(b, 30000)
	b = wire.AppendLong(b, c.id)
	b = wire.AppendBuffer(b, c.pw)
	if err := c.send(append(b, 0)); err != nil {
		return err
	}
	b, err := c.frame()
	if err != nil {
		return err
	}
	d := wire.NewDecoder(b)
	d.Int()
	timeout := d.Int()
	c.id = d.Long()
	c.pw = append([]byte(nil), d.Buffer()...)
	if timeout <= 0 {
		return fmt.Errorf("session expired")
	}
	return d.Err()
}

// do sends a request and waits for its answer; events on the way are noted.
func (c *client) do(op wire.Op, body []byte) ([]byte, error) {
	c.xid++
	if err := c.send(append(wire.AppendInt(wire.AppendInt(nil, c.xid), int32(op)), body...)); err != nil {
		return nil, err
	}
	for {
		b, err := c.frame()
		if err != nil {
			return nil, err
		}
		d := wire.NewDecoder(b)
		xid, zxid, code := d.Int(), d.Long(), d.Int()
		if xid == -1 {
			typ, _ := d.Int(), d.Int()
			c.events = append(c.events, fmt.Sprintf("%d %s", typ, d.String()))
			continue
		}
		if zxid < c.zxid {
			return nil, fmt.Errorf("zxid %#x after %#x", zxid, c.zxid)
		}
		c.zxid = zxid
		if code != 0 {
			return nil, fmt.Errorf("code %d", code)
		}
		return b[16:], nil
	}
}

var openACL = func() []byte {
	b := wire.AppendInt(nil, 1)
	b = wire.AppendInt(b, 31)
	return wire.AppendString(wire.AppendString(b, "world"), "anyone")
}()

func (c *client) create(path string, data []byte, flags int32) error {
	b := wire.AppendBuffer(wire.AppendString(nil, path), data)
	_, err := c.do(wire.OpCreate, wire.AppendInt(append(b, openACL...), flags))
	return err
}

func (c *client) set(path string, data []byte) error {
	_, err := c.do(wire.OpSetData, wire.AppendInt(wire.AppendBuffer(wire.AppendString(nil, path), data), -1))
	return err
}

func (c *client) remove(path string) error {
	_, err := c.do(wire.OpDelete, wire.AppendInt(wire.AppendString(nil, path), -1))
	return err
}

func (c *client) get(path string, watch bool) ([]byte, error) {
	b, err := c.do(wire.OpGetData, wire.AppendBool(wire.AppendString(nil, path), watch))
	if err != nil {
		return nil, err
	}
	d := wire.NewDecoder(b)
	return d.Buffer(), d.Err()
}

func (c *client) children(path string) ([]string, error) {
	b, err := c.do(wire.OpGetChildren, wire.AppendBool(wire.AppendString(nil, path), false))
	if err != nil {
		return nil, err
	}
	d := wire.NewDecoder(b)
	var list []string
	for n := d.Int(); n > 0; n-- {
		list = append(list, string(d.String()))
	}
	return list, d.Err()
}
