package conformance

import (
	"bytes"
	"time"

	"ottla/coord/wire"
)

var sessionChecks = []check{
	{name: "readOnly byte", run: readOnlyByte},
	{name: "timeout is clamped", run: timeoutClamped},
	{name: "pipelined behind connect", run: pipelinedBehindConnect},
	{name: "attach", run: attach},
	{name: "attach with wrong password", run: attachWrongPassword},
	{name: "attach to an unknown session", run: attachUnknown},
	{name: "later attach wins", run: laterAttachWins},
	{name: "client from the future", run: clientFromFuture},
	{name: "close deletes ephemerals under one zxid", run: closeDeletesEphemerals},
	{name: "close without waiting", run: closeWithoutWaiting},
	{name: "silence ends the session", run: silenceEndsSession, slow: true},
	{name: "pings keep the session", run: pingsKeepSession, slow: true},
	{name: "xid is echoed", run: xidEchoed},
	{name: "order of a pipeline", run: pipelineOrder},
	{name: "reply zxid", run: replyZxid},
	{name: "sasl", run: saslWithout},
	{name: "getEphemerals", run: getEphemerals},
}

// connectFrame is a connect request with or without the readOnly byte.
func connectFrame(r wire.ConnectRequest) []byte { return wire.AppendConnectRequest(nil, &r) }

func readOnlyByte(e *Env) {
	for _, c := range []struct {
		has  bool
		want int
	}{{false, 36}, {true, 37}} {
		cl := Dial(e, e.Addr)
		cl.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16), HasReadOnly: c.has, ReadOnly: true}))
		if b := cl.Frame(); len(b) != c.want || c.has && b[36] != 0 {
			e.Errorf("readOnly byte sent %v: response %x of %d bytes, want %d", c.has, b, len(b), c.want)
		}
		cl.closeSession()
	}
	for _, password := range [][]byte{nil, {}} {
		cl := Dial(e, e.Addr)
		cl.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 10000, Password: password}))
		if res := DecodeConnect(e, cl.Frame()); res.SessionID == 0 {
			e.Errorf("new session with password %v refused", password)
		}
		cl.closeSession()
	}
}

func timeoutClamped(e *Env) {
	for _, c := range []struct{ ask, want int32 }{{1, 4000}, {0, 4000}, {-1, 4000}, {9999, 9999}, {1 << 30, 40000}} {
		cl := Dial(e, e.Addr)
		if res := cl.Connect(wire.ConnectRequest{TimeoutMs: c.ask}); res.TimeoutMs != c.want {
			e.Errorf("asked for %d ms, got %d, want %d", c.ask, res.TimeoutMs, c.want)
		}
		cl.closeSession()
	}
}

func pipelinedBehindConnect(e *Env) {
	c := Dial(e, e.Addr)
	b := connectFrame(wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)})
	b = append(b, Request(-4, wire.OpAuth, AuthPacket("digest", "a:b"))...)
	b = append(b, Request(1, wire.OpExists, PathFlag("/", false))...)
	c.Write(b)
	DecodeConnect(e, c.Frame())
	if r := c.Reply(); r.Xid != -4 || r.Code != 0 {
		e.Errorf("auth: %+v", r)
	}
	if r := c.Reply(); r.Xid != 1 || r.Code != 0 {
		e.Errorf("exists: %+v", r)
	}
	c.closeSession()
}

func attach(e *Env) {
	c := e.Client()
	p := e.Path("/eph")
	c.Create(p, "x", wire.FlagEphemeral)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.Conn.Close()
	n := c.Attach()
	if n.Session.SessionID != c.Session.SessionID || n.Session.Password != c.Session.Password {
		e.Fatalf("attached to %+v, was %+v", n.Session, c.Session)
	}
	if s := n.Stat(p); s.EphemeralOwner != c.Session.SessionID {
		e.Errorf("ephemeral after attach: %+v", s)
	}
	// The watch went with the old connection.
	n.OK(wire.OpSetData, SetData(p, []byte("y"), -1))
	if ev := n.TakeEvents(); len(ev) != 0 {
		e.Errorf("events %v of a watch of the old connection", ev)
	}
	n.closeSession()
	if r := e.Another().Do(wire.OpExists, PathFlag(p, false)); r.Code != wire.CodeNoNode {
		e.Errorf("ephemeral after close: %v", r.Code)
	}
}

func wantRefused(e *Env, c *Client, r wire.ConnectRequest) {
	e.Helper()
	res := c.Connect(r)
	if res.TimeoutMs != 0 || res.SessionID != 0 || !bytes.Equal(res.Password[:], make([]byte, 16)) {
		e.Errorf("got %+v, want a refused session", res)
	}
	c.WantClosed()
}

func attachWrongPassword(e *Env) {
	s := e.Client().Session
	for _, password := range [][]byte{bytes.Repeat([]byte{1}, 16), {1}, {}, append(bytes.Clone(s.Password[:]), 0)} {
		wantRefused(e, Dial(e, e.Addr), wire.ConnectRequest{TimeoutMs: 10000, SessionID: s.SessionID, Password: password})
	}
}

func attachUnknown(e *Env) {
	wantRefused(e, Dial(e, e.Addr), wire.ConnectRequest{TimeoutMs: 10000, SessionID: 0x7123456789abcdef})
}

func laterAttachWins(e *Env) {
	c := e.Client()
	n := c.Attach()
	c.WantClosed()
	n.OK(wire.OpExists, PathFlag("/", false))
	n.closeSession()
}

func clientFromFuture(e *Env) {
	c := Dial(e, e.Addr)
	c.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 10000, LastZxidSeen: 1<<62 + 1, Password: make([]byte, 16)}))
	c.WantClosed()
}

func closeDeletesEphemerals(e *Env) {
	watcher, c := e.Another(), e.Client()
	a, b, last := e.Path("/a"), e.Path("/b"), e.Path("/last")
	c.Create(a, "", wire.FlagEphemeral)
	c.Create(b, "", wire.FlagEphemeral)
	for _, p := range []string{a, b, last} {
		watcher.Do(wire.OpExists, PathFlag(p, true))
	}
	// One more create in the pipeline just before the close: it goes too.
	c.Write(append(Request(100, wire.OpCreate, Create(last, nil, wire.FlagEphemeral, wire.OpenACL)), Request(101, wire.OpCloseSession, nil)...))
	if r := c.Reply(); r.Xid != 100 || r.Code != 0 {
		e.Errorf("create before close: %+v", r)
	}
	r := c.Reply()
	if r.Xid != 101 || r.Code != 0 || len(r.Body) != 0 {
		e.Errorf("close: %+v", r)
	}
	c.WantClosed()
	deleted := map[string]bool{}
	for _, ev := range watcher.TakeEvents() {
		if ev.Type == wire.EventNodeDeleted {
			deleted[ev.Path] = true
			if ev.Zxid != r.Zxid {
				e.Errorf("%s deleted under zxid %x, the session closed under %x", ev.Path, ev.Zxid, r.Zxid)
			}
		}
	}
	if !deleted[a] || !deleted[b] {
		e.Errorf("deletions heard of: %v", deleted)
	}
	for _, p := range []string{a, b, last} {
		watcher.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p, false))
	}
}

func closeWithoutWaiting(e *Env) {
	c, p := e.Client(), e.Path("/gone")
	c.Create(p, "", wire.FlagEphemeral)
	o := e.Another()
	o.OK(wire.OpExists, PathFlag(p, true))
	c.Write(Request(0x7fffffff, wire.OpCloseSession, nil))
	c.Conn.Close()
	if r, ev := o.Next(); r != nil || ev.Type != wire.EventNodeDeleted {
		e.Errorf("got %+v %+v, want NodeDeleted", r, ev)
	}
}

func silenceEndsSession(e *Env) {
	o, p := e.Another(), e.Path("/eph")
	c := Dial(e, e.Addr)
	s := c.Connect(wire.ConnectRequest{TimeoutMs: 4000})
	c.Create(p, "", wire.FlagEphemeral)
	began := time.Now()
	o.OK(wire.OpExists, PathFlag(p, true))
	if r, ev := o.Next(); r != nil || ev.Type != wire.EventNodeDeleted {
		e.Fatalf("got %+v %+v, want NodeDeleted", r, ev)
	}
	// Between the timeout and one tick more, and what the machine needs.
	if d := time.Since(began); d < 4*time.Second-50*time.Millisecond || d > 6*time.Second+5*time.Second {
		e.Errorf("session died %v after its last request", d)
	}
	c.WantClosed()
	wantRefused(e, Dial(e, e.Addr), wire.ConnectRequest{TimeoutMs: 4000, SessionID: s.SessionID, Password: s.Password[:]})
}

func pingsKeepSession(e *Env) {
	c := Dial(e, e.Addr)
	c.Connect(wire.ConnectRequest{TimeoutMs: 4000})
	p := e.Path("/eph")
	c.Create(p, "", wire.FlagEphemeral)
	for end := time.Now().Add(7 * time.Second); time.Now().Before(end); {
		r := c.Do(wire.OpPing, nil)
		if r.Xid != wire.XidPing || r.Code != 0 || len(r.Body) != 0 {
			e.Fatalf("ping: %+v", r)
		}
		c.Conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Conn.Read(make([]byte, 1)); err == nil {
			e.Fatal("unexpected byte")
		}
	}
	c.Stat(p)
	c.closeSession()
}

func xidEchoed(e *Env) {
	c := e.Client()
	for _, xid := range []int32{0, 5, 5, 1, -7, -2147483648, 2147483647} {
		c.Write(Request(xid, wire.OpExists, PathFlag("/", false)))
		if r := c.Reply(); r.Xid != xid || r.Code != 0 {
			e.Errorf("exists with xid %d: %+v", xid, r)
		}
	}
	c.Write(Request(77, wire.OpPing, nil))
	if r := c.Reply(); r.Xid != wire.XidPing {
		e.Errorf("ping with xid 77: %+v", r)
	}
}

func pipelineOrder(e *Env) {
	c, p := e.Client(), e.Path("/n")
	var b []byte
	const rounds = 50
	for i := range int32(rounds) {
		b = append(b, Request(6*i+1, wire.OpCreate, Create(p, []byte{byte(i)}, 0, wire.OpenACL))...)
		b = append(b, Request(6*i+2, wire.OpGetData, PathFlag(p, false))...)
		b = append(b, Request(6*i+3, wire.OpSetData, SetData(p, []byte{byte(i), 1}, 0))...)
		b = append(b, Request(6*i+4, wire.OpGetData, PathFlag(p, false))...)
		b = append(b, Request(6*i+5, wire.OpDelete, PathInt(p, 1))...)
		b = append(b, Request(6*i+6, wire.OpExists, PathFlag(p, false))...)
	}
	c.Write(b)
	last := int64(0)
	for i := range int32(rounds) {
		for j := int32(1); j <= 6; j++ {
			r := c.Reply()
			want := wire.CodeOK
			if j == 6 {
				want = wire.CodeNoNode
			}
			if r.Xid != 6*i+j || r.Code != want || r.Zxid < last {
				e.Fatalf("round %d step %d: %+v behind zxid %x", i, j, r, last)
			}
			last = r.Zxid
			if j == 2 || j == 4 {
				d := wire.NewDecoder(r.Body)
				if data := d.Buffer(); len(data) != int(j/2) || data[0] != byte(i) {
					e.Fatalf("round %d step %d: data %x", i, j, data)
				}
			}
		}
	}
}

func replyZxid(e *Env) {
	c, p := e.Client(), e.Path("/z")
	w := c.OK(wire.OpCreate, Create(p, nil, 0, wire.OpenACL))
	if s := c.Stat(p); s.Czxid != w.Zxid || s.Mzxid != w.Zxid || s.Pzxid != w.Zxid {
		e.Errorf("stat %+v, created under %x", s, w.Zxid)
	}
	f := c.Fails(wire.CodeNodeExists, wire.OpCreate, Create(p, nil, 0, wire.OpenACL))
	if f.Zxid <= w.Zxid {
		e.Errorf("a failed write under zxid %x does not come after %x", f.Zxid, w.Zxid)
	}
	if r := c.OK(wire.OpSync, Str(p)); r.Zxid < f.Zxid || !bytes.Equal(r.Body, Str(p)) {
		e.Errorf("sync: %+v", r)
	}
	if r := c.OK(wire.OpAuth, AuthPacket("digest", "u:p")); r.Zxid != 0 {
		e.Errorf("auth with zxid %x", r.Zxid)
	}
}

func saslWithout(e *Env) {
	r := e.Client().OK(wire.OpSASL, wire.AppendBuffer(nil, []byte{}))
	if !bytes.Equal(r.Body, wire.AppendInt(nil, -1)) || r.Zxid != 0 {
		e.Errorf("sasl: %+v", r)
	}
}

func getEphemerals(e *Env) {
	c := e.Client()
	a, ab := e.Path("/a"), e.Path("/ab")
	c.Create(a, "", wire.FlagEphemeral)
	c.Create(ab, "", wire.FlagEphemeral)
	c.Create(e.Path("/persistent"), "", wire.FlagPersistent)
	e.Another().Create(e.Path("/other"), "", wire.FlagEphemeral)
	for _, q := range []struct {
		prefix []byte
		want   int
	}{{Str(a), 2}, {Str(ab), 1}, {Str(""), 2}, {Str("/"), 2}, {wire.AppendInt(nil, -1), 2}, {Str("/nothing"), 0}} {
		d := wire.NewDecoder(c.OK(wire.OpGetEphemerals, q.prefix).Body)
		if got := DecodePaths(&d); len(got) != q.want {
			e.Errorf("ephemerals with prefix %q: %v, want %d", q.prefix, got, q.want)
		}
	}
}
