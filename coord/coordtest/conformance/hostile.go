package conformance

import (
	"bytes"
	"encoding/binary"
	"math"

	"ottla/coord/wire"
)

var hostileChecks = []check{
	{name: "frame too long", run: frameTooLong},
	{name: "longest frame", run: longestFrame},
	{name: "length before the handshake", run: lengthBeforeHandshake},
	{name: "frame without a header", run: frameWithoutHeader},
	{name: "unknown operations", run: unknownOps},
	{name: "truncated bodies", run: truncatedBodies},
	{name: "lengths that lie", run: lyingLengths},
	{name: "trailing bytes", run: trailingBytes},
	{name: "null paths", run: nullPaths},
	{name: "broken auth", run: brokenAuth},
	{name: "broken connect", run: brokenConnect},
}

func length(n int32) []byte { return wire.AppendInt(nil, n) }

// survives checks that the connection of c went but not its session.
func survives(e *Env, c *Client) {
	e.Helper()
	n := Dial(e, e.Addr)
	if got := n.Connect(wire.ConnectRequest{TimeoutMs: 30000, SessionID: c.Session.SessionID, Password: c.Session.Password[:]}); got.SessionID != c.Session.SessionID {
		e.Error("the session is gone")
	}
	n.closeSession()
}

func frameTooLong(e *Env) {
	for _, n := range []int32{wire.MaxFrame + 1, math.MaxInt32, -1, math.MinInt32, int32(binary.BigEndian.Uint32([]byte("ruok")))} {
		c := Open(e, e.Addr)
		c.Write(length(n))
		c.WantClosed()
		survives(e, c)
	}
}

func longestFrame(e *Env) {
	c, p := e.Client(), e.Path("/big")
	c.Create(p, "", 0)
	fixed := len(Request(1, wire.OpSetData, SetData(p, []byte{}, -1))) - 4
	data := bytes.Repeat([]byte{7}, wire.MaxFrame-fixed)
	if s := DecodeStat(e, c.OK(wire.OpSetData, SetData(p, data, -1)).Body); int(s.DataLength) != len(data) {
		e.Errorf("stored %d bytes of %d", s.DataLength, len(data))
	}
	d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(p, false)).Body)
	if !bytes.Equal(d.Buffer(), data) {
		e.Error("data is not what was stored")
	}
}

func lengthBeforeHandshake(e *Env) {
	for _, b := range [][]byte{length(wire.MaxFrame + 1), length(-5), []byte("GET / HTTP/1.1\r\n\r\n"), []byte("\x16\x03\x01\x02\x00")} {
		c := Dial(e, e.Addr)
		c.Write(b)
		c.WantClosed()
	}
}

func frameWithoutHeader(e *Env) {
	for _, b := range [][]byte{length(0), append(length(4), 0, 0, 0, 1), append(length(7), 0, 0, 0, 1, 0, 0, 0)} {
		c := Open(e, e.Addr)
		c.Write(b)
		c.WantClosed()
		survives(e, c)
	}
}

func unknownOps(e *Env) {
	for _, op := range []wire.Op{0, 13, 99, 10, 23, 108, 500, -1, math.MaxInt32} {
		c := Open(e, e.Addr)
		c.Write(append(Request(1, op, PathInt("/", -1)), Request(2, wire.OpExists, PathFlag("/", false))...))
		r := c.Reply()
		if r.Xid != 1 || r.Code != wire.CodeUnimplemented || r.Zxid != -1 || len(r.Body) != 0 {
			e.Errorf("op %d: %+v", op, r)
		}
		// The second request may or may not be answered before the end, but the end comes.
		for {
			if _, err := c.frame(patience); err != nil {
				break
			}
		}
		survives(e, c)
	}
}

// bodies are valid ones, by operation.
func bodies(p string) map[wire.Op][]byte {
	return map[wire.Op][]byte{
		wire.OpCreate: Create(p+"/x", []byte("d"), 0, wire.OpenACL), wire.OpCreate2: Create(p+"/x", []byte("d"), 0, wire.OpenACL),
		wire.OpCreateContainer: Create(p+"/x", nil, 4, wire.OpenACL), wire.OpDelete: PathInt(p+"/x", -1),
		wire.OpExists: PathFlag(p, true), wire.OpGetData: PathFlag(p, true), wire.OpSetData: SetData(p, []byte("d"), -1),
		wire.OpGetACL: Str(p), wire.OpSetACL: SetACL(p, wire.OpenACL, -1), wire.OpGetChildren: PathFlag(p, true),
		wire.OpGetChildren2: PathFlag(p, true), wire.OpSync: Str(p), wire.OpMulti: Multi(Part{wire.OpCheck, PathInt(p, -1)}),
		wire.OpMultiRead: Multi(Part{wire.OpGetData, PathFlag(p, false)}), wire.OpSetWatches: setWatchesBody(1, []string{p}, nil, nil),
		wire.OpSetWatches2: setWatchesBody(1, []string{p}, nil, nil, nil, nil), wire.OpAddWatch: PathInt(p, 0),
		wire.OpCheckWatches: PathInt(p, 3), wire.OpRemoveWatches: PathInt(p, 3), wire.OpGetAllChildrenNumber: Str(p),
		wire.OpGetEphemerals: Str(p),
	}
}

func truncatedBodies(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	for op, body := range bodies(p) {
		for cut := range len(body) {
			c.Fails(wire.CodeMarshallingError, op, body[:cut])
		}
	}
	c.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p+"/x", false))
}

func lyingLengths(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	huge := length(math.MaxInt32)
	for _, x := range []struct {
		op   wire.Op
		body []byte
	}{
		{wire.OpGetData, huge},
		{wire.OpGetData, length(-2)},
		{wire.OpSetData, append(Str(p), huge...)},
		{wire.OpSetACL, append(Str(p), huge...)},
		{wire.OpSetWatches, append(wire.AppendLong(nil, 1), huge...)},
		{wire.OpCreate, append(wire.AppendBuffer(Str(p+"/x"), nil), huge...)},
	} {
		c.Fails(wire.CodeMarshallingError, x.op, append(x.body, 0, 0, 0, 0))
	}
}

func trailingBytes(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	for op, body := range bodies(p) {
		if op == wire.OpDelete {
			continue
		}
		r := c.Do(op, append(bytes.Clone(body), 1, 2, 3, 4, 5))
		if r.Code == wire.CodeMarshallingError {
			e.Errorf("op %d with trailing bytes: %v", op, r.Code)
		}
		c.Do(wire.OpDelete, append(PathInt(p+"/x", -1), 9))
	}
	c.OK(wire.OpExists, append(Str(p), 2)) // any byte but 0 is true
	c.OK(wire.OpPing, []byte{1, 2, 3})
}

func nullPaths(e *Env) {
	c := e.Client()
	null := func() []byte { return length(-1) }
	for _, x := range []struct {
		op   wire.Op
		body []byte
		want wire.Code
	}{
		{wire.OpCreate, wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(null(), nil), wire.OpenACL), 0), wire.CodeMarshallingError},
		{wire.OpDelete, wire.AppendInt(null(), -1), wire.CodeMarshallingError},
		{wire.OpExists, append(null(), 0), wire.CodeMarshallingError},
		{wire.OpGetData, append(null(), 0), wire.CodeMarshallingError},
		{wire.OpGetChildren, append(null(), 0), wire.CodeMarshallingError},
		{wire.OpGetACL, null(), wire.CodeMarshallingError},
		{wire.OpGetAllChildrenNumber, null(), wire.CodeMarshallingError},
		{wire.OpSetData, wire.AppendInt(wire.AppendBuffer(null(), nil), -1), wire.CodeBadArguments},
		{wire.OpSetACL, wire.AppendInt(wire.AppendACLs(null(), wire.OpenACL), -1), wire.CodeBadArguments},
	} {
		c.Fails(x.want, x.op, x.body)
	}
	if r := c.OK(wire.OpSync, null()); !bytes.Equal(r.Body, null()) {
		e.Errorf("sync of null echoes %x", r.Body)
	}
}

func brokenAuth(e *Env) {
	for _, op := range []wire.Op{wire.OpAuth, wire.OpSASL} {
		c := Open(e, e.Addr)
		c.Write(Request(1, op, []byte{0, 0}))
		c.WantClosed()
		survives(e, c)
	}
}

func brokenConnect(e *Env) {
	for _, b := range [][]byte{length(0), append(length(3), 1, 2, 3), append(length(20), bytes.Repeat([]byte{0xff}, 20)...)} {
		c := Dial(e, e.Addr)
		c.Write(b)
		c.WantClosed()
	}
	// Any version, and bytes behind the end, are taken.
	c := Dial(e, e.Addr)
	b := wire.AppendConnectRequest(nil, &wire.ConnectRequest{ProtocolVersion: 77, TimeoutMs: 10000, Password: make([]byte, 16), HasReadOnly: true})
	c.Write(wire.EndFrame(append(b, 1, 2, 3), 0))
	if res := DecodeConnect(e, c.Frame()); res.SessionID == 0 {
		e.Errorf("connect with trailing bytes: %+v", res)
	}
	c.closeSession()
}
