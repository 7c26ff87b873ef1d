package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"

	"ottla/coord/wire"
)

// raw is the connection under the library, on which requests go that it does not know. The library writes a frame with one Write;
// raw reads whole frames, keeps the answers to its own requests, and gives the others on. Its requests have xids below xidFirst,
// which the library never uses and servers do not interpret.
//
//	library  --Write-->  raw  -->  server
//	library  <--Read---  raw  <--  server     every frame, but for those that ask waits for
type raw struct {
	net.Conn
	login func(*raw) error // before the library hears of its session
	seen  func(Event)      // of each watch event, in the goroutine that reads

	writing sync.Mutex // a frame at a time
	begun   bool       // the answer to the connect request was read; the reader's own
	rest    []byte     // of the frame that the library reads; the reader's own

	mu      sync.Mutex
	xid     int32 // of the last request
	waiting map[int32]chan<- answer
	closed  bool
}

type answer struct {
	code wire.Code
	body []byte
}

const (
	xidFirst = -1000
	frameMax = 256 << 20 // bounds what a server may send at once
)

// Event is a watch event. Path is as the server says it, without regard to a chroot.
type Event struct {
	Type zk.EventType
	Path string
	Zxid int64 // of the change; -1 if the server does not say
}

func newRaw(c net.Conn, login func(*raw) error, seen func(Event)) *raw {
	return &raw{Conn: c, login: login, seen: seen, xid: xidFirst, waiting: map[int32]chan<- answer{}}
}

func (r *raw) Write(p []byte) (int, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.Conn.Write(p)
}

// Read gives the library its frames. Only the library's one reader calls it.
func (r *raw) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		frame, err := r.frame()
		if err != nil {
			r.fail()
			return 0, err
		}
		switch {
		case !r.begun:
			r.begun = true
			const idAt = 12
			if r.login != nil && len(frame) >= idAt+8 && binary.BigEndian.Uint64(frame[idAt:]) != 0 {
				if err := r.login(r); err != nil {
					r.fail()
					return 0, err
				}
			}
			r.rest = frame
		case !r.own(frame[4:]):
			r.rest = frame
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// frame reads one frame, with its length.
func (r *raw) frame() ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r.Conn, 4); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(b.Bytes()))
	if n < 0 || n > frameMax {
		return nil, fmt.Errorf("the server sent a frame of %d bytes; is it a ZooKeeper?", n)
	}
	_, err := io.CopyN(&b, r.Conn, int64(n)) // grows with what arrives
	return b.Bytes(), err
}

// own takes the answer to one of our requests out of the stream, and looks at watch events in passing.
func (r *raw) own(frame []byte) bool {
	d := wire.NewDecoder(frame)
	xid, zxid, code := d.Int(), d.Long(), d.Int()
	if d.Err() != nil {
		return false
	}
	if xid == wire.XidNotification {
		typ, _, path := d.Int(), d.Int(), d.String()
		if d.Err() == nil {
			r.seen(Event{Type: zk.EventType(typ), Path: string(path), Zxid: zxid})
		}
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ch, ok := r.waiting[xid]
	if ok {
		delete(r.waiting, xid)
		ch <- answer{wire.Code(code), d.Rest()}
	}
	return ok
}

// ask sends a request and waits for its answer's body.
func (r *raw) ask(ctx context.Context, op wire.Op, body []byte) ([]byte, error) {
	ch := make(chan answer, 1)
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, zk.ErrConnectionClosed
	}
	r.xid--
	xid := r.xid
	r.waiting[xid] = ch
	r.mu.Unlock()
	if _, err := r.Write(request(xid, op, body)); err != nil {
		return nil, zk.ErrConnectionClosed
	}
	select {
	case a, ok := <-ch:
		if !ok {
			return nil, zk.ErrConnectionClosed
		}
		return a.body, errorOf(a.code)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// exchange sends a request and reads its answer itself, before there is a reader.
func (r *raw) exchange(xid int32, op wire.Op, body []byte) ([]byte, wire.Code, error) {
	if _, err := r.Write(request(xid, op, body)); err != nil {
		return nil, 0, err
	}
	frame, err := r.frame()
	if err != nil {
		return nil, 0, err
	}
	d := wire.NewDecoder(frame[4:])
	_, _, code := d.Int(), d.Long(), d.Int()
	return d.Rest(), wire.Code(code), d.Err()
}

func request(xid int32, op wire.Op, body []byte) []byte {
	b := wire.AppendInt(wire.AppendInt(wire.BeginFrame(nil), xid), int32(op))
	return wire.EndFrame(append(b, body...), 0)
}

// fail tells those who wait that no answer will come.
func (r *raw) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for xid, ch := range r.waiting {
		close(ch)
		delete(r.waiting, xid)
	}
}

func (r *raw) Close() error {
	r.fail()
	return r.Conn.Close()
}

// codes are the errors of the library's for ZooKeeper's codes, where it has one.
var codes = map[wire.Code]error{
	wire.CodeOK: nil, wire.CodeNoNode: zk.ErrNoNode, wire.CodeNoAuth: zk.ErrNoAuth, wire.CodeBadVersion: zk.ErrBadVersion,
	wire.CodeNodeExists: zk.ErrNodeExists, wire.CodeNotEmpty: zk.ErrNotEmpty, wire.CodeNoChildrenForEphemerals: zk.ErrNoChildrenForEphemerals,
	wire.CodeInvalidACL: zk.ErrInvalidACL, wire.CodeBadArguments: zk.ErrBadArguments, wire.CodeSessionExpired: zk.ErrSessionExpired,
	wire.CodeAuthFailed: zk.ErrAuthFailed, wire.CodeReconfigDisabled: zk.ErrReconfigDisabled,
}

func errorOf(code wire.Code) error {
	if err, ok := codes[code]; ok {
		return err
	}
	return code
}

// CodeOf is ZooKeeper's code of an error, whether the library knows it or not.
func CodeOf(err error) (wire.Code, bool) {
	var code wire.Code
	if errors.As(err, &code) {
		return code, true
	}
	for c, e := range codes {
		if e != nil && errors.Is(err, e) {
			return c, true
		}
	}
	if err != nil { // the library has the number only in its text
		if s, ok := strings.CutPrefix(err.Error(), "unknown error: "); ok {
			n, perr := strconv.ParseInt(s, 10, 32)
			return wire.Code(n), perr == nil
		}
	}
	return 0, false
}
