package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"ottla/coord/wire"
)

// Further things that clients may notice.
var moreChecks = []check{
	{name: "a boolean of 2 is true", run: boolOfTwo},
	{name: "null and empty lists", run: nullLists},
	{name: "order of errors of setData", run: setDataErrors},
	{name: "order of errors of setACL", run: setACLErrors},
	{name: "order of errors of check", run: checkErrors},
	{name: "order of errors of getACL", run: getACLErrors},
	{name: "the same node twice in a multi", run: multiSameNode},
	{name: "a node comes and goes in a multi", run: multiBlink},
	{name: "no right in a multi", run: multiNoRight},
	{name: "sequences in a multi", run: multiSequence},
	{name: "ephemeral and session in a multi", run: multiEphemeral},
	{name: "sync shows what others wrote", run: syncOthers},
	{name: "perms are stored as they are", run: permsStored},
	{name: "attach negotiates anew", run: attachTimeout},
	{name: "attach without the readOnly byte", run: attachOldClient},
	{name: "ephemeral of a closed session can be made again", run: ephemeralAgain},
	{name: "two sessions, one path", run: ephemeralContest},
	{name: "expired session is told nothing", run: expiredSession, slow: true},
	{name: "who says nothing is dropped", run: sessionless, slow: true},
	{name: "ping in a pipeline", run: pingInPipeline},
	{name: "reads behind the close", run: behindClose},
	{name: "deep paths", run: deepPaths},
	{name: "many children", run: manyChildren},
	{name: "empty and missing data", run: setNull},
	{name: "getAllChildrenNumber", run: allChildrenNumber},
	{name: "getEphemerals when there are none", run: noEphemerals},
	{name: "auth twice is one identity", run: authTwice},
	{name: "ip lists", run: ipLists},
	{name: "null names in lists", run: nullNames},
}

func boolOfTwo(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, append(Str(p), 2))
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p})
}

func nullLists(e *Env) {
	c, p := e.Client(), e.Path("/n")
	null, empty := wire.AppendInt(nil, -1), wire.AppendInt(nil, 0)
	body := func(lists ...[]byte) []byte {
		return slices.Concat(append([][]byte{wire.AppendLong(nil, 0)}, lists...)...)
	}
	c.OK(wire.OpSetWatches, body(empty, empty, empty))
	c.Fails(wire.CodeMarshallingError, wire.OpSetWatches, body(null, empty, empty))
	c.Fails(wire.CodeMarshallingError, wire.OpSetWatches2, body(empty, empty, empty, empty, null))
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, wire.AppendInt(append(wire.AppendBuffer(Str(p), nil), null...), 0))
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, wire.AppendInt(append(wire.AppendBuffer(Str(p), nil), empty...), 0))
	c.Create(p, "", 0)
	c.Fails(wire.CodeInvalidACL, wire.OpSetACL, wire.AppendInt(append(Str(p), null...), -1))
	c.Fails(wire.CodeInvalidACL, wire.OpSetACL, wire.AppendInt(append(Str(p), empty...), -1))
}

// closed makes a node that a client without identity may only administer or not even that.
func closed(e *Env, name string, perms int32) string {
	e.Helper()
	o, p := e.Another(), e.Path(name)
	o.Auth("u:p")
	list := []wire.ACL{digest(31, hashUP)}
	if perms != 0 {
		list = append(list, entry(perms, "world", "anyone"))
	}
	o.OK(wire.OpCreate, Create(p, []byte("x"), 0, list))
	return p
}

func setDataErrors(e *Env) {
	c, p := e.Client(), closed(e, "/n", wire.PermRead)
	c.Fails(wire.CodeNoAuth, wire.OpSetData, SetData(p, nil, 99))
	c.Fails(wire.CodeNoNode, wire.OpSetData, SetData(p+"/none", nil, 99))
	c.Fails(wire.CodeBadArguments, wire.OpSetData, SetData(p+"/", nil, 99))
	c.Auth("u:p")
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, nil, 99))
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, nil, -2))
	c.OK(wire.OpSetData, SetData(p, nil, 0))
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, nil, 0))
}

func setACLErrors(e *Env) {
	c, p := e.Client(), closed(e, "/n", 31&^wire.PermAdmin)
	bad := []wire.ACL{entry(31, "nosuch", "x")}
	c.Fails(wire.CodeBadArguments, wire.OpSetACL, SetACL(p+"/", bad, 99))
	c.Fails(wire.CodeInvalidACL, wire.OpSetACL, SetACL(p+"/none", bad, 99))
	c.Fails(wire.CodeNoNode, wire.OpSetACL, SetACL(p+"/none", wire.OpenACL, 99))
	c.Fails(wire.CodeNoAuth, wire.OpSetACL, SetACL(p, wire.OpenACL, 99))
	c.Auth("u:p")
	c.Fails(wire.CodeBadVersion, wire.OpSetACL, SetACL(p, wire.OpenACL, 1))
	s := DecodeStat(e, c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, 0)).Body)
	if s.Aversion != 1 || s.Version != 0 || s.Mzxid != s.Czxid {
		e.Errorf("stat %+v", s)
	}
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, 1)) // not the version of the data
}

func checkErrors(e *Env) {
	c, p := e.Client(), closed(e, "/n", 31&^wire.PermRead)
	for _, x := range []struct {
		path    string
		version int32
		want    wire.Code
	}{{p + "/", 99, wire.CodeBadArguments}, {p + "/none", 99, wire.CodeNoNode}, {p, 99, wire.CodeNoAuth}} {
		got := multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpCheck, PathInt(x.path, x.version)})))
		if len(got) != 1 || got[0].code != x.want {
			e.Errorf("check %s: %+v, want %v", x.path, got, x.want)
		}
	}
	c.Auth("u:p")
	for version, want := range map[int32]wire.Code{-1: 0, 0: 0, 1: wire.CodeBadVersion} {
		got := multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpCheck, PathInt(p, version)})))
		if len(got) != 1 || got[0].code != want {
			e.Errorf("check of version %d: %+v, want %v", version, got, want)
		}
	}
}

func getACLErrors(e *Env) {
	c, p := e.Client(), closed(e, "/n", wire.PermWrite|wire.PermCreate|wire.PermDelete)
	c.Fails(wire.CodeNoNode, wire.OpGetACL, Str(p+"/none"))
	c.Fails(wire.CodeNoNode, wire.OpGetACL, Str(p+"/"))
	c.Fails(wire.CodeNoAuth, wire.OpGetACL, Str(p))
	q := closed(e, "/admin", wire.PermAdmin)
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(q)).Body)
	if acls, _ := d.ACLs(); !slices.Contains(acls, digest(31, hashUP)) {
		e.Errorf("who administers sees %v", acls)
	}
	c.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(q, false))
}

func multiSameNode(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(
		Part{wire.OpSetData, SetData(p, []byte("1"), 0)}, Part{wire.OpCheck, PathInt(p, 1)}, Part{wire.OpSetData, SetData(p, []byte("22"), 1)})))
	if len(got) != 3 || got[0].stat.Version != 1 || got[2].stat.Version != 2 || got[0].stat.Mzxid != got[2].stat.Mzxid || got[0].stat.DataLength != 1 {
		e.Errorf("results %+v", got)
	}
	got = multiAnswer(e, c.OK(wire.OpMulti, Multi(
		Part{wire.OpSetData, SetData(p, []byte("3"), 2)}, Part{wire.OpSetData, SetData(p, []byte("4"), 2)})))
	if len(got) != 2 || got[0].code != 0 || got[1].code != wire.CodeBadVersion {
		e.Errorf("results %+v", got)
	}
	if s := c.Stat(p); s.Version != 2 || s.DataLength != 2 {
		e.Errorf("stat %+v", s)
	}
}

func multiBlink(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	o.Do(wire.OpExists, PathFlag(p, true))
	o.OK(wire.OpGetChildren, PathFlag(e.Path(""), true))
	o.OK(wire.OpAddWatch, PathInt(p, 0))
	r := c.OK(wire.OpMulti, Multi(Part{wire.OpCreate, Create(p, nil, 0, wire.OpenACL)}, Part{wire.OpDelete, PathInt(p, 0)}))
	wantEvents(e, o, Event{wire.EventNodeCreated, p, r.Zxid}, Event{wire.EventNodeChildrenChanged, e.Path(""), r.Zxid}, Event{wire.EventNodeDeleted, p, r.Zxid})
	if s := c.Stat(e.Path("")); s.Cversion != 2 || s.NumChildren != 0 || s.Pzxid != r.Zxid {
		e.Errorf("parent %+v", s)
	}
}

func multiNoRight(e *Env) {
	c, p := e.Client(), closed(e, "/n", wire.PermRead)
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpCreate, Create(e.Path("/x"), nil, 0, wire.OpenACL)}, Part{wire.OpSetData, SetData(p, nil, -1)},
		Part{wire.OpCheck, PathInt(p, 0)})))
	if len(got) != 3 || got[0].code != 0 || got[1].code != wire.CodeNoAuth || got[2].code != wire.CodeRuntimeInconsistency {
		e.Errorf("results %+v", got)
	}
	c.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(e.Path("/x"), false))
}

func multiSequence(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	seq := Part{wire.OpCreate, Create(p+"/s-", nil, wire.FlagPersistentSequential, wire.OpenACL)}
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(seq, seq, Part{wire.OpCreate, Create(p+"/plain", nil, 0, wire.OpenACL)}, seq)))
	if len(got) != 4 || got[0].path != p+"/s-0000000000" || got[1].path != p+"/s-0000000001" || got[3].path != p+"/s-0000000003" {
		e.Errorf("results %+v", got)
	}
	got = multiAnswer(e, c.OK(wire.OpMulti, Multi(seq, Part{wire.OpDelete, PathInt(p+"/none", -1)})))
	if len(got) != 2 || got[1].code != wire.CodeNoNode {
		e.Errorf("results %+v", got)
	}
	if got := c.Create(p+"/s-", "", wire.FlagPersistentSequential); got != p+"/s-0000000004" {
		e.Errorf("behind a failed multi: %s", got)
	}
}

func multiEphemeral(e *Env) {
	c, p := e.Client(), e.Path("/n")
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpCreate2, Create(p, nil, wire.FlagEphemeral, wire.OpenACL)})))
	if len(got) != 1 || got[0].stat.EphemeralOwner != c.Session.SessionID {
		e.Errorf("results %+v", got)
	}
	got = multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpCreate, Create(p+"/x", nil, 0, wire.OpenACL)})))
	if len(got) != 1 || got[0].code != wire.CodeNoChildrenForEphemerals {
		e.Errorf("results %+v", got)
	}
	c.OK(wire.OpCloseSession, nil)
	e.Another().Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p, false))
}

func syncOthers(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	for i := range 20 {
		r := o.OK(wire.OpCreate, Create(fmt.Sprintf("%s%d", p, i), nil, 0, wire.OpenACL))
		c.Write(append(Request(1, wire.OpSync, Str(p)), Request(2, wire.OpExists, PathFlag(fmt.Sprintf("%s%d", p, i), false))...))
		if s := c.Reply(); s.Zxid < r.Zxid {
			e.Errorf("sync answers zxid %x, written under %x", s.Zxid, r.Zxid)
		}
		if x := c.Reply(); x.Code != wire.CodeOK {
			e.Errorf("not there: %v", x.Code)
		}
	}
}

func permsStored(e *Env) {
	c, p := e.Client(), e.Path("/n")
	list := []wire.ACL{entry(0, "world", "anyone"), entry(-1, "digest", "a:b"), entry(1<<20, "ip", "1.2.3.4"), entry(31, "world", "anyone")}
	c.OK(wire.OpCreate, Create(p, nil, 0, list))
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(p)).Body)
	if acls, _ := d.ACLs(); !slices.Equal(acls, list) {
		e.Errorf("list %v, want %v", acls, list)
	}
}

func attachTimeout(e *Env) {
	s := e.Client().Session
	for _, x := range []struct{ ask, want int32 }{{10000, 10000}, {1, 4000}, {1 << 30, 40000}, {30000, 30000}} {
		c := Dial(e, e.Addr)
		got := c.Connect(wire.ConnectRequest{TimeoutMs: x.ask, SessionID: s.SessionID, Password: s.Password[:]})
		if got.TimeoutMs != x.want || got.SessionID != s.SessionID || got.Password != s.Password {
			e.Errorf("asked for %d: %+v", x.ask, got)
		}
	}
}

func attachOldClient(e *Env) {
	s := e.Client().Session
	c := Dial(e, e.Addr)
	c.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 30000, SessionID: s.SessionID, Password: s.Password[:]}))
	if b := c.Frame(); len(b) != 36 {
		e.Errorf("%d bytes", len(b))
	}
	c = Dial(e, e.Addr)
	c.Write(connectFrame(wire.ConnectRequest{TimeoutMs: 30000, SessionID: s.SessionID ^ 1, Password: s.Password[:]}))
	if b := c.Frame(); len(b) != 36 || !bytes.Equal(b[4:16], make([]byte, 12)) || !bytes.Equal(b[20:], make([]byte, 16)) {
		e.Errorf("refused with %x", b)
	}
	c.WantClosed()
}

func ephemeralAgain(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	first := c.OK(wire.OpCreate2, Create(p, nil, wire.FlagEphemeral, wire.OpenACL))
	c.OK(wire.OpCloseSession, nil)
	second := o.OK(wire.OpCreate2, Create(p, nil, wire.FlagEphemeral, wire.OpenACL))
	if s := o.Stat(p); s.EphemeralOwner != o.Session.SessionID || s.Czxid != second.Zxid || second.Zxid <= first.Zxid {
		e.Errorf("stat %+v", s)
	}
}

func ephemeralContest(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "mine", wire.FlagEphemeral)
	o.Fails(wire.CodeNodeExists, wire.OpCreate, Create(p, []byte("yours"), wire.FlagEphemeral, wire.OpenACL))
	o.OK(wire.OpExists, PathFlag(p, true))
	c.OK(wire.OpCloseSession, nil)
	awaitEvent(e, o, wire.EventNodeDeleted, p)
	o.Create(p, "yours", wire.FlagEphemeral)
}

func expiredSession(e *Env) {
	c, o, p := Dial(e, e.Addr), e.Client(), e.Path("/n")
	c.Connect(wire.ConnectRequest{TimeoutMs: 4000})
	c.Create(p, "", wire.FlagEphemeral)
	o.OK(wire.OpExists, PathFlag(p, true))
	awaitEvent(e, o, wire.EventNodeDeleted, p)
	c.Conn.SetWriteDeadline(time.Now().Add(patience))
	c.Conn.Write(Request(9, wire.OpExists, PathFlag("/", false))) // may fail: the connection is closed by now
	c.WantClosed()
}

func sessionless(e *Env) {
	silent, half := Dial(e, e.Addr), Dial(e, e.Addr)
	began := time.Now()
	half.Write([]byte{0, 0})
	for _, c := range []*Client{silent, half} {
		c.WantClosed()
		if d := time.Since(began); d < 9*time.Second {
			e.Errorf("closed after %v", d)
		}
	}
}

func pingInPipeline(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Write(slices.Concat(Request(1, wire.OpCreate, Create(p, nil, 0, wire.OpenACL)), Request(-2, wire.OpPing, nil), Request(2, wire.OpExists, PathFlag(p, false)),
		Request(-2, wire.OpPing, nil), Request(3, wire.OpDelete, PathInt(p, -1))))
	for i, want := range []int32{1, -2, 2, -2, 3} {
		if r := c.Reply(); r.Xid != want || r.Code != wire.CodeOK {
			e.Errorf("answer %d: %+v", i, r)
		}
	}
}

func behindClose(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Write(slices.Concat(Request(1, wire.OpCreate, Create(p, nil, 0, wire.OpenACL)), Request(2, wire.OpExists, PathFlag(p, false)), Request(3, wire.OpCloseSession, nil)))
	for want := int32(1); want <= 3; want++ {
		if r := c.Reply(); r.Xid != want || r.Code != wire.CodeOK {
			e.Errorf("answer %d: %+v", want, r)
		}
	}
	c.WantClosed()
}

func deepPaths(e *Env) {
	c, p := e.Client(), e.Path("")
	for range 200 {
		p += "/d"
		c.Create(p, "", 0)
	}
	c.Stat(p)
	if r := c.OK(wire.OpGetAllChildrenNumber, Str(e.Path(""))); !bytes.Equal(r.Body, wire.AppendInt(nil, 200)) {
		e.Errorf("%x below", r.Body)
	}
	c.Fails(wire.CodeNotEmpty, wire.OpDelete, PathInt(e.Path("/d"), -1))
}

func manyChildren(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	const n = 1000
	var b []byte
	for i := range int32(n) {
		b = append(b, Request(i+1, wire.OpCreate, Create(fmt.Sprintf("%s/%d", p, i), nil, 0, wire.OpenACL))...)
	}
	c.Write(b)
	for range n {
		if r := c.Reply(); r.Code != wire.CodeOK {
			e.Fatal(r.Code)
		}
	}
	d := wire.NewDecoder(c.OK(wire.OpGetChildren2, PathFlag(p, false)).Body)
	names := DecodePaths(&d)
	slices.Sort(names)
	if s := DecodeStat(e, d.Rest()); len(slices.Compact(names)) != n || s.NumChildren != n || s.Cversion != n {
		e.Errorf("%d names, %+v", len(names), s)
	}
}

func setNull(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "x", 0)
	for version, data := range [][]byte{nil, {}, []byte("y"), nil} {
		s := DecodeStat(e, c.OK(wire.OpSetData, SetData(p, data, int32(version))).Body)
		d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(p, false)).Body)
		if got := d.Buffer(); !bytes.Equal(got, data) || (got == nil) != (data == nil) || s.DataLength != int32(len(data)) {
			e.Errorf("stored %v, got %v, %+v", data, got, s)
		}
	}
}

func allChildrenNumber(e *Env) {
	c, p := e.Client(), closed(e, "/n", wire.PermCreate)
	c.Fails(wire.CodeNoAuth, wire.OpGetAllChildrenNumber, Str(p))
	c.Fails(wire.CodeNoNode, wire.OpGetAllChildrenNumber, Str(p+"/none"))
	c.Create(p+"/hidden", "", 0)
	if r := c.OK(wire.OpGetAllChildrenNumber, Str(e.Path(""))); !bytes.Equal(r.Body, wire.AppendInt(nil, 2)) {
		e.Errorf("%x below, those that may not be read included", r.Body)
	}
}

func noEphemerals(e *Env) {
	r := e.Client().OK(wire.OpGetEphemerals, Str("/"))
	if !bytes.Equal(r.Body, wire.AppendInt(nil, 0)) {
		e.Errorf("%x", r.Body)
	}
}

func authTwice(e *Env) {
	c, p := e.Client(), e.Path("/n")
	for range 3 {
		c.Auth("u:p")
	}
	wantIdentities(e, c, "digest:u")
	c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "auth", ""), entry(1, "auth", ""), entry(31, "auth", "again")}))
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(p)).Body)
	if acls, _ := d.ACLs(); len(acls) < 2 || acls[0] != digest(31, hashUP) || !slices.Contains(acls, digest(1, hashUP)) {
		e.Errorf("list %v", acls)
	}
}

func ipLists(e *Env) {
	c := e.Client()
	for id, want := range map[string]wire.Code{
		"127.0.0.1": 0, "127.0.0.0/8": 0, "0.0.0.0/0": 0, "10.0.0.0/8": wire.CodeNoAuth, "127.0.0.2": wire.CodeNoAuth, "127.0.0.2/31": wire.CodeNoAuth,
		"127.0.0.0/30": 0, "::1": wire.CodeNoAuth, "127.0.0.1/32": 0,
	} {
		p := e.Path("/n" + fmt.Sprintf("%x", id))
		c.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, "ip", id)}))
		if r := c.Do(wire.OpGetData, PathFlag(p, false)); r.Code != want {
			e.Errorf("%s: %v, want %v", id, r.Code, want)
		}
	}
}

// nullNames: kazoo sends the empty name of auth as null.
func nullNames(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Auth("u:p")
	null := func(scheme string) []byte {
		b := wire.AppendInt(wire.AppendInt(wire.AppendBuffer(Str(p), nil), 1), 31)
		return wire.AppendInt(wire.AppendInt(wire.AppendString(b, scheme), -1), 0)
	}
	for scheme, want := range map[string]wire.Code{"world": wire.CodeMarshallingError, "ip": wire.CodeMarshallingError, "digest": wire.CodeMarshallingError, "nosuch": wire.CodeInvalidACL} {
		c.Fails(want, wire.OpCreate, null(scheme))
	}
	c.OK(wire.OpCreate, null("auth"))
	d := wire.NewDecoder(c.OK(wire.OpGetACL, Str(p)).Body)
	if acls, _ := d.ACLs(); !slices.Equal(acls, []wire.ACL{digest(31, hashUP)}) {
		e.Errorf("list %v", acls)
	}
}
