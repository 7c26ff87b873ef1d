package conformance

import (
	"bytes"
	"slices"

	"ottla/coord/wire"
)

var nodeChecks = []check{
	{name: "cversion and sequence", run: cversionAndSequence},
	{name: "sequence corner cases", run: sequenceCorners},
	{name: "stat of every change", run: statChanges},
	{name: "null and empty data", run: nullAndEmpty},
	{name: "order of errors of create", run: createErrors},
	{name: "paths", run: paths},
	{name: "paths of reads", run: pathsOfReads},
	{name: "flags of create", run: createFlags},
	{name: "special nodes", run: specialNodes},
	{name: "versions", run: versions},
	{name: "delete", run: deleteErrors},
	{name: "ephemerals have no children", run: ephemeralChildren},
	{name: "containers", run: containers},
	{name: "children", run: children},
}

func cversionAndSequence(e *Env) {
	c, p := e.Client(), e.Path("/p")
	c.Create(p, "", 0)
	for _, k := range []string{"/a", "/b", "/c"} {
		c.Create(p+k, "", 0)
	}
	c.OK(wire.OpDelete, PathInt(p+"/b", -1))
	wantStat(e, c.Stat(p), 0, 4, 0, 2)
	if got := c.Create(p+"/s-", "", wire.FlagPersistentSequential); got != p+"/s-0000000003" {
		e.Errorf("sequential node %s", got)
	}
	// A failed create takes no number.
	c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p+"/s-", nil, wire.FlagPersistentSequential, nil))
	if got := c.Create(p+"/t-", "", wire.FlagEphemeralSequential); got != p+"/t-0000000004" {
		e.Errorf("sequential node %s", got)
	}
}

func sequenceCorners(e *Env) {
	c, p := e.Client(), e.Path("/p")
	c.Create(p, "", 0)
	if got := c.Create(p+"/", "", wire.FlagPersistentSequential); got != p+"/0000000000" {
		e.Errorf("sequential node without a name: %s", got)
	}
	c.Fails(wire.CodeBadArguments, wire.OpCreate, Create(p+"/", nil, 0, wire.OpenACL))
	c.Create(p+"/0000000001x", "", 0)
	c.Fails(wire.CodeNoNode, wire.OpCreate, Create(p+"/none/s-", nil, wire.FlagPersistentSequential, wire.OpenACL))
}

func statChanges(e *Env) {
	c, p := e.Client(), e.Path("/s")
	made := c.OK(wire.OpCreate2, Create(p, []byte("one"), 0, wire.OpenACL))
	d := wire.NewDecoder(made.Body)
	if got := string(d.String()); got != p {
		e.Errorf("create2 answers path %q", got)
	}
	first := DecodeStat(e, d.Rest())
	want := wire.Stat{Czxid: made.Zxid, Mzxid: made.Zxid, Pzxid: made.Zxid, Ctime: first.Ctime, Mtime: first.Ctime, DataLength: 3}
	if first != want || first.Ctime == 0 {
		e.Errorf("create2: %+v, want %+v", first, want)
	}
	set := c.OK(wire.OpSetData, SetData(p, []byte("three"), -1))
	second := DecodeStat(e, set.Body)
	want.Mzxid, want.Mtime, want.Version, want.DataLength = set.Zxid, second.Mtime, 1, 5
	if second != want || second.Mtime < second.Ctime {
		e.Errorf("setData: %+v, want %+v", second, want)
	}
	third := DecodeStat(e, c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, 0)).Body)
	want.Aversion = 1
	if third != want {
		e.Errorf("setACL: %+v, want %+v", third, want)
	}
	child := c.OK(wire.OpCreate, Create(p+"/c", nil, 0, wire.OpenACL))
	want.Pzxid, want.Cversion, want.NumChildren = child.Zxid, 1, 1
	if got := c.Stat(p); got != want {
		e.Errorf("child made: %+v, want %+v", got, want)
	}
	c.OK(wire.OpSetData, SetData(p+"/c", nil, -1))
	if got := c.Stat(p); got != want {
		e.Errorf("child changed: %+v, want %+v", got, want)
	}
	gone := c.OK(wire.OpDelete, PathInt(p+"/c", -1))
	want.Pzxid, want.Cversion, want.NumChildren = gone.Zxid, 2, 0
	if got := c.Stat(p); got != want {
		e.Errorf("child deleted: %+v, want %+v", got, want)
	}
}

func nullAndEmpty(e *Env) {
	c := e.Client()
	read := func(path string) []byte {
		d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(path, false)).Body)
		data := d.Buffer()
		if s := DecodeStat(e, d.Rest()); int(s.DataLength) != len(data) {
			e.Errorf("data %q with length %d", data, s.DataLength)
		}
		return data
	}
	for name, data := range map[string][]byte{"/null": nil, "/empty": {}, "/some": []byte("x")} {
		p := e.Path(name)
		c.OK(wire.OpCreate, Create(p, data, 0, wire.OpenACL))
		if got := read(p); !bytes.Equal(got, data) || (got == nil) != (data == nil) {
			e.Errorf("%s: created with %#v, read %#v", name, data, got)
		}
		for _, next := range [][]byte{nil, {}, []byte("y"), {}, nil} {
			c.OK(wire.OpSetData, SetData(p, next, -1))
			if got := read(p); !bytes.Equal(got, next) || (got == nil) != (next == nil) {
				e.Errorf("%s: set to %#v, read %#v", name, next, got)
			}
		}
	}
}

func createErrors(e *Env) {
	c := e.Client()
	eph := e.Path("/eph")
	c.Create(eph, "", wire.FlagEphemeral)
	closed := e.Path("/closed")
	c.OK(wire.OpCreate, Create(closed, nil, 0, []wire.ACL{{Perms: wire.PermRead, ID: wire.WorldAnyone}}))
	none := []wire.ACL(nil)
	bad := []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "nosuch", ID: "x"}}}
	for _, x := range []struct {
		why  string
		code wire.Code
		body []byte
	}{
		{"below an ephemeral", wire.CodeNoChildrenForEphemerals, Create(eph+"/x", nil, 0, wire.OpenACL)},
		{"missing parent before no right", wire.CodeNoNode, Create(closed+"/x/y", nil, 0, wire.OpenACL)},
		{"no right", wire.CodeNoAuth, Create(closed+"/x", nil, 0, wire.OpenACL)},
		{"no right before a bad name", wire.CodeNoAuth, Create(closed+"/..", nil, 0, wire.OpenACL)},
		{"bad ACL before missing parent", wire.CodeInvalidACL, Create("/none/x", nil, 0, bad)},
		{"empty ACL", wire.CodeInvalidACL, Create(e.Path("/x"), nil, 0, none)},
		{"bad flags before all", wire.CodeBadArguments, Create("/none/x", nil, 7, bad)},
		{"no slash", wire.CodeBadArguments, Create("x", nil, 0, bad)},
		{"exists", wire.CodeNodeExists, Create(closed, nil, 0, wire.OpenACL)},
		{"root", wire.CodeNodeExists, Create("/", nil, 0, wire.OpenACL)},
	} {
		if r := c.Do(wire.OpCreate, x.body); r.Code != x.code {
			e.Errorf("%s: %v, want %v", x.why, r.Code, x.code)
		}
	}
	// An existing node below an ephemeral parent cannot be; the name that exists beside one can.
	c.Fails(wire.CodeNodeExists, wire.OpCreate, Create(eph, nil, 0, wire.OpenACL))
}

func paths(e *Env) {
	c, p := e.Client(), e.Path("/a")
	c.Create(p, "", 0)
	for rest, want := range map[string]wire.Code{
		"/..": wire.CodeBadArguments, "/.": wire.CodeBadArguments, "/": wire.CodeBadArguments,
		"/\x01": wire.CodeBadArguments, "/\x1f": wire.CodeBadArguments, "/\x7f": wire.CodeBadArguments, "/\u009f": wire.CodeBadArguments,
		"/\ue000": wire.CodeBadArguments, "/\uf8ff": wire.CodeBadArguments, "/\uffff": wire.CodeBadArguments, "/\ufff0": wire.CodeBadArguments,
		"/\U0001f600": wire.CodeBadArguments, "/\x00": wire.CodeBadArguments, "/x\xff": wire.CodeBadArguments,
		"//b": wire.CodeNoNode, "/./b": wire.CodeNoNode, "/../b": wire.CodeNoNode,
		"/...": wire.CodeOK, "/.x": wire.CodeOK, "/a b": wire.CodeOK, "/\u00e9": wire.CodeOK, "/\uf900": wire.CodeOK, "/\uffef": wire.CodeOK,
		"/ ": wire.CodeOK, "/\u00a0": wire.CodeOK,
	} {
		if r := c.Do(wire.OpCreate, Create(p+rest, nil, 0, wire.OpenACL)); r.Code != want {
			e.Errorf("create %q: %v, want %v", "/a"+rest, r.Code, want)
		}
	}
}

func pathsOfReads(e *Env) {
	c, p := e.Client(), e.Path("/a")
	c.Create(p, "", 0)
	for _, x := range []struct {
		op   wire.Op
		path string
		want wire.Code
	}{
		{wire.OpGetData, "", wire.CodeOK},
		{wire.OpGetChildren, p + "/", wire.CodeNoNode},
		{wire.OpGetData, p + "/", wire.CodeNoNode},
		{wire.OpGetData, "a", wire.CodeNoNode},
		{wire.OpExists, "\x00", wire.CodeBadArguments},
		{wire.OpExists, p + "\x00", wire.CodeBadArguments},
		{wire.OpExists, "none", wire.CodeNoNode},
		{wire.OpGetData, "//", wire.CodeNoNode},
	} {
		if r := c.Do(x.op, PathFlag(x.path, false)); r.Code != x.want {
			e.Errorf("op %d %q: %v, want %v", x.op, x.path, r.Code, x.want)
		}
	}
	for _, x := range []struct {
		path string
		want wire.Code
	}{
		{"", wire.CodeBadArguments}, {"none", wire.CodeBadArguments}, {p + "/", wire.CodeBadArguments},
		{"/a//b", wire.CodeBadArguments}, {"/none", wire.CodeNoNode},
	} {
		if r := c.Do(wire.OpSetData, SetData(x.path, nil, -1)); r.Code != x.want {
			e.Errorf("setData %q: %v, want %v", x.path, r.Code, x.want)
		}
	}
}

func createFlags(e *Env) {
	c := e.Client()
	for _, x := range []struct {
		op    wire.Op
		flags int32
		ttl   bool
		want  wire.Code
	}{
		{wire.OpCreate, 4, false, wire.CodeOK},
		{wire.OpCreate, 5, false, wire.CodeUnimplemented},
		{wire.OpCreate, 6, false, wire.CodeUnimplemented},
		{wire.OpCreate, 7, false, wire.CodeBadArguments},
		{wire.OpCreate, -1, false, wire.CodeBadArguments},
		{wire.OpCreateTTL, 5, true, wire.CodeUnimplemented},
		{wire.OpCreateTTL, 0, true, wire.CodeBadArguments},
	} {
		p := e.Path("/f")
		body := Create(p, nil, x.flags, wire.OpenACL)
		if x.ttl {
			body = wire.AppendLong(body, 1000)
		}
		if r := c.Do(x.op, body); r.Code != x.want {
			e.Errorf("op %d with flags %d: %v, want %v", x.op, x.flags, r.Code, x.want)
		} else if r.Code == wire.CodeOK {
			if s := c.Stat(p); s.EphemeralOwner != 0 {
				e.Errorf("op %d with flags %d: owner %x", x.op, x.flags, s.EphemeralOwner)
			}
			c.OK(wire.OpDelete, PathInt(p, -1))
		}
	}
}

func specialNodes(e *Env) {
	c := e.Client()
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "none", "/x\x00"} {
		c.Fails(wire.CodeBadArguments, wire.OpDelete, PathInt(p, -1))
	}
	d := wire.NewDecoder(c.OK(wire.OpGetChildren, PathFlag("/zookeeper", false)).Body)
	if got := DecodePaths(&d); !slices.Contains(got, "config") || !slices.Contains(got, "quota") {
		e.Errorf("children of /zookeeper: %v", got)
	}
	d = wire.NewDecoder(c.OK(wire.OpGetData, PathFlag("/zookeeper/config", false)).Body)
	if data := d.Buffer(); data == nil || len(data) != 0 {
		e.Errorf("/zookeeper/config holds %#v", data)
	}
	if s := DecodeStat(e, d.Rest()); s.Aversion != -1 || s.Version != 0 || s.Czxid != 0 {
		e.Errorf("/zookeeper/config: %+v", s)
	}
	c.Fails(wire.CodeNoAuth, wire.OpSetData, SetData("/zookeeper/config", nil, -1))
	c.Fails(wire.CodeReconfigDisabled, wire.OpReconfig, bytes.Repeat([]byte{0, 0, 0, 0}, 5))
}

func versions(e *Env) {
	c, p := e.Client(), e.Path("/v")
	c.Create(p, "", 0)
	c.OK(wire.OpSetData, SetData(p, nil, 0))
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, nil, 0))
	c.OK(wire.OpSetData, SetData(p, nil, 1))
	c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, 0))
	c.Fails(wire.CodeBadVersion, wire.OpSetACL, SetACL(p, wire.OpenACL, 0))
	c.Fails(wire.CodeBadVersion, wire.OpSetACL, SetACL(p, wire.OpenACL, 2))
	c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, -1))
	wantStat(e, c.Stat(p), 2, 0, 2, 0)
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, nil, -2))
	c.Fails(wire.CodeBadVersion, wire.OpDelete, PathInt(p, 1))
	c.OK(wire.OpDelete, PathInt(p, 2))
}

func deleteErrors(e *Env) {
	c, p := e.Client(), e.Path("/d")
	c.Create(p, "", 0)
	c.Create(p+"/c", "", 0)
	c.Fails(wire.CodeBadVersion, wire.OpDelete, PathInt(p, 5)) // before the children
	c.Fails(wire.CodeNotEmpty, wire.OpDelete, PathInt(p, 0))
	c.Fails(wire.CodeNoNode, wire.OpDelete, PathInt(p+"/none", -1))
	c.Fails(wire.CodeNoNode, wire.OpDelete, PathInt(p+"/", -1))
	c.Fails(wire.CodeNoNode, wire.OpDelete, PathInt(p+"/none/x", -1))
	c.OK(wire.OpDelete, PathInt(p+"/c", -1))
	r := c.OK(wire.OpDelete, PathInt(p, 0))
	if len(r.Body) != 0 {
		e.Errorf("delete answers %x", r.Body)
	}
}

func ephemeralChildren(e *Env) {
	c, p := e.Client(), e.Path("/e")
	c.Create(p, "x", wire.FlagEphemeral)
	c.Fails(wire.CodeNoChildrenForEphemerals, wire.OpCreate, Create(p+"/c", nil, 0, wire.OpenACL))
	c.Fails(wire.CodeNoChildrenForEphemerals, wire.OpCreate, Create(p+"/c", nil, wire.FlagEphemeralSequential, wire.OpenACL))
	o := e.Another()
	o.OK(wire.OpSetData, SetData(p, []byte("y"), 0))
	if s := o.Stat(p); s.EphemeralOwner != c.Session.SessionID {
		e.Errorf("owner %x, want %x", s.EphemeralOwner, c.Session.SessionID)
	}
	o.OK(wire.OpDelete, PathInt(p, -1))
	o.Create(p, "", wire.FlagEphemeral)
}

func containers(e *Env) {
	c, p := e.Client(), e.Path("/c")
	d := wire.NewDecoder(c.OK(wire.OpCreateContainer, Create(p, []byte("x"), wire.FlagContainer, wire.OpenACL)).Body)
	if got := string(d.String()); got != p {
		e.Errorf("createContainer answers path %q", got)
	}
	if s := DecodeStat(e, d.Rest()); s.EphemeralOwner != 0 {
		e.Errorf("container: %+v", s)
	}
	c.Create(p+"/child", "", wire.FlagEphemeral)
	d = wire.NewDecoder(c.OK(wire.OpCreateContainer, Create(p+"/s", nil, wire.FlagPersistentSequential, wire.OpenACL)).Body)
	if got := string(d.String()); got != p+"/s0000000001" {
		e.Errorf("sequential container %q", got)
	}
}

func children(e *Env) {
	c, p := e.Client(), e.Path("/k")
	c.Create(p, "", 0)
	want := []string{"a", "b", "c"}
	for _, k := range want {
		c.Create(p+"/"+k, "", 0)
	}
	c.Create(p+"/a/deep", "", 0)
	for _, op := range []wire.Op{wire.OpGetChildren, wire.OpGetChildren2} {
		d := wire.NewDecoder(c.OK(op, PathFlag(p, false)).Body)
		got := DecodePaths(&d)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			e.Errorf("op %d: %v", op, got)
		}
		if op == wire.OpGetChildren && len(d.Rest()) != 0 || op == wire.OpGetChildren2 && DecodeStat(e, d.Rest()).NumChildren != 3 {
			e.Errorf("op %d: %x behind the children", op, d.Rest())
		}
	}
	if r := c.OK(wire.OpGetAllChildrenNumber, Str(p)); !bytes.Equal(r.Body, wire.AppendInt(nil, 4)) {
		e.Errorf("getAllChildrenNumber: %x", r.Body)
	}
	d := wire.NewDecoder(c.OK(wire.OpGetChildren, PathFlag(p+"/b", false)).Body)
	if n, null := d.Count(4); n != 0 || null {
		e.Errorf("children of a leaf: count %d, null %v", n, null)
	}
}
