package conformance

import (
	"bytes"
	"slices"

	"ottla/coord/wire"
)

// What leaves traces behind that other checks would see, or restarts the server.
var restartChecks = []check{{name: "config changes", run: configChanges}, {name: "what stays", run: afterRestart}}

func configChanges(e *Env) {
	c, o := e.Client(), e.Another()
	const path = "/zookeeper/config"
	c.OK(wire.OpGetData, PathFlag(path, true))
	o.Auth("super:conform")
	o.OK(wire.OpSetData, SetData(path, []byte{}, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: path})
}

func afterRestart(e *Env) {
	c, dead, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "data", 0)
	c.Auth("u:p")
	for range 3 {
		c.Create(p+"/s-", "", wire.FlagPersistentSequential)
	}
	c.OK(wire.OpDelete, PathInt(p+"/s-0000000002", -1))
	c.OK(wire.OpSetData, SetData(p, []byte("more"), 0))
	c.Create(p+"/null", "", 0)
	c.OK(wire.OpSetData, SetData(p+"/null", nil, -1))
	c.OK(wire.OpCreate, Create(p+"/closed", nil, 0, []wire.ACL{entry(31, "auth", "")}))
	c.OK(wire.OpSetACL, SetACL(p+"/s-0000000000", []wire.ACL{entry(1, "world", "anyone"), entry(31, "ip", "127.0.0.1")}, 0))
	c.OK(wire.OpCreateContainer, Create(p+"/container", nil, wire.FlagContainer, wire.OpenACL))
	c.Create(p+"/eph", "mine", wire.FlagEphemeral)
	dead.Create(p+"/gone", "", wire.FlagEphemeral)
	dead.OK(wire.OpCloseSession, nil)
	c.OK(wire.OpExists, PathFlag(p, true)) // forgotten with the connection
	stats := map[string]wire.Stat{}
	nodes := []string{"", "/s-0000000000", "/s-0000000001", "/null", "/closed", "/container", "/eph"}
	for _, n := range nodes {
		stats[n] = c.Stat(p + n)
	}
	last := c.OK(wire.OpSync, Str("/")).Zxid
	session := c.Session

	e.Restart()

	n := Dial(e, e.Addr)
	n.Session = n.Connect(wire.ConnectRequest{TimeoutMs: 30000, LastZxidSeen: last, SessionID: session.SessionID, Password: session.Password[:]})
	if n.Session.SessionID != session.SessionID || n.Session.Password != session.Password {
		e.Fatalf("session %x, want %x", n.Session.SessionID, session.SessionID)
	}
	n.Fails(wire.CodeNoAuth, wire.OpGetData, PathFlag(p+"/closed", false)) // identities are the connection's
	n.Auth("u:p")
	if z := n.OK(wire.OpSync, Str("/")).Zxid; z < last {
		e.Errorf("zxid %x after %x", z, last)
	}
	for _, name := range nodes {
		if got := n.Stat(p + name); got != stats[name] {
			e.Errorf("%s: %+v, before %+v", name, got, stats[name])
		}
	}
	n.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p+"/gone", false))
	d := wire.NewDecoder(n.OK(wire.OpGetData, PathFlag(p+"/null", false)).Body)
	if data := d.Buffer(); data != nil {
		e.Errorf("null data came back as %x", data)
	}
	d = wire.NewDecoder(n.OK(wire.OpGetACL, Str(p+"/closed")).Body)
	if acls, _ := d.ACLs(); !slices.Equal(acls, []wire.ACL{digest(31, hashUP)}) {
		e.Errorf("list %v", acls)
	}
	if got := n.Create(p+"/s-", "", wire.FlagPersistentSequential); got != p+"/s-0000000008" {
		e.Errorf("next in the sequence: %s", got)
	}
	if r := n.OK(wire.OpGetEphemerals, Str(p)); !bytes.Equal(r.Body, Paths(p+"/eph")) {
		e.Errorf("ephemerals %q", r.Body)
	}
	n.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, n)
	o := e.Another()
	if o.Session.SessionID == session.SessionID {
		e.Error("a session id was given out twice")
	}
	o.OK(wire.OpExists, PathFlag(p+"/eph", true))
	n.OK(wire.OpCloseSession, nil)
	awaitEvent(e, o, wire.EventNodeDeleted, p+"/eph")
}
