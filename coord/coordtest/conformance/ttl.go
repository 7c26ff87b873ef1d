package conformance

import (
	"time"

	"ottla/coord/wire"
)

// With nodes that have a time to live, and a reaper that looks twice a second.
var ttlChecks = []check{
	{name: "a node with a time to live", run: ttlNode},
	{name: "sequential with a time to live", run: ttlSequential},
	{name: "what is refused", run: ttlRefused},
	{name: "in a multi", run: ttlInMulti},
	{name: "reaped when over", run: ttlReaped, slow: true},
	{name: "setData keeps it alive", run: ttlKeptAlive, slow: true},
	{name: "children keep it alive", run: ttlChildren, slow: true},
	{name: "container is reaped once empty", run: containerReaped, slow: true},
	{name: "container that never had a child stays", run: containerUnused, slow: true},
	{name: "containers in containers", run: containersNested, slow: true},
	{name: "reconfig on a standalone server", run: reconfigUnimplemented},
}

func createTTL(path string, flags int32, ttl int64) []byte {
	return wire.AppendLong(Create(path, []byte("x"), flags, wire.OpenACL), ttl)
}

func ttlNode(e *Env) {
	c, p := e.Client(), e.Path("/t")
	r := c.OK(wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, 1<<40-1))
	d := wire.NewDecoder(r.Body)
	if got := string(d.String()); got != p {
		e.Errorf("createTTL answers path %q", got)
	}
	s := DecodeStat(e, d.Rest())
	if s.EphemeralOwner != 0 || s.Czxid != r.Zxid || s.Czxid != s.Mzxid {
		e.Errorf("stat %+v", s)
	}
	c.Create(p+"/child", "", wire.FlagEphemeral) // it may have children
	c.OK(wire.OpSetData, SetData(p, []byte("y"), 0))
	if s := c.Stat(p); s.EphemeralOwner != 0 || s.Version != 1 || s.NumChildren != 1 {
		e.Errorf("stat %+v", s)
	}
}

func ttlSequential(e *Env) {
	c, p := e.Client(), e.Path("/t")
	c.Create(p, "", 0)
	d := wire.NewDecoder(c.OK(wire.OpCreateTTL, createTTL(p+"/s-", wire.FlagPersistentSequentialTTL, 60000)).Body)
	if got := string(d.String()); got != p+"/s-0000000000" {
		e.Errorf("path %q", got)
	}
}

func ttlRefused(e *Env) {
	c, p := e.Client(), e.Path("/t")
	for _, ttl := range []int64{0, -1, -1 << 63, 1 << 40, 1<<63 - 1} {
		c.Fails(wire.CodeBadArguments, wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, ttl))
	}
	for _, flags := range []int32{wire.FlagPersistent, wire.FlagEphemeral, wire.FlagPersistentSequential, wire.FlagContainer, -1, 7} {
		c.Fails(wire.CodeBadArguments, wire.OpCreateTTL, createTTL(p, flags, 1000))
	}
	for _, op := range []wire.Op{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer} {
		for _, flags := range []int32{wire.FlagPersistentTTL, wire.FlagPersistentSequentialTTL} {
			c.Fails(wire.CodeBadArguments, op, Create(p, nil, flags, wire.OpenACL))
		}
	}
	c.Fails(wire.CodeMarshallingError, wire.OpCreateTTL, Create(p, nil, wire.FlagPersistentTTL, wire.OpenACL)) // no time
	c.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p, false))
}

func ttlInMulti(e *Env) {
	c, p := e.Client(), e.Path("/t")
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(
		Part{wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, 60000)},
		Part{wire.OpCreateContainer, Create(p+"/c", nil, wire.FlagContainer, wire.OpenACL)})))
	if len(got) != 2 || got[0].op != wire.OpCreate2 || got[0].path != p || got[1].op != wire.OpCreate2 || got[1].path != p+"/c" {
		e.Errorf("results %+v", got)
	}
	got = multiAnswer(e, c.OK(wire.OpMulti, Multi(
		Part{wire.OpDelete, PathInt(p+"/c", -1)},
		Part{wire.OpCreateTTL, createTTL(p+"/x", wire.FlagPersistentTTL, 0)})))
	if len(got) != 2 || got[0].code != 0 || got[1].code != wire.CodeBadArguments {
		e.Errorf("results %+v", got)
	}
	c.Stat(p + "/c")
}

// awaitEvent reads the next packet, which has to be this event.
func awaitEvent(e *Env, c *Client, typ int32, path string) Event {
	e.Helper()
	r, ev := c.Next()
	if r != nil || ev.Type != typ || ev.Path != path {
		e.Fatalf("got %+v %+v, want event %d of %s", r, ev, typ, path)
	}
	return *ev
}

func ttlReaped(e *Env) {
	c, p := e.Client(), e.Path("/p")
	c.Create(p, "", 0)
	began := time.Now()
	c.OK(wire.OpCreateTTL, createTTL(p+"/t", wire.FlagPersistentTTL, 400))
	c.OK(wire.OpExists, PathFlag(p+"/t", true))
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	ev := awaitEvent(e, c, wire.EventNodeDeleted, p+"/t")
	if d := time.Since(began); d < 400*time.Millisecond {
		e.Errorf("deleted after %v", d)
	}
	awaitEvent(e, c, wire.EventNodeChildrenChanged, p)
	if s := c.Stat(p); s.Pzxid != ev.Zxid || s.Cversion != 2 || s.NumChildren != 0 {
		e.Errorf("parent %+v, deleted under %x", s, ev.Zxid)
	}
}

func ttlKeptAlive(e *Env) {
	c, p := e.Client(), e.Path("/t")
	c.OK(wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, 2500))
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		c.OK(wire.OpSetData, SetData(p, nil, -1))
		c.Conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		if _, err := c.Conn.Read(make([]byte, 1)); err == nil {
			e.Fatal("unexpected byte")
		}
	}
	c.OK(wire.OpExists, PathFlag(p, true))
	awaitEvent(e, c, wire.EventNodeDeleted, p)
}

func ttlChildren(e *Env) {
	c, p := e.Client(), e.Path("/t")
	c.OK(wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, 300))
	c.Create(p+"/child", "", 0)
	// Another that is made later and dies shows that the reaper has passed by.
	c.OK(wire.OpCreateTTL, createTTL(p+"2", wire.FlagPersistentTTL, 600))
	c.OK(wire.OpExists, PathFlag(p+"2", true))
	awaitEvent(e, c, wire.EventNodeDeleted, p+"2")
	c.OK(wire.OpExists, PathFlag(p, true))
	c.OK(wire.OpDelete, PathInt(p+"/child", -1))
	awaitEvent(e, c, wire.EventNodeDeleted, p)
}

func containerReaped(e *Env) {
	c, p := e.Client(), e.Path("/c")
	c.OK(wire.OpCreateContainer, Create(p, nil, wire.FlagContainer, wire.OpenACL))
	c.Create(p+"/a", "", 0)
	c.Create(p+"/b", "", wire.FlagEphemeral)
	c.OK(wire.OpExists, PathFlag(p, true))
	c.OK(wire.OpDelete, PathInt(p+"/a", -1))
	c.OK(wire.OpDelete, PathInt(p+"/b", -1))
	awaitEvent(e, c, wire.EventNodeDeleted, p)
}

func containerUnused(e *Env) {
	c, p := e.Client(), e.Path("/c")
	c.OK(wire.OpCreateContainer, Create(p, nil, wire.FlagContainer, wire.OpenACL))
	// One that goes away shows that the reaper has passed by.
	c.OK(wire.OpCreateContainer, Create(p+"2", nil, wire.FlagContainer, wire.OpenACL))
	c.Create(p+"2/a", "", 0)
	c.OK(wire.OpExists, PathFlag(p+"2", true))
	c.OK(wire.OpDelete, PathInt(p+"2/a", -1))
	awaitEvent(e, c, wire.EventNodeDeleted, p+"2")
	c.Stat(p)
}

func containersNested(e *Env) {
	c, p := e.Client(), e.Path("/c")
	for _, path := range []string{p, p + "/c", p + "/c/c"} {
		c.OK(wire.OpCreateContainer, Create(path, nil, wire.FlagContainer, wire.OpenACL))
	}
	c.Create(p+"/c/c/x", "", 0)
	c.OK(wire.OpExists, PathFlag(p, true))
	c.OK(wire.OpDelete, PathInt(p+"/c/c/x", -1))
	awaitEvent(e, c, wire.EventNodeDeleted, p)
}

func reconfigBody(joining, leaving, members []byte, version int64) []byte {
	b := wire.AppendBuffer(nil, joining)
	b = wire.AppendBuffer(b, leaving)
	return wire.AppendLong(wire.AppendBuffer(b, members), version)
}

func reconfigUnimplemented(e *Env) {
	e.Client().Fails(wire.CodeUnimplemented, wire.OpReconfig, reconfigBody(nil, []byte("3"), nil, -1))
}
