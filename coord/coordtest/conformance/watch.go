package conformance

import (
	"slices"

	"ottla/coord/wire"
)

var watchChecks = []check{
	{name: "exists of a missing node", run: watchMissing},
	{name: "missing nodes leave no other watch", run: watchMissingOthers},
	{name: "event before the reply", run: eventBeforeReply},
	{name: "event before what shows it", run: eventBeforeRead},
	{name: "delete", run: watchDelete},
	{name: "one shot, once", run: watchOneShot},
	{name: "getData watch does not see a new node", run: watchRecreated},
	{name: "setACL is silent", run: watchSilent},
	{name: "root", run: watchRoot},
	{name: "own ephemerals at close", run: watchOwnClose},
	{name: "setWatches", run: setWatches},
	{name: "setWatches with xid of its own", run: setWatchesXid},
	{name: "persistent", run: watchPersistent},
	{name: "recursive", run: watchRecursive},
	{name: "persistent and one-shot together", run: watchBoth},
	{name: "removeWatches", run: removeWatches},
	{name: "events need the right to read", run: watchACL},
	{name: "no watch without the right to read", run: watchNoAuth},
}

func wantEvents(e *Env, c *Client, want ...Event) {
	e.Helper()
	got := c.TakeEvents()
	for i := range got {
		if i < len(want) && want[i].Zxid == 0 {
			got[i].Zxid = 0
		}
	}
	if !slices.Equal(got, want) {
		e.Errorf("events %v, want %v", got, want)
	}
}

func watchMissing(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p, true))
	o := e.Another()
	r := o.OK(wire.OpCreate, Create(p, nil, 0, wire.OpenACL))
	wantEvents(e, c, Event{wire.EventNodeCreated, p, r.Zxid})
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c)
}

func watchMissingOthers(e *Env) {
	c, p := e.Client(), e.Path("/n")
	for _, op := range []wire.Op{wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2} {
		c.Fails(wire.CodeNoNode, op, PathFlag(p, true))
	}
	c.Create(p, "", 0)
	c.OK(wire.OpDelete, PathInt(p, -1))
	wantEvents(e, c)
}

func eventBeforeReply(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.Write(Request(500, wire.OpSetData, SetData(p, nil, -1)))
	if r, ev := c.Next(); ev == nil || ev.Type != wire.EventNodeDataChanged {
		e.Fatalf("first came %+v, want the event", r)
	}
	if r, _ := c.Next(); r == nil || r.Xid != 500 {
		e.Error("the reply did not come second")
	}
}

// eventBeforeRead writes from one connection and reads from another, which must hear of the change before it sees it.
func eventBeforeRead(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "0", 0)
	for i := range 200 {
		d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(p, true)).Body)
		seen := string(d.Buffer())
		o.Write(Request(int32(1000+i), wire.OpSetData, SetData(p, []byte{byte(i)}, -1)))
		for {
			c.Write(Request(1, wire.OpGetData, PathFlag(p, false)))
			r, ev := c.Next()
			if ev != nil {
				c.Reply()
				break
			}
			d := wire.NewDecoder(r.Body)
			if got := string(d.Buffer()); got != seen {
				e.Fatalf("round %d: saw %q before the event", i, got)
			}
		}
		o.Reply()
	}
}

func watchDelete(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	c.OK(wire.OpGetChildren2, PathFlag(e.Path(""), true))
	r := o.OK(wire.OpDelete, PathInt(p, -1))
	wantEvents(e, c, Event{wire.EventNodeDeleted, p, r.Zxid}, Event{wire.EventNodeChildrenChanged, e.Path(""), r.Zxid})
	// Only the child table this time.
	c.Create(p, "", 0)
	c.TakeEvents()
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	o.OK(wire.OpDelete, PathInt(p, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDeleted, Path: p})
}

func watchOneShot(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	for range 3 {
		c.OK(wire.OpGetData, PathFlag(p, true))
		c.OK(wire.OpExists, PathFlag(p, true))
	}
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p})
}

func watchRecreated(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpDelete, PathInt(p, -1))
	c.Create(p, "", 0)
	wantEvents(e, c, Event{Type: wire.EventNodeDeleted, Path: p})
}

func watchSilent(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	c.OK(wire.OpSetACL, SetACL(p, wire.OpenACL, -1))
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, nil, 99))
	c.OK(wire.OpMulti, Multi(Part{wire.OpCheck, PathInt(p, 0)}))
	wantEvents(e, c)
}

func watchRoot(e *Env) {
	c, o := e.Client(), e.Another()
	c.OK(wire.OpGetChildren, PathFlag("/", true))
	name := "/" + e.Path("")[1:] + "-root"
	o.Create(name, "", wire.FlagEphemeral)
	ev := c.TakeEvents()
	if len(ev) != 1 || ev[0].Type != wire.EventNodeChildrenChanged || ev[0].Path != "/" {
		e.Errorf("events %v", ev)
	}
}

func watchOwnClose(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", wire.FlagEphemeral)
	c.OK(wire.OpExists, PathFlag(p, true))
	c.Write(Request(9, wire.OpCloseSession, nil))
	if r, ev := c.Next(); ev == nil || ev.Type != wire.EventNodeDeleted {
		e.Errorf("first came %+v %+v", r, ev)
	}
	if r, _ := c.Next(); r == nil || r.Xid != 9 {
		e.Error("no reply to the close")
	}
	c.WantClosed()
}

func setWatchesBody(zxid int64, lists ...[]string) []byte {
	b := wire.AppendLong(nil, zxid)
	for _, l := range lists {
		b = append(b, Paths(l...)...)
	}
	return b
}

func setWatches(e *Env) {
	c, o := e.Client(), e.Another()
	same, changed, gone, made, missing := e.Path("/same"), e.Path("/changed"), e.Path("/gone"), e.Path("/made"), e.Path("/missing")
	o.Create(same, "", 0)
	o.Create(changed, "", 0)
	seen := o.OK(wire.OpSync, Str("/")).Zxid
	o.OK(wire.OpSetData, SetData(changed, nil, -1))
	o.Create(changed+"/child", "", 0)
	o.Create(made, "", 0)
	c.Write(Request(-8, wire.OpSetWatches, setWatchesBody(seen,
		[]string{same, changed, gone}, []string{made, missing, same}, []string{same, changed, gone})))
	r := c.Reply()
	if r.Xid != -8 || r.Code != 0 || len(r.Body) != 0 {
		e.Errorf("setWatches: %+v", r)
	}
	want := []Event{
		{wire.EventNodeDataChanged, changed, -1}, {wire.EventNodeDeleted, gone, -1},
		{wire.EventNodeCreated, made, -1}, {wire.EventNodeCreated, same, -1},
		{wire.EventNodeChildrenChanged, changed, -1}, {wire.EventNodeDeleted, gone, -1},
	}
	if got := c.Events; !slices.Equal(got, want) {
		e.Errorf("events %v, want %v", got, want)
	}
	c.Events = nil
	o.OK(wire.OpSetData, SetData(same, nil, -1))
	o.Create(same+"/child", "", 0)
	o.Create(missing, "", 0)
	o.OK(wire.OpSetData, SetData(changed, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: same}, Event{Type: wire.EventNodeChildrenChanged, Path: same},
		Event{Type: wire.EventNodeCreated, Path: missing})
	// Lists may be empty but not null.
	for i := range 3 {
		body := wire.AppendLong(nil, seen)
		for j := range 3 {
			body = wire.AppendInt(body, map[bool]int32{true: -1, false: 0}[i == j])
		}
		c.Fails(wire.CodeMarshallingError, wire.OpSetWatches, body)
	}
}

func setWatchesXid(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpSetWatches, setWatchesBody(1<<62, []string{p}, nil, nil))
	c.OK(wire.OpSetWatches2, setWatchesBody(0, nil, nil, nil, []string{p}, []string{p}))
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	c.Create(p+"/k", "", 0)
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p}, Event{Type: wire.EventNodeDataChanged, Path: p},
		Event{Type: wire.EventNodeCreated, Path: p + "/k"}, Event{Type: wire.EventNodeChildrenChanged, Path: p})
}

// life makes, changes, fills, empties and deletes a node.
func life(c *Client, p string) {
	c.Create(p, "", 0)
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	c.Create(p+"/k", "", 0)
	c.OK(wire.OpSetData, SetData(p+"/k", nil, -1))
	c.OK(wire.OpDelete, PathInt(p+"/k", -1))
	c.OK(wire.OpDelete, PathInt(p, -1))
}

func watchPersistent(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	if r := c.OK(wire.OpAddWatch, PathInt(p, 0)); len(r.Body) != 4 || r.Body[3] != 0 {
		e.Errorf("addWatch answers %x", r.Body)
	}
	for range 2 { // it survives the node
		life(o, p)
		wantEvents(e, c, Event{Type: wire.EventNodeCreated, Path: p}, Event{Type: wire.EventNodeDataChanged, Path: p},
			Event{Type: wire.EventNodeChildrenChanged, Path: p}, Event{Type: wire.EventNodeChildrenChanged, Path: p},
			Event{Type: wire.EventNodeDeleted, Path: p})
	}
}

func watchRecursive(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.OK(wire.OpAddWatch, PathInt(p, 1))
	for range 2 {
		life(o, p)
		k := p + "/k"
		wantEvents(e, c, Event{Type: wire.EventNodeCreated, Path: p}, Event{Type: wire.EventNodeDataChanged, Path: p},
			Event{Type: wire.EventNodeCreated, Path: k}, Event{Type: wire.EventNodeDataChanged, Path: k},
			Event{Type: wire.EventNodeDeleted, Path: k}, Event{Type: wire.EventNodeDeleted, Path: p})
	}
}

func watchBoth(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	o.Create(p, "", 0)
	c.OK(wire.OpAddWatch, PathInt(p, 0))
	c.OK(wire.OpAddWatch, PathInt(p, 1))
	c.OK(wire.OpAddWatch, PathInt(e.Path(""), 1))
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.OK(wire.OpDelete, PathInt(p, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p}, Event{Type: wire.EventNodeDataChanged, Path: p},
		Event{Type: wire.EventNodeDeleted, Path: p})
}

func removeWatches(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	for _, op := range []wire.Op{wire.OpCheckWatches, wire.OpRemoveWatches} {
		for kind := int32(1); kind <= 5; kind++ {
			c.Fails(wire.CodeNoWatcher, op, PathInt(p, kind))
		}
		c.Fails(wire.CodeMarshallingError, op, PathInt(p, 0))
		c.Fails(wire.CodeMarshallingError, op, PathInt(p, 6))
	}
	c.Fails(wire.CodeMarshallingError, wire.OpAddWatch, PathInt(p, 2))

	// kind -> what sets such a watch
	set := map[int32]func(){
		1: func() { c.OK(wire.OpGetChildren, PathFlag(p, true)) },
		2: func() { c.OK(wire.OpGetData, PathFlag(p, true)) },
		4: func() { c.OK(wire.OpAddWatch, PathInt(p, 0)) },
		5: func() { c.OK(wire.OpAddWatch, PathInt(p, 1)) },
	}
	for kind, f := range set {
		f()
		for other := range set {
			want := wire.CodeNoWatcher
			if other == kind {
				want = wire.CodeOK
			}
			if r := c.Do(wire.OpCheckWatches, PathInt(p, other)); r.Code != want {
				e.Errorf("watch of kind %d: checkWatches of kind %d: %v", kind, other, r.Code)
			}
		}
		c.OK(wire.OpCheckWatches, PathInt(p, 3))
		c.OK(wire.OpRemoveWatches, PathInt(p, kind))
		c.Fails(wire.CodeNoWatcher, wire.OpRemoveWatches, PathInt(p, 3))
	}
	for _, f := range set {
		f()
	}
	c.OK(wire.OpGetData, PathFlag(e.Path(""), true))
	c.OK(wire.OpRemoveWatches, PathInt(p, 3))
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	c.Create(p+"/k", "", 0)
	wantEvents(e, c)
	c.OK(wire.OpSetData, SetData(e.Path(""), nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: e.Path("")})
}

func watchACL(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	o.Auth("u:p")
	c.OK(wire.OpExists, PathFlag(e.Path(""), false))
	c.Do(wire.OpExists, PathFlag(p, true))
	c.OK(wire.OpAddWatch, PathInt(p, 0))
	// Made where c may not read: the one-shot watch is used up in silence.
	o.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashUP)}))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c)
	c.Fails(wire.CodeNoWatcher, wire.OpCheckWatches, PathInt(p, 2))
	// Opened again: the persistent one hears.
	o.OK(wire.OpSetACL, SetACL(p, []wire.ACL{digest(31, hashUP), world(wire.PermRead)[0]}, -1))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.OK(wire.OpDelete, PathInt(p, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p}, Event{Type: wire.EventNodeDeleted, Path: p})
}

func watchNoAuth(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	o.Auth("u:p")
	o.OK(wire.OpCreate, Create(p, nil, 0, []wire.ACL{digest(31, hashUP)}))
	for _, op := range []wire.Op{wire.OpExists, wire.OpGetData, wire.OpGetChildren} {
		c.Fails(wire.CodeNoAuth, op, PathFlag(p, true))
	}
	c.Fails(wire.CodeNoWatcher, wire.OpCheckWatches, PathInt(p, 3))
	c.OK(wire.OpAddWatch, PathInt(p, 1))
	c.Auth("u:p")
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p})
}
