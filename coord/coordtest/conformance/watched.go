package conformance

import (
	"slices"

	"ottla/coord/wire"
)

var watchedChecks = []check{
	{name: "watches of many kinds on one node", run: watchMany},
	{name: "grandchildren are nobody's children", run: watchGrandchild},
	{name: "exists watch on a node that is there", run: watchExistsPresent},
	{name: "child watch of a deleted node", run: watchChildDeleted},
	{name: "setWatches2 keeps persistent watches", run: setWatches2},
	{name: "checkWatches means the very path", run: checkWatchesPath},
	{name: "addWatch in both modes", run: addWatchBoth},
	{name: "a recursive watch and its own one-shots", run: recursiveAndOneShot},
	{name: "events of several watchers", run: watchSeveral},
	{name: "unwatched in time", run: removeInTime},
	{name: "one create, one event each", run: createOneEvent},
	{name: "delete and create make two events", run: deleteCreateEvents},
}

func watchMany(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpExists, PathFlag(p, true))
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	c.OK(wire.OpGetChildren2, PathFlag(p, true))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.Create(p+"/k", "", 0)
	o.OK(wire.OpDelete, PathInt(p+"/k", -1))
	o.OK(wire.OpDelete, PathInt(p, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p}, Event{Type: wire.EventNodeChildrenChanged, Path: p})
}

func watchGrandchild(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.Create(p+"/k", "", 0)
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	c.OK(wire.OpGetData, PathFlag(p, true))
	o.Create(p+"/k/g", "", 0)
	o.OK(wire.OpSetData, SetData(p+"/k", nil, -1))
	wantEvents(e, c)
}

func watchExistsPresent(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpExists, PathFlag(p, true))
	r := o.OK(wire.OpDelete, PathInt(p, -1))
	o.Create(p, "", 0)
	wantEvents(e, c, Event{wire.EventNodeDeleted, p, r.Zxid})
}

func watchChildDeleted(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	o.OK(wire.OpDelete, PathInt(p, -1))
	o.Create(p, "", 0)
	o.Create(p+"/k", "", 0)
	wantEvents(e, c, Event{Type: wire.EventNodeDeleted, Path: p})
}

func setWatches2(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	zxid := c.OK(wire.OpSync, Str("/")).Zxid
	o.Create(p, "", 0) // missed, and never told
	n := c.Attach()
	empty := Paths()
	n.OK(wire.OpSetWatches2, slices.Concat(wire.AppendLong(nil, zxid), empty, empty, empty, Paths(p), Paths(e.Path(""))))
	wantEvents(e, n)
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.Create(p+"/k", "", 0)
	wantEvents(e, n, Event{Type: wire.EventNodeDataChanged, Path: p}, Event{Type: wire.EventNodeCreated, Path: p + "/k"},
		Event{Type: wire.EventNodeChildrenChanged, Path: p})
	n.OK(wire.OpCheckWatches, PathInt(p, wire.WatcherPersistent))
	n.OK(wire.OpCheckWatches, PathInt(e.Path(""), wire.WatcherPersistentRecursive))
	n.closeSession()
}

func checkWatchesPath(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpAddWatch, PathInt(e.Path(""), 1))
	c.OK(wire.OpCheckWatches, PathInt(e.Path(""), 5))
	c.Fails(wire.CodeNoWatcher, wire.OpCheckWatches, PathInt(p, 5))
	c.Fails(wire.CodeNoWatcher, wire.OpRemoveWatches, PathInt(p, 3))
	e.Another().Fails(wire.CodeNoWatcher, wire.OpCheckWatches, PathInt(e.Path(""), 3)) // another connection's are its own
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p})
}

func addWatchBoth(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.OK(wire.OpAddWatch, PathInt(p, 0))
	c.OK(wire.OpAddWatch, PathInt(p, 1))
	c.OK(wire.OpAddWatch, PathInt(p, 0))
	o.Create(p, "", 0)
	o.Create(p+"/k", "", 0)
	wantEvents(e, c, Event{Type: wire.EventNodeCreated, Path: p}, Event{Type: wire.EventNodeCreated, Path: p + "/k"}, Event{Type: wire.EventNodeChildrenChanged, Path: p})
	c.OK(wire.OpRemoveWatches, PathInt(p, wire.WatcherPersistentRecursive))
	o.Create(p+"/l", "", 0)
	wantEvents(e, c, Event{Type: wire.EventNodeChildrenChanged, Path: p})
}

func recursiveAndOneShot(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpAddWatch, PathInt(e.Path(""), 1))
	c.OK(wire.OpGetData, PathFlag(p, true))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	o.OK(wire.OpSetData, SetData(p, nil, -1))
	wantEvents(e, c, Event{Type: wire.EventNodeDataChanged, Path: p}, Event{Type: wire.EventNodeDataChanged, Path: p})
	c.Fails(wire.CodeNoWatcher, wire.OpCheckWatches, PathInt(p, wire.WatcherData))
}

func watchSeveral(e *Env) {
	o, p := e.Client(), e.Path("/n")
	o.Create(p, "", 0)
	var watchers []*Client
	for range 5 {
		w := e.Another()
		w.OK(wire.OpGetData, PathFlag(p, true))
		watchers = append(watchers, w)
	}
	r := o.OK(wire.OpSetData, SetData(p, nil, -1))
	for _, w := range watchers {
		wantEvents(e, w, Event{wire.EventNodeDataChanged, p, r.Zxid})
	}
}

func removeInTime(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	for range 20 {
		c.OK(wire.OpGetData, PathFlag(p, true))
		c.OK(wire.OpRemoveWatches, PathInt(p, wire.WatcherData))
		o.OK(wire.OpSetData, SetData(p, nil, -1))
	}
	wantEvents(e, c)
}

func createOneEvent(e *Env) {
	c, p := e.Client(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetChildren, PathFlag(p, true))
	c.Create(p+"/a", "", 0)
	c.Create(p+"/b", "", 0)
	wantEvents(e, c, Event{Type: wire.EventNodeChildrenChanged, Path: p})
}

func deleteCreateEvents(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/n")
	c.Create(p, "", 0)
	c.OK(wire.OpGetData, PathFlag(p, true))
	c.OK(wire.OpGetChildren, PathFlag(e.Path(""), true))
	r := o.OK(wire.OpMulti, Multi(Part{wire.OpDelete, PathInt(p, -1)}, Part{wire.OpCreate, Create(p, nil, 0, wire.OpenACL)}))
	wantEvents(e, c, Event{wire.EventNodeDeleted, p, r.Zxid}, Event{wire.EventNodeChildrenChanged, e.Path(""), r.Zxid})
}
