package conformance

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"ottla/coord/wire"
)

// patience is how long an answer may take.
const patience = 20 * time.Second

// Client speaks frames. It does what a test tells it and nothing by itself: no pings, no reconnecting.
type Client struct {
	T       testing.TB
	Conn    net.Conn
	Session wire.ConnectResponse
	Events  []Event // watch events that came before answers
	xid     int32
}

// Reply is an answer.
type Reply struct {
	Xid  int32
	Zxid int64
	Code wire.Code
	Body []byte
}

// Event is a watch event.
type Event struct {
	Type int32
	Path string
	Zxid int64
}

// Dial connects without a handshake. The connection is closed with the test.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &Client{T: t, Conn: nc}
}

// Open connects with a new session of 30 s, which is closed with the test.
func Open(t testing.TB, addr string) *Client {
	t.Helper()
	c := Dial(t, addr)
	c.Session = c.Connect(wire.ConnectRequest{TimeoutMs: 30000})
	if c.Session.TimeoutMs == 0 {
		t.Fatal("the server refused a new session")
	}
	t.Cleanup(c.closeSession)
	return c
}

// closeSession ends the session, if the connection still stands.
func (c *Client) closeSession() {
	c.Conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Conn.Write(Request(0x7fffffff, wire.OpCloseSession, nil)); err == nil {
		io.Copy(io.Discard, c.Conn)
	}
}

// Connect does the handshake. A nil password counts as 16 zeros.
func (c *Client) Connect(r wire.ConnectRequest) wire.ConnectResponse {
	c.T.Helper()
	if r.Password == nil {
		r.Password = make([]byte, wire.PasswordSize)
	}
	r.HasReadOnly = true
	c.Write(wire.AppendConnectRequest(nil, &r))
	return DecodeConnect(c.T, c.Frame())
}

// DecodeConnect reads the answer to a connect request.
func DecodeConnect(t testing.TB, frame []byte) (res wire.ConnectResponse) {
	t.Helper()
	d := wire.NewDecoder(frame)
	d.Int()
	res.TimeoutMs, res.SessionID = d.Int(), d.Long()
	if n := copy(res.Password[:], d.Buffer()); n != wire.PasswordSize {
		t.Fatalf("password of %d bytes", n)
	}
	if len(d.Rest()) > 0 {
		res.HasReadOnly, res.ReadOnly = true, d.Bool()
	}
	if d.Err() != nil || len(d.Rest()) != 0 {
		t.Fatalf("connect response %x", frame)
	}
	return res
}

// Attach opens another connection to the same session.
func (c *Client) Attach() *Client {
	c.T.Helper()
	n := Dial(c.T, c.Conn.RemoteAddr().String())
	n.Session = n.Connect(wire.ConnectRequest{TimeoutMs: c.Session.TimeoutMs, SessionID: c.Session.SessionID, Password: c.Session.Password[:]})
	return n
}

// Request is the frame of a request.
func Request(xid int32, op wire.Op, body []byte) []byte {
	b := wire.AppendInt(wire.AppendInt(wire.BeginFrame(nil), xid), int32(op))
	return wire.EndFrame(append(b, body...), 0)
}

// Write sends bytes as they are.
func (c *Client) Write(b []byte) {
	c.T.Helper()
	c.Conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Conn.Write(b); err != nil {
		c.T.Fatal(err)
	}
}

// Frame reads one frame.
func (c *Client) Frame() []byte {
	c.T.Helper()
	b, err := c.frame(patience)
	if err != nil {
		c.T.Fatalf("read: %v", err)
	}
	return b
}

func (c *Client) frame(wait time.Duration) ([]byte, error) {
	c.Conn.SetReadDeadline(time.Now().Add(wait))
	var head [4]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c.Conn, b)
	return b, err
}

// WantClosed fails unless the server closes the connection without another frame.
func (c *Client) WantClosed() {
	c.T.Helper()
	b, err := c.frame(patience)
	var ne net.Error
	switch {
	case err == nil:
		c.T.Errorf("got %x, want the connection closed", b)
	case errors.As(err, &ne) && ne.Timeout():
		c.T.Error("the connection stays open")
	}
}

// Next reads an answer or an event; exactly one is not nil.
func (c *Client) Next() (*Reply, *Event) {
	c.T.Helper()
	d := wire.NewDecoder(c.Frame())
	r := Reply{Xid: d.Int(), Zxid: d.Long(), Code: wire.Code(d.Int()), Body: d.Rest()}
	if d.Err() != nil {
		c.T.Fatal(d.Err())
	}
	if r.Xid != wire.XidNotification {
		return &r, nil
	}
	e := Event{Type: d.Int(), Zxid: r.Zxid}
	if state := d.Int(); state != wire.StateSyncConnected {
		c.T.Errorf("event with state %d", state)
	}
	e.Path = string(d.String())
	if d.Err() != nil || len(d.Rest()) != 0 {
		c.T.Fatalf("event %x", r.Body)
	}
	return nil, &e
}

// Reply reads the next answer and keeps the events that came before it.
func (c *Client) Reply() Reply {
	c.T.Helper()
	for {
		r, e := c.Next()
		if r != nil {
			return *r
		}
		c.Events = append(c.Events, *e)
	}
}

// Do sends a request and reads its answer.
func (c *Client) Do(op wire.Op, body []byte) Reply {
	c.T.Helper()
	c.xid++
	c.Write(Request(c.xid, op, body))
	r := c.Reply()
	if r.Xid != c.xid && op != wire.OpPing {
		c.T.Fatalf("op %d with xid %d answered with xid %d", op, c.xid, r.Xid)
	}
	return r
}

// OK is Do for a request that has to succeed.
func (c *Client) OK(op wire.Op, body []byte) Reply {
	c.T.Helper()
	r := c.Do(op, body)
	if r.Code != wire.CodeOK {
		c.T.Fatalf("op %d %q: %v", op, body, r.Code)
	}
	return r
}

// Fails is Do for a request that has to fail with code, with nothing behind the header.
func (c *Client) Fails(code wire.Code, op wire.Op, body []byte) Reply {
	c.T.Helper()
	r := c.Do(op, body)
	if r.Code != code || len(r.Body) != 0 {
		c.T.Errorf("op %d %q: %v %x, want %v", op, body, r.Code, r.Body, code)
	}
	return r
}

// TakeEvents returns the events that came so far, after a sync that lets all of them come.
func (c *Client) TakeEvents() []Event {
	c.T.Helper()
	c.OK(wire.OpSync, Str("/"))
	events := c.Events
	c.Events = nil
	return events
}

// Stat is exists of a node that must exist.
func (c *Client) Stat(path string) wire.Stat {
	c.T.Helper()
	return DecodeStat(c.T, c.OK(wire.OpExists, PathFlag(path, false)).Body)
}

// DecodeStat reads a body that is a Stat and nothing else.
func DecodeStat(t testing.TB, body []byte) wire.Stat {
	t.Helper()
	d := wire.NewDecoder(body)
	s := d.Stat()
	if d.Err() != nil || len(d.Rest()) != 0 {
		t.Fatalf("body of %d bytes is not a stat", len(body))
	}
	return s
}

// Create makes an open node.
func (c *Client) Create(path, data string, flags int32) string {
	c.T.Helper()
	d := wire.NewDecoder(c.OK(wire.OpCreate, Create(path, []byte(data), flags, wire.OpenACL)).Body)
	return string(d.String())
}

// Auth proves a digest identity.
func (c *Client) Auth(credentials string) {
	c.T.Helper()
	c.OK(wire.OpAuth, AuthPacket("digest", credentials))
}

// Bodies of requests.

// Str is a string.
func Str(s string) []byte { return wire.AppendString(nil, s) }

// PathFlag is exists, getData, getChildren.
func PathFlag(path string, flag bool) []byte { return wire.AppendBool(Str(path), flag) }

// PathInt is delete, check, addWatch, removeWatches.
func PathInt(path string, n int32) []byte { return wire.AppendInt(Str(path), n) }

// Create is all creates but that with a time to live.
func Create(path string, data []byte, flags int32, acls []wire.ACL) []byte {
	return wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(Str(path), data), acls), flags)
}

// SetData is setData.
func SetData(path string, data []byte, version int32) []byte {
	return wire.AppendInt(wire.AppendBuffer(Str(path), data), version)
}

// SetACL is setACL.
func SetACL(path string, acls []wire.ACL, version int32) []byte {
	return wire.AppendInt(wire.AppendACLs(Str(path), acls), version)
}

// AuthPacket is auth.
func AuthPacket(scheme, data string) []byte {
	return wire.AppendBuffer(wire.AppendString(wire.AppendInt(nil, 0), scheme), []byte(data))
}

// Part is one part of a multi.
type Part struct {
	Op   wire.Op
	Body []byte
}

// Multi is multi and multiRead.
func Multi(parts ...Part) (b []byte) {
	for _, p := range parts {
		b = append(wire.AppendMultiHeader(b, p.Op, false, -1), p.Body...)
	}
	return wire.AppendMultiHeader(b, wire.OpError, true, -1)
}

// Paths is a vector of strings.
func Paths(paths ...string) []byte {
	b := wire.AppendInt(nil, int32(len(paths)))
	for _, p := range paths {
		b = wire.AppendString(b, p)
	}
	return b
}

// DecodePaths reads a vector of strings at the begin of d.
func DecodePaths(d *wire.Decoder) (paths []string) {
	n, _ := d.Count(4)
	for range n {
		paths = append(paths, string(d.String()))
	}
	return paths
}
