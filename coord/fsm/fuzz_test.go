package fsm

import (
	"testing"

	"ottla/coord/wire"
)

// FuzzEntry: whatever the log holds, decoding and applying it ends with an answer.
func FuzzEntry(f *testing.F) {
	var b Batch
	b.Reset(nil, 0, 1, 1)
	b.Append(&Request{Op: wire.OpCreateSession, Session: 1, Body: CreateSessionBody([16]byte{}, 1000)})
	b.Append(&Request{Op: wire.OpCreate, Session: 1, Attach: 1, Auth: []byte("\x00\x00\x00\x02ip\x00\x00\x00\x071.2.3.4"), Body: []byte("\x00\x00\x00\x02/a")})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, entry []byte) {
		e, err := DecodeEntry(entry)
		if err != nil {
			return
		}
		m := New()
		var r Request
		var res Result
		n := 0
		for e.Next(&r) {
			m.Apply(1, e.Flags, &r, &res)
			n++
		}
		if n != e.Count {
			t.Fatalf("%d requests, the head says %d", n, e.Count)
		}
	})
}

// FuzzRequest: any body of any operation is judged, and what is refused leaves no trace but a zxid.
func FuzzRequest(f *testing.F) {
	for op, body := range map[wire.Op][]byte{
		wire.OpCreate:  wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(wire.AppendString(nil, "/a/b"), []byte("x")), wire.OpenACL), 2),
		wire.OpSetData: wire.AppendInt(wire.AppendBuffer(wire.AppendString(nil, "/a"), []byte("x")), -1),
		wire.OpDelete:  wire.AppendInt(wire.AppendString(nil, "/a"), -1),
		wire.OpSetACL:  wire.AppendInt(wire.AppendACLs(wire.AppendString(nil, "/a"), wire.OpenACL), -1),
		wire.OpMulti: wire.AppendMultiHeader(append(wire.AppendMultiHeader(nil, wire.OpDelete, false, -1),
			wire.AppendInt(wire.AppendString(nil, "/a"), -1)...), wire.OpError, true, -1),
		OpReap: wire.AppendString(nil, "/a"), OpAttach: AttachBody(nil, 1), wire.OpCreateSession: CreateSessionBody([16]byte{}, 1),
	} {
		f.Add(int32(op), body, []byte{})
	}
	f.Fuzz(func(t *testing.T, op int32, body, auth []byte) {
		m := New()
		var res Result
		m.Apply(1, 0, &Request{Op: wire.OpCreateSession, Session: 1, Body: CreateSessionBody([16]byte{}, 1000)}, &res)
		m.Apply(1, 0, &Request{Op: wire.OpCreate, Session: 1, Attach: 1, Body: wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(wire.AppendString(nil, "/a"), nil), wire.OpenACL), 0)}, &res)
		before := dumpTree(m.Tree())
		m.Apply(1, FlagExtendedTypes, &Request{Op: wire.Op(op), Session: 1, Attach: 1, Body: body, Auth: auth}, &res)
		if after := dumpTree(m.Tree()); res.Code != wire.CodeOK && (after != before || len(res.Events) != 0 || len(res.Body) != 0) {
			t.Fatalf("op %d failed with %v, but\n%s\nbecame\n%s", op, res.Code, before, after)
		}
	})
}
