package xcheck

import (
	"fmt"
	"slices"

	"ottla/coord/wire"
)

// kind is how a value of one server is held against that of the other.
type kind uint8

const (
	plain    kind = iota // equal
	zxid                 // one change
	owner                // one session
	timeOf               // of the zxid before it in the record
	password             // of the same length
)

// value is one of a record.
type value struct {
	name string
	kind kind
	n    int64
	text string // of plain values that are no number
	of   int64  // a time's zxid
}

// record is an answer's or an event's body in values.
type record struct {
	values []value
	d      wire.Decoder
}

func (r *record) add(name string, v any) {
	r.values = append(r.values, value{name: name, text: fmt.Sprint(v)})
}

func (r *record) number(name string, k kind, n int64) {
	r.values = append(r.values, value{name: name, kind: k, n: n})
}

// bytes keeps null and empty apart.
func (r *record) bytes(name string) { r.add(name, quoted(r.d.Buffer())) }

func quoted(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

func (r *record) stat() {
	s := r.d.Stat()
	r.number("czxid", zxid, s.Czxid)
	r.number("mzxid", zxid, s.Mzxid)
	r.values = append(r.values, value{name: "ctime", kind: timeOf, n: s.Ctime, of: s.Czxid}, value{name: "mtime", kind: timeOf, n: s.Mtime, of: s.Mzxid})
	r.add("version", s.Version)
	r.add("cversion", s.Cversion)
	r.add("aversion", s.Aversion)
	r.number("ephemeralOwner", owner, s.EphemeralOwner)
	r.add("dataLength", s.DataLength)
	r.add("numChildren", s.NumChildren)
	r.number("pzxid", zxid, s.Pzxid)
}

// set is a list whose order says nothing.
func (r *record) set(name string, each func() string) {
	n, null := r.d.Count(4)
	all := make([]string, 0, n)
	for range n {
		all = append(all, each())
	}
	slices.Sort(all)
	if null {
		r.add(name, "null")
		return
	}
	r.add(name, all)
}

func (r *record) name() string { return quoted(r.d.String()) }

// reply reads the body of the answer to a request.
func (r *record) reply(op wire.Op) {
	switch op {
	case wire.OpCreate, wire.OpSync:
		r.bytes("path")
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		r.bytes("path")
		r.stat()
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		r.stat()
	case wire.OpGetData, wire.OpReconfig:
		r.bytes("data")
		r.stat()
	case wire.OpGetACL:
		acls, null := r.d.ACLs()
		r.add("acl", fmt.Sprint(acls, null))
		r.stat()
	case wire.OpGetChildren:
		r.set("children", r.name)
	case wire.OpGetChildren2:
		r.set("children", r.name)
		r.stat()
	case wire.OpGetEphemerals:
		r.set("ephemerals", r.name)
	case wire.OpWhoAmI:
		r.set("identities", func() string { return r.name() + ":" + r.name() })
	case wire.OpMulti, wire.OpMultiRead:
		r.multi()
	}
	r.add("rest", quoted(append([]byte{}, r.d.Rest()...)))
	r.add("decoding", r.d.Err())
}

// multi reads the results of a transaction.
func (r *record) multi() {
	for r.d.Err() == nil {
		op, done, code := wire.Op(r.d.Int()), r.d.Bool(), r.d.Int()
		r.add("result", fmt.Sprint(int32(op), done, code))
		if done {
			return
		}
		switch op {
		case wire.OpCreate:
			r.bytes("path")
		case wire.OpCreate2:
			r.bytes("path")
			r.stat()
		case wire.OpSetData:
			r.stat()
		case wire.OpGetData:
			r.bytes("data")
			r.stat()
		case wire.OpGetChildren:
			r.set("children", r.name)
		case wire.OpError:
			r.add("error", r.d.Int())
		}
	}
}

// message is a frame of a server, after the handshake.
type message struct {
	xid   int32
	frame []byte
	after int // answers that came before it, if it is an event
}

// read takes a frame apart. op is that of the request which it answers; events have none.
func read(frame []byte, op wire.Op) record {
	r := record{d: wire.NewDecoder(frame)}
	xid := r.d.Int()
	r.add("xid", xid)
	r.number("zxid", zxid, r.d.Long())
	code := r.d.Int()
	r.add("error", code)
	switch {
	case xid == wire.XidNotification:
		r.add("event", r.d.Int())
		r.add("state", r.d.Int())
		r.bytes("path")
		r.add("rest", quoted(append([]byte{}, r.d.Rest()...)))
	case code != 0:
		r.add("rest", quoted(append([]byte{}, r.d.Rest()...)))
	default:
		r.reply(op)
	}
	return r
}

// handshake takes a ConnectResponse apart.
func handshake(frame []byte) (r record, id int64, secret []byte) {
	r.d = wire.NewDecoder(frame)
	r.add("protocolVersion", r.d.Int())
	r.add("timeOut", r.d.Int())
	id = r.d.Long()
	r.number("sessionId", owner, id)
	secret = r.d.Buffer()
	r.number("passwd", password, int64(len(secret)))
	r.add("readOnly", quoted(append([]byte{}, r.d.Rest()...)))
	return r, id, secret
}

// compare calls differ for each value that is not the same.
func (m *mapping) compare(a, b *record, differ func(name, a, b string)) {
	if x, y := a.code(), b.code(); x != y {
		differ("error", x, y)
		return
	}
	if len(a.values) != len(b.values) {
		differ("shape", fmt.Sprint(a.names()), fmt.Sprint(b.names()))
		return
	}
	for i := range a.values {
		x, y := a.values[i], b.values[i]
		same := x.name == y.name && x.kind == y.kind
		switch x.kind {
		case plain:
			same = same && x.text == y.text
		case password:
			same = same && x.n == y.n
		case zxid:
			same = same && m.zxid(x.n, y.n)
		case owner:
			same = same && m.session(x.n, y.n)
		case timeOf:
			same = same && m.time(0, x.of, x.n) && m.time(1, y.of, y.n)
		}
		if !same {
			differ(x.name, x.String(), y.String())
		}
	}
}

// code is the error of an answer.
func (r *record) code() string {
	for _, v := range r.values {
		if v.name == "error" {
			return v.text
		}
	}
	return ""
}

func (r *record) names() (names []string) {
	for _, v := range r.values {
		names = append(names, v.name+"="+v.String())
	}
	return names
}

func (v value) String() string {
	switch v.kind {
	case plain:
		return v.text
	case zxid, owner:
		return fmt.Sprintf("0x%x", uint64(v.n))
	}
	return fmt.Sprint(v.n)
}
