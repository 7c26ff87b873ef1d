package conformance

import (
	"fmt"
	"slices"
	"strings"

	"ottla/coord/wire"
)

// What a server does that nothing was switched on for.
var defaultChecks = []check{
	{name: "no nodes with a time to live", run: ttlOff},
	{name: "reconfig is disabled", run: reconfigDisabled},
	{name: "quotas are counted, not enforced", run: quotaNotEnforced},
	{name: "no lists with users or certificates", run: schemesOff},
	{name: "the node config", run: configNode},
	{name: "the nodes that are always there", run: freshNodes},
	{name: "deleteContainer", run: deleteContainer},
	{name: "setACL in flight", run: setACLInFlight},
}

func ttlOff(e *Env) {
	c, p := e.Client(), e.Path("/t")
	c.Fails(wire.CodeUnimplemented, wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, 1000))
	c.Fails(wire.CodeUnimplemented, wire.OpCreateTTL, createTTL(p, wire.FlagPersistentSequentialTTL, -5))
	c.Fails(wire.CodeBadArguments, wire.OpCreateTTL, createTTL(p, wire.FlagPersistent, 1000))
	c.Fails(wire.CodeUnimplemented, wire.OpCreate, Create(p, nil, wire.FlagPersistentTTL, nil))
	c.Fails(wire.CodeUnimplemented, wire.OpCreateContainer, Create("none", nil, wire.FlagPersistentTTL, nil))
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpCreateTTL, createTTL(p, wire.FlagPersistentTTL, 1000)})))
	if len(got) != 1 || got[0].code != wire.CodeUnimplemented {
		e.Errorf("in a multi: %+v", got)
	}
}

func reconfigDisabled(e *Env) {
	c := e.Client()
	before := c.OK(wire.OpSync, Str("/")).Zxid
	r := c.Fails(wire.CodeReconfigDisabled, wire.OpReconfig, reconfigBody([]byte("server.1=a:1:2"), nil, nil, -1))
	if r.Zxid <= before {
		e.Errorf("refused under zxid %x, which is not above %x", r.Zxid, before)
	}
	c.Fails(wire.CodeReconfigDisabled, wire.OpReconfig, reconfigBody(nil, nil, nil, 0))
}

func quotaNotEnforced(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=1,bytes=1=;byteHardLimit=1;countHardLimit=1")
	c.Create(p+"/a", "12345", 0)
	wantUsage(e, c, p, "count=2,bytes=5")
}

func schemesOff(e *Env) {
	c, p := e.Client(), e.Path("/n")
	for _, id := range []wire.ID{{Scheme: "sasl", ID: "alice"}, {Scheme: "x509", ID: "CN=a"}, {Scheme: "nosuch", ID: "x"}, {Scheme: "super", ID: ""}} {
		c.Fails(wire.CodeInvalidACL, wire.OpCreate, Create(p, nil, 0, []wire.ACL{entry(31, id.Scheme, id.ID)}))
	}
}

func configNode(e *Env) {
	c := e.Client()
	const path = "/zookeeper/config"
	d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(path, true)).Body)
	if data := d.Buffer(); data == nil || len(data) != 0 {
		e.Errorf("config %q", data)
	}
	d = wire.NewDecoder(c.OK(wire.OpGetACL, Str(path)).Body)
	if acls, _ := d.ACLs(); !slices.Equal(acls, []wire.ACL{entry(wire.PermRead, "world", "anyone")}) {
		e.Errorf("list %v", acls)
	}
	c.Fails(wire.CodeNoAuth, wire.OpSetData, SetData(path, nil, -1))
	c.Fails(wire.CodeNoAuth, wire.OpSetACL, SetACL(path, wire.OpenACL, -1))
	c.Fails(wire.CodeNoAuth, wire.OpCreate, Create(path+"/x", nil, 0, wire.OpenACL))
	c.Fails(wire.CodeBadArguments, wire.OpDelete, PathInt(path, -1))
}

func freshNodes(e *Env) {
	c := e.Client()
	for path, children := range map[string][]string{"/": {"zookeeper"}, "/zookeeper": {"config", "quota"}} {
		d := wire.NewDecoder(c.OK(wire.OpGetChildren, PathFlag(path, false)).Body)
		got := DecodePaths(&d)
		for _, want := range children {
			if !slices.Contains(got, want) {
				e.Errorf("%s has %v", path, got)
			}
		}
	}
	if s := c.Stat("/"); s.Czxid != 0 || s.Mzxid != 0 || s.Ctime != 0 || s.Mtime != 0 || s.Version != 0 || s.Aversion != 0 || s.EphemeralOwner != 0 || s.DataLength != 0 {
		e.Errorf("root %+v", s)
	}
	if s := c.Stat("/zookeeper"); s.Czxid != 0 || s.Mzxid != 0 || s.Ctime != 0 || s.Version != 0 || s.Cversion%2 != -s.NumChildren%2 {
		e.Errorf("/zookeeper %+v", s)
	}
	d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag("/zookeeper/quota", false)).Body)
	if data := d.Buffer(); data == nil || len(data) != 0 {
		e.Errorf("/zookeeper/quota has data %v", data)
	}
	// Anybody may make nodes there. No other check does, since this one wants none to have been made.
	n := "/zookeeper/" + strings.TrimPrefix(e.Path(""), "/")
	c.Create(n, "", 0)
	c.OK(wire.OpDelete, PathInt(n, -1))
}

// deleteContainer is for the server's own use. ZooKeeper 3.9 runs it for any client, without looking at rights: a hole that we do not
// have.
func deleteContainer(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	r := c.Do(wire.OpDeleteContainer, Str(p))
	if e.Apache {
		if r.Code != wire.CodeOK {
			e.Errorf("ZooKeeper answers %v: the hole is closed, and the compatibility table out of date", r.Code)
		}
		return
	}
	if r.Code != wire.CodeUnimplemented {
		e.Errorf("answer %v", r.Code)
	}
	c.WantClosed()
	e.Another().Stat(p)
}

// setACLInFlight takes the right to change a list away with the first of two requests that are sent together. ZooKeeper most often judges the
// second by the list that was before; we never do.
func setACLInFlight(e *Env) {
	c := e.Client()
	const rounds = 50
	passed := 0
	for i := range rounds {
		p := e.Path(fmt.Sprintf("/n%d", i))
		c.Create(p, "", 0)
		read := []wire.ACL{entry(wire.PermRead, "world", "anyone")}
		c.Write(append(Request(1, wire.OpSetACL, SetACL(p, read, -1)), Request(2, wire.OpSetACL, SetACL(p, wire.OpenACL, -1))...))
		if r := c.Reply(); r.Code != wire.CodeOK {
			e.Errorf("first: %v", r.Code)
		}
		if c.Reply().Code == wire.CodeOK {
			passed++
		}
	}
	switch {
	case e.Apache && passed == 0:
		e.Error("ZooKeeper judged every request by the list before it: the compatibility table is out of date")
	case !e.Apache && passed > 0:
		e.Errorf("%d of %d requests passed without the right", passed, rounds)
	}
}
