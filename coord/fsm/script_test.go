package fsm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"ottla/coord/acl"
	"ottla/coord/tree"
	"ottla/coord/wire"
)

// TestScripts runs testdata: each line is a request, the answer below it is what came of them. go test -rewrite writes them anew.
//
//	open S [timeout]          create session S (a small number)       attach S [password=…] | close S | expire S attach
//	create PATH [DATA] [flags] on the session s=1: options of any request: s=N attach=N auth=scheme:id,… time=MS
//	   flags: ephemeral sequential ttl=N, op=create2|container|ttl, acl=perms:scheme:id,…
//	set PATH DATA [v=N] | delete PATH [v=N] | check PATH v=N | setacl PATH acl=… [v=N]
//	   a word in single quotes may hold an =
//	multi { request; request; … } | reap PATH | raw OP HEX | term N | dump | sessions
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") {
			return
		}
		s := &script{m: New(), term: 1}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				if line = strings.TrimSpace(line); line != "" {
					out.WriteString(s.line(t, line))
				}
			}
			return out.String()
		})
	})
}

type script struct {
	m    *Machine
	term uint64
	res  Result
}

// words are what a line says.
type words struct {
	args []string
	opts map[string]string
}

func parse(line string) (w words) {
	w.opts = map[string]string{}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok && !strings.HasPrefix(f, "/") && f[0] != '\'' {
			w.opts[k] = v
		} else {
			w.args = append(w.args, strings.Trim(f, "'"))
		}
	}
	return w
}

func (w words) arg(i int) string {
	if i < len(w.args) {
		return w.args[i]
	}
	return ""
}

func (w words) has(flag string) bool { return slices.Contains(w.args, flag) }

func (w words) num(key string, otherwise int64) int64 {
	if v, ok := w.opts[key]; ok {
		n, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	return otherwise
}

var testPassword = [wire.PasswordSize]byte{1, 2, 3}

func (s *script) line(t *testing.T, line string) string {
	w := parse(line)
	r := Request{
		Session: 0x0100000000000000 + w.num("s", 1), Attach: uint32(w.num("attach", 1)), Time: w.num("time", 1000),
	}
	for _, id := range splitList(w.opts["auth"]) {
		scheme, id, _ := strings.Cut(id, ":")
		r.Auth = acl.AppendIdentity(r.Auth, wire.ID{Scheme: scheme, ID: id})
	}
	session := func() int64 {
		n, err := strconv.ParseInt(w.arg(1), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return 0x0100000000000000 + n
	}
	switch w.arg(0) {
	case "term":
		s.term, _ = strconv.ParseUint(w.arg(1), 10, 64)
		return ""
	case "dump":
		return dumpTree(s.m.Tree())
	case "sessions":
		return dumpSessions(s.m)
	case "open":
		r.Op, r.Session, r.Body = wire.OpCreateSession, session(), CreateSessionBody(testPassword, 5000)
	case "attach":
		password := testPassword[:]
		if p, ok := w.opts["password"]; ok {
			password = []byte(p)
		}
		r.Op, r.Session, r.Body = OpAttach, session(), AttachBody(password, 6000)
	case "close":
		r.Op, r.Session = wire.OpCloseSession, session()
	case "expire":
		n, _ := strconv.Atoi(w.arg(2))
		r.Op, r.Session, r.Attach = OpExpire, session(), uint32(n)
	case "reap":
		r.Op, r.Body = OpReap, wire.AppendString(nil, w.arg(1))
	case "setacl":
		r.Op = wire.OpSetACL
		r.Body = wire.AppendInt(wire.AppendACLs(wire.AppendString(nil, w.arg(1)), parseACL(w.opts["acl"])), int32(w.num("v", -1)))
	case "multi":
		r.Op = wire.OpMulti
		inner := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(line, "multi")), "{"), "}")
		if i := strings.LastIndex(line, "}"); i >= 0 {
			inner = line[strings.Index(line, "{")+1 : i]
			w = parse(line[i+1:])
			r.Session, r.Attach = 0x0100000000000000+w.num("s", 1), uint32(w.num("attach", 1))
		}
		for _, part := range strings.Split(inner, ";") {
			if part = strings.TrimSpace(part); part != "" {
				op, body := oneOp(t, parse(part))
				r.Body = append(wire.AppendMultiHeader(r.Body, op, false, -1), body...)
			}
		}
		r.Body = wire.AppendMultiHeader(r.Body, wire.OpError, true, -1)
	default:
		r.Op, r.Body = oneOp(t, w)
	}
	// Through the codec, so that the scripts test it too.
	var b Batch
	b.Reset(nil, uint8(w.num("entryflags", 0)), 1, 1)
	b.Append(&r)
	e, err := DecodeEntry(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got Request
	for e.Next(&got) {
		s.m.Apply(s.term, e.Flags, &got, &s.res)
	}
	return printResult(&got, &s.res)
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func parseACL(s string) (acls []wire.ACL) {
	for _, e := range splitList(s) {
		p := strings.SplitN(e, ":", 3)
		perms, err := strconv.Atoi(p[0])
		if err != nil {
			panic(err)
		}
		acls = append(acls, wire.ACL{Perms: int32(perms), ID: wire.ID{Scheme: p[1], ID: p[2]}})
	}
	return acls
}

func oneOp(t *testing.T, w words) (wire.Op, []byte) {
	path := wire.AppendString(nil, w.arg(1))
	data := func() []byte {
		switch d := w.arg(2); d {
		case "null":
			return nil
		case "ephemeral", "sequential":
			return []byte{}
		default:
			return []byte(d)
		}
	}
	switch w.arg(0) {
	case "create":
		var flags int32
		if w.has("ephemeral") {
			flags |= 1
		}
		if w.has("sequential") {
			flags |= 2
		}
		op := map[string]wire.Op{"": 1, "create2": 15, "container": 19, "ttl": 21}[w.opts["op"]]
		if op == wire.OpCreateTTL {
			flags = 5 + flags>>1
		}
		acls := wire.OpenACL
		if a, ok := w.opts["acl"]; ok {
			acls = parseACL(a)
		}
		b := wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(path, data()), acls), int32(w.num("flags", int64(flags))))
		if op == wire.OpCreateTTL {
			b = wire.AppendLong(b, w.num("ttl", 1000))
		}
		return op, b
	case "set":
		return wire.OpSetData, wire.AppendInt(wire.AppendBuffer(path, data()), int32(w.num("v", -1)))
	case "delete":
		return wire.OpDelete, wire.AppendInt(path, int32(w.num("v", -1)))
	case "check":
		return wire.OpCheck, wire.AppendInt(path, int32(w.num("v", -1)))
	}
	t.Fatalf("unknown command %q", w.args)
	return 0, nil
}

func printResult(r *Request, res *Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%x %v", res.Zxid, res.Code)
	if res.Opened != 0 {
		fmt.Fprintf(&b, " opened %x attach %d", res.Opened, res.Session.Attach)
	} else if res.Session.ID != 0 {
		fmt.Fprintf(&b, " session %x attach %d timeout %d", res.Session.ID, res.Session.Attach, res.Session.TimeoutMs)
	}
	if res.Closed != 0 {
		fmt.Fprintf(&b, " closed %x", res.Closed)
	}
	if res.Quota != nil {
		fmt.Fprintf(&b, " beyond the quota of %s", res.Quota)
	}
	b.WriteString(printBody(r.Op, res.Body))
	b.WriteByte('\n')
	for i := range res.Events {
		e := &res.Events[i]
		names := []string{"", "created", "deleted", "changed", "children"}
		fmt.Fprintf(&b, "  %s %s", names[e.Type], e.Path)
		if e.Zxid != res.Zxid {
			fmt.Fprintf(&b, " zxid %x", e.Zxid)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func printBody(op wire.Op, body []byte) string {
	d := wire.NewDecoder(body)
	var b strings.Builder
	stat := func() {
		s := d.Stat()
		fmt.Fprintf(&b, " [v%d c%d a%d owner=%x len=%d kids=%d]", s.Version, s.Cversion, s.Aversion, s.EphemeralOwner, s.DataLength, s.NumChildren)
	}
	one := func(op wire.Op) {
		switch op {
		case wire.OpCreate:
			fmt.Fprintf(&b, " %s", d.String())
		case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
			fmt.Fprintf(&b, " %s", d.String())
			stat()
		case wire.OpSetData, wire.OpSetACL:
			stat()
		case wire.OpError:
			fmt.Fprintf(&b, " %v", wire.Code(d.Int()))
		case wire.OpDelete:
			b.WriteString(" deleted")
		case wire.OpCheck:
			b.WriteString(" checked")
		}
	}
	switch {
	case len(body) == 0:
	case op == wire.OpMulti:
		for {
			kind, done := wire.Op(d.Int()), d.Bool()
			d.Int()
			if done {
				break
			}
			one(kind)
		}
	default:
		one(op)
	}
	if d.Err() != nil || len(d.Rest()) > 0 {
		fmt.Fprintf(&b, " BROKEN BODY %x", body)
	}
	return b.String()
}

// dumpTree prints everything that a checkpoint would hold of the tree.
func dumpTree(t *tree.Tree) string {
	var b strings.Builder
	var walk func(n *tree.Node)
	walk = func(n *tree.Node) {
		var s wire.Stat
		n.Stat(&s)
		data := "null"
		if n.Data() != nil {
			data = strconv.Quote(string(n.Data()))
		}
		fmt.Fprintf(&b, "%s %s c%x m%x p%x times %d %d v%d c%d(%d) a%d kids=%d", n.Path(), data, s.Czxid, s.Mzxid, s.Pzxid, s.Ctime, s.Mtime,
			s.Version, s.Cversion, n.Created(), s.Aversion, s.NumChildren)
		if s.EphemeralOwner != 0 {
			fmt.Fprintf(&b, " owner=%x", s.EphemeralOwner)
		}
		if n.Container() {
			b.WriteString(" container")
		}
		if n.TTL() != 0 {
			fmt.Fprintf(&b, " ttl=%d", n.TTL())
		}
		if acls := t.ACL(n); len(acls) != 1 || acls[0] != wire.OpenACL[0] {
			for _, a := range acls {
				fmt.Fprintf(&b, " %d:%s:%s", a.Perms, a.Scheme, a.ID.ID)
			}
		}
		b.WriteByte('\n')
		for _, name := range slices.Sorted(maps.Keys(n.Children())) {
			walk(n.Children()[name])
		}
	}
	walk(t.Root())
	fmt.Fprintf(&b, "%d nodes, %d bytes, %d ephemerals\n", t.Len(), t.DataBytes(), t.Ephemerals())
	return b.String()
}

func dumpSessions(m *Machine) string {
	var lines []string
	m.EachSession(func(s Session) {
		owned := m.Tree().Owned(s.ID)
		slices.Sort(owned)
		lines = append(lines, fmt.Sprintf("%x attach %d timeout %d password %x owns %v\n", s.ID, s.Attach, s.TimeoutMs, s.Password, owned))
	})
	slices.Sort(lines)
	return strings.Join(lines, "")
}
