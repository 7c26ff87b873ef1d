package conformance

import (
	"fmt"
	"slices"
	"strings"

	"ottla/coord/wire"
)

var aclChecks = []check{
	{name: "which right where", run: rights},
	{name: "auth becomes identities", run: authScheme},
	{name: "lists that are refused", run: refusedLists},
	{name: "duplicates", run: duplicateEntries},
	{name: "getACL hides hashes", run: getACLHides},
	{name: "ip", run: ipEntries},
	{name: "super", run: superUser},
	{name: "auth packets", run: authPackets},
	{name: "auth is refused", run: authRefused},
	{name: "auth counts for later requests", run: authOrder},
	{name: "whoAmI", run: whoAmI},
}

func digest(perms int32, id string) wire.ACL {
	return wire.ACL{Perms: perms, ID: wire.ID{Scheme: "digest", ID: id}}
}

func entry(perms int32, scheme, id string) wire.ACL {
	return wire.ACL{Perms: perms, ID: wire.ID{Scheme: scheme, ID: id}}
}

func world(perms int32) []wire.ACL { return []wire.ACL{{Perms: perms, ID: wire.WorldAnyone}} }

func rights(e *Env) {
	c := e.Client()
	node := func(name string, perms int32) string {
		p := e.Path("/" + name)
		c.OK(wire.OpCreate, Create(p, nil, 0, wire.OpenACL))
		c.OK(wire.OpCreate, Create(p+"/child", nil, 0, wire.OpenACL))
		c.OK(wire.OpSetACL, SetACL(p, world(perms), -1))
		return p
	}
	for _, perm := range []int32{wire.PermRead, wire.PermWrite, wire.PermCreate, wire.PermDelete, wire.PermAdmin} {
		for _, x := range []struct {
			op    wire.Op
			body  func(p string) []byte
			needs int32
		}{
			{wire.OpGetData, func(p string) []byte { return PathFlag(p, false) }, wire.PermRead},
			{wire.OpExists, func(p string) []byte { return PathFlag(p, false) }, wire.PermRead},
			{wire.OpGetChildren, func(p string) []byte { return PathFlag(p, false) }, wire.PermRead},
			{wire.OpGetChildren2, func(p string) []byte { return PathFlag(p, false) }, wire.PermRead},
			{wire.OpGetAllChildrenNumber, Str, wire.PermRead},
			{wire.OpGetACL, Str, wire.PermRead | wire.PermAdmin},
			{wire.OpSetData, func(p string) []byte { return SetData(p, nil, -1) }, wire.PermWrite},
			{wire.OpCreate, func(p string) []byte { return Create(p+"/new", nil, 0, wire.OpenACL) }, wire.PermCreate},
			{wire.OpDelete, func(p string) []byte { return PathInt(p+"/child", -1) }, wire.PermDelete},
			{wire.OpSetACL, func(p string) []byte { return SetACL(p, wire.OpenACL, -1) }, wire.PermAdmin},
			{wire.OpMulti, func(p string) []byte { return Multi(Part{wire.OpCheck, PathInt(p, -1)}) }, wire.PermRead},
			{wire.OpSync, Str, 31},
			{wire.OpAddWatch, func(p string) []byte { return PathInt(p, 0) }, 31},
		} {
			p := node(fmt.Sprintf("n%d-%d", perm, x.op), perm)
			r := c.Do(x.op, x.body(p))
			code := r.Code
			if x.op == wire.OpMulti {
				d := wire.NewDecoder(r.Body)
				d.Int()
				d.Bool()
				code = wire.Code(d.Int())
			}
			want := wire.CodeOK
			if x.needs&perm == 0 {
				want = wire.CodeNoAuth
			}
			if code != want {
				e.Errorf("op %d with right %d: %v, want %v", x.op, perm, code, want)
			}
		}
	}
}

func readACL(e *Env, c *Client, path string) []wire.ACL {
	e.Helper()
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(path)).Body)
	acls, _ := d.ACLs()
	DecodeStat(e, d.Rest())
	return acls
}

const (
	hashUP = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=" // u:p
	hashVQ = "v:3mfgxAS1O5hj/y0RLDPPQxQqhz4="
)

func authScheme(e *Env) {
	c, p := e.Client(), e.Path("/a")
	auth := []wire.ACL{entry(wire.PermAll, "auth", "")}
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p, nil, 0, auth))
	c.Auth("u:p")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(wire.PermAll, "auth", "ignored")}))
	if got := readACL(e, c, p); len(got) != 1 || got[0] != digest(31, hashUP) {
		e.Errorf("auth became %v", got)
	}
	o := e.Another()
	o.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	o.Auth("u:wrong")
	o.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	o.Auth("u:p")
	o.OK(wire.OpGetData, PathFlag(p, false))
	// Two identities give two entries.
	o.OK(wire.OpSetACL, SetACL(p, []wire.ACL{entry(wire.PermAll, "auth", "")}, -1))
	if got := readACL(e, o, p); len(got) != 2 {
		e.Errorf("two identities became %v", got)
	}
}

func refusedLists(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	null := func(scheme, id []byte) []byte { // an ACL with null fields
		b := wire.AppendInt(wire.AppendInt(nil, 1), 31)
		return wire.AppendBuffer(wire.AppendBuffer(b, scheme), id)
	}
	for _, list := range [][]byte{
		wire.AppendInt(nil, 0), wire.AppendInt(nil, -1), null(nil, []byte("x")),
	} {
		c.Fails(wire.CodeInvalidACL, wire.OpSetACL, wire.AppendInt(append(Str(p), list...), -1))
		body := append(wire.AppendBuffer(Str(e.Path("/new")), nil), list...)
		c.Fails(wire.CodeInvalidACL, wire.OpCreate, wire.AppendInt(body, 0))
	}
	for _, id := range []wire.ID{
		{Scheme: "world", ID: "somebody"}, {Scheme: "super", ID: "x"}, {Scheme: "nosuch", ID: "x"}, {Scheme: "sasl", ID: "x"},
		{Scheme: "digest", ID: "nocolon"}, {Scheme: "digest", ID: "a:b:c"}, {Scheme: "digest", ID: "a:"}, {Scheme: "digest", ID: ""},
		{Scheme: "ip", ID: "x"}, {Scheme: "ip", ID: "1.2.3"}, {Scheme: "ip", ID: "1.2.3.4/33"}, {Scheme: "ip", ID: "1.2.3.4/x"}, {Scheme: "ip", ID: "1.2.3.256"},
	} {
		c.Fails(wire.CodeInvalidACL, wire.OpSetACL, SetACL(p, []wire.ACL{{Perms: 31, ID: id}}, -1))
	}
	for _, id := range []wire.ID{
		{Scheme: "digest", ID: "a:b"}, {Scheme: "ip", ID: "1.2.3.4"}, {Scheme: "ip", ID: "10.0.0.0/8"}, {Scheme: "ip", ID: "10.1.2.3/8"},
		{Scheme: "ip", ID: "::1"}, {Scheme: "ip", ID: "fe80::/10"},
	} {
		c.OK(wire.OpSetACL, SetACL(p, []wire.ACL{{Perms: 31, ID: wire.WorldAnyone}, {Perms: 31, ID: id}}, -1))
	}
	// Any rights are stored as they are.
	c.OK(wire.OpSetACL, SetACL(p, []wire.ACL{{Perms: 31, ID: wire.WorldAnyone}, {Perms: 0, ID: wire.ID{Scheme: "ip", ID: "1.1.1.1"}}, {Perms: 255, ID: wire.ID{Scheme: "ip", ID: "1.1.1.2"}}}, -1))
	if got := readACL(e, c, p); len(got) != 3 || got[1].Perms != 0 || got[2].Perms != 255 {
		e.Errorf("stored %v", got)
	}
	c.Fails(wire.CodeInvalidACL, wire.OpSetACL, SetACL("/no/such", []wire.ACL{entry(1, "nosuch", "x")}, -1))
	c.Fails(wire.CodeBadArguments, wire.OpSetACL, SetACL("bad", []wire.ACL{entry(1, "nosuch", "x")}, -1))
}

func duplicateEntries(e *Env) {
	c, p := e.Client(), e.Path("/n")
	a := entry(wire.PermRead, "ip", "1.2.3.4")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{wire.OpenACL[0], a, wire.OpenACL[0], a}))
	if got := readACL(e, c, p); !slices.Equal(got, []wire.ACL{wire.OpenACL[0], a}) {
		e.Errorf("stored %v", got)
	}
}

func getACLHides(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Auth("u:p")
	list := []wire.ACL{entry(wire.PermRead, "world", "anyone"), digest(31, hashUP), entry(1, "ip", "1.2.3.4")}
	c.OK(wire.OpCreate, Create(p, nil, 0, list))
	if got := readACL(e, c, p); !slices.Equal(got, list) {
		e.Errorf("with ADMIN: %v", got)
	}
	list[1].ID.ID = "u:x"
	if got := readACL(e, e.Another(), p); !slices.Equal(got, list) {
		e.Errorf("without ADMIN: %v", got)
	}
	c.OK(wire.OpSetACL, SetACL(p, []wire.ACL{digest(31, hashUP)}, -1))
	e.Another().Fails(wire.CodeNoAuth, wire.OpGetACL, Str(p))
}

func ipEntries(e *Env) {
	c := e.Client()
	local := strings.Split(c.Conn.LocalAddr().String(), ":")[0]
	if !strings.HasPrefix(local, "127.") {
		e.Skip("not connected over IPv4 loopback")
	}
	for id, want := range map[string]wire.Code{
		local: 0, "127.0.0.0/8": 0, "127.255.0.0/8": 0, "0.0.0.0/0": 0, "128.0.0.0/1": wire.CodeNoAuth, "10.0.0.0/8": wire.CodeNoAuth,
		"127.0.0.2": wire.CodeNoAuth, "::1": wire.CodeNoAuth,
	} {
		p := e.Path("/" + strings.ReplaceAll(id, "/", "_"))
		c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "ip", id)}))
		if r := c.Do(wire.OpGetData, PathFlag(p, false)); r.Code != want {
			e.Errorf("ip:%s: %v, want %v", id, r.Code, want)
		}
	}
}

func superUser(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashVQ)}))
	c.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	c.Auth("super:wrong")
	c.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p, false))
	c.Auth("super:conform")
	c.OK(wire.OpGetData, PathFlag(p, false))
	c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, -1))
}

func authPackets(e *Env) {
	c := e.Client()
	for _, data := range []string{"u:p", "u:p", "nocolon", "", "a:b:c", ":"} {
		c.Auth(data)
	}
	c.OK(wire.OpAuth, AuthPacket("ip", "whatever"))
	for _, xid := range []int32{-4, 17} {
		c.Write(Request(xid, wire.OpAuth, AuthPacket("digest", "x:y")))
		if r := c.Reply(); r.Xid != xid || r.Zxid != 0 || r.Code != 0 || len(r.Body) != 0 {
			e.Errorf("auth: %+v", r)
		}
	}
}

func authRefused(e *Env) {
	for _, scheme := range []string{"nosuch", "world", "auth", "super", "sasl", "x509"} {
		c := Dial(e, e.Addr)
		s := c.Connect(wire.ConnectRequest{TimeoutMs: 10000})
		r := c.Do(wire.OpAuth, AuthPacket(scheme, "x"))
		if r.Code != wire.CodeAuthFailed || r.Zxid != 0 || len(r.Body) != 0 {
			e.Errorf("auth %s: %+v", scheme, r)
		}
		c.WantClosed()
		// The session is still there.
		n := Dial(e, e.Addr)
		if got := n.Connect(wire.ConnectRequest{TimeoutMs: 10000, SessionID: s.SessionID, Password: s.Password[:]}); got.SessionID != s.SessionID {
			e.Errorf("session gone after auth %s", scheme)
		}
		n.closeSession()
	}
}

func authOrder(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashUP)}))
	b := Request(1, wire.OpSetData, SetData(p, nil, -1))
	b = append(b, Request(2, wire.OpGetData, PathFlag(p, false))...)
	b = append(b, Request(3, wire.OpAuth, AuthPacket("digest", "u:p"))...)
	b = append(b, Request(4, wire.OpSetData, SetData(p, nil, -1))...)
	b = append(b, Request(5, wire.OpGetData, PathFlag(p, false))...)
	c.Write(b)
	codes, order := map[int32]wire.Code{}, []int32{}
	for range 5 {
		r := c.Reply()
		codes[r.Xid] = r.Code
		if r.Xid != 3 {
			order = append(order, r.Xid)
		}
	}
	if codes[1] != wire.CodeNoAuth || codes[2] != wire.CodeNoAuth || codes[3] != 0 || codes[4] != 0 || codes[5] != 0 {
		e.Errorf("codes %v", codes)
	}
	if !slices.Equal(order, []int32{1, 2, 4, 5}) {
		e.Errorf("order %v", order)
	}
}

func whoAmI(e *Env) {
	c := e.Client()
	read := func() (out []string) {
		d := wire.NewDecoder(c.OK(wire.OpWhoAmI, nil).Body)
		n, _ := d.Count(8)
		for range n {
			out = append(out, string(d.String())+":"+string(d.String()))
		}
		slices.Sort(out)
		return out
	}
	ip := "ip:" + strings.Split(c.Conn.LocalAddr().String(), ":")[0]
	if got := read(); !slices.Equal(got, []string{ip}) {
		e.Errorf("at first: %v", got)
	}
	c.Auth("u:p")
	if got := read(); !slices.Equal(got, []string{"digest:u", ip}) {
		e.Errorf("after auth: %v", got)
	}
}
