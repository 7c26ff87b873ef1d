// Package model is a small ZooKeeper that checks the real one: what every answer must be and which events every connection must hear
// of, given the order of the writes. It is written from the description of the protocol and shares no code with the server: one map
// of paths, no trie; one map of watchers, no tables by prefix; nothing is fast.
//
//	w := model.New()
//	res, events := w.Write(zxid, now, session, op)     // in the order of the zxids
//	res := w.Read(conn, op)                            // sets watches, as the server does with the read
//
// It knows create (all four modes), delete, setData, check and multi of them, getData, exists, getChildren2, sync, addWatch, the end of
// a session, and one-shot, persistent and recursive watches. It knows no ACLs, quotas, containers and times to live.
package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Error codes of ZooKeeper that the model gives.
const (
	OK                      int32 = 0
	RuntimeInconsistency    int32 = -2
	NoNode                  int32 = -101
	BadVersion              int32 = -103
	NoChildrenForEphemerals int32 = -108
	NodeExists              int32 = -110
	NotEmpty                int32 = -111
)

// Kind is what an operation does.
type Kind int

// The operations.
const (
	Create Kind = iota
	Delete
	Set
	Check
	Multi
	CloseSession
	Get
	Exists
	Children
	Sync
	AddWatch
)

var kinds = [...]string{"create", "delete", "set", "check", "multi", "close", "get", "exists", "children", "sync", "addWatch"}

func (k Kind) String() string { return kinds[k] }

// Writes says whether the operation goes through the log and takes a zxid.
func (k Kind) Writes() bool { return k <= CloseSession }

// Op is one operation.
type Op struct {
	Kind       Kind
	Path       string
	Data       string
	Version    int32 // -1: any
	Ephemeral  bool
	Sequential bool
	Watch      bool
	Recursive  bool // of AddWatch
	Ops        []Op // of a Multi
}

func (o Op) String() string {
	b := []string{o.Kind.String()}
	if o.Path != "" {
		b = append(b, o.Path)
	}
	if o.Kind == Create || o.Kind == Set {
		b = append(b, fmt.Sprintf("%q", o.Data))
	}
	if (o.Kind == Delete || o.Kind == Set || o.Kind == Check) && o.Version != -1 {
		b = append(b, fmt.Sprint("v", o.Version))
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{o.Ephemeral, "ephemeral"}, {o.Sequential, "sequential"}, {o.Watch, "watch"}, {o.Recursive, "recursive"}} {
		if f.on {
			b = append(b, f.name)
		}
	}
	if o.Kind == Multi {
		b = append(b, fmt.Sprint(o.Ops))
	}
	return strings.Join(b, " ")
}

// Stat is a node's statistics as clients see them.
type Stat struct {
	Czxid, Mzxid, Pzxid         int64
	Ctime, Mtime                int64
	Version, Cversion, Aversion int32
	Owner                       int64
	Length, Children            int32
}

// Result is an answer. What an operation does not answer is zero.
type Result struct {
	Code     int32
	Path     string
	Data     string
	Children []string // sorted
	Stat     *Stat
	Results  []Result // of a Multi
}

func (r Result) String() string {
	b := []string{fmt.Sprint(r.Code)}
	if r.Path != "" {
		b = append(b, r.Path)
	}
	if r.Data != "" {
		b = append(b, fmt.Sprintf("%q", r.Data))
	}
	if r.Children != nil {
		b = append(b, fmt.Sprint(r.Children))
	}
	if r.Stat != nil {
		b = append(b, fmt.Sprintf("%+v", *r.Stat))
	}
	if r.Results != nil {
		b = append(b, fmt.Sprint(r.Results))
	}
	return strings.Join(b, " ")
}

// Types of events.
const (
	Created         int32 = 1
	Deleted         int32 = 2
	DataChanged     int32 = 3
	ChildrenChanged int32 = 4
)

// Event is what a connection must be told.
type Event struct {
	Conn int
	Type int32
	Path string
	Zxid int64 // of the write that caused it
}

func (e Event) String() string {
	return fmt.Sprintf("%s %s", [...]string{"?", "created", "deleted", "data", "children"}[e.Type], e.Path)
}

// node is a znode. Nodes are replaced, never changed, so that worlds can share them.
type node struct {
	czxid, mzxid, pzxid int64
	ctime, mtime        int64
	version             int32
	created             int32 // children ever created
	owner               int64
	data                string
}

// modes of a watch.
const (
	oneShot = 1 << iota
	persistent
	recursive
)

// watches are the modes of connections, by path.
type watches map[string]map[int]int

func (w watches) add(path string, conn, mode int) {
	if w[path] == nil {
		w[path] = map[int]int{}
	}
	w[path][conn] |= mode
}

func (w watches) clone() watches {
	c := watches{}
	for path, modes := range w {
		c[path] = maps.Clone(modes)
	}
	return c
}

// World is the state of the model. Not safe for concurrent use.
type World struct {
	nodes map[string]*node
	kids  map[string][]string // names of children, sorted; slices are replaced, never changed
	data  watches
	child watches
}

// New is the world of a server that has never been written to, without /zookeeper.
func New() *World {
	return &World{nodes: map[string]*node{"/": {}}, kids: map[string][]string{}, data: watches{}, child: watches{}}
}

// Clone is a copy, for trying out what may have happened.
func (w *World) Clone() *World {
	return &World{nodes: maps.Clone(w.nodes), kids: maps.Clone(w.kids), data: w.data.clone(), child: w.child.clone()}
}

// String lists the nodes.
func (w *World) String() string {
	var b strings.Builder
	for _, path := range w.Paths() {
		fmt.Fprintf(&b, "%s %v\n", path, w.Look(path))
	}
	return b.String()
}

// Paths lists all nodes, sorted.
func (w *World) Paths() []string { return slices.Sorted(maps.Keys(w.nodes)) }

// Look is what getData answers for a path, without a watch.
func (w *World) Look(path string) Result { return w.Read(0, Op{Kind: Get, Path: path}) }

// Owned lists the ephemeral nodes of a session, sorted.
func (w *World) Owned(session int64) (paths []string) {
	for path, n := range w.nodes {
		if n.owner == session {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Rewrite replaces zxids that were made up by those that turned out to be meant.
func (w *World) Rewrite(zxid func(int64) int64) {
	for path, n := range w.nodes {
		c := *n
		c.czxid, c.mzxid, c.pzxid = zxid(n.czxid), zxid(n.mzxid), zxid(n.pzxid)
		w.nodes[path] = &c
	}
}

// Parent is the path of a node's parent.
func Parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

func (w *World) childrenOf(path string) []string {
	if names := w.kids[path]; names != nil {
		return names
	}
	return []string{}
}

// put adds or replaces a node.
func (w *World) put(path string, n *node) {
	if w.nodes[path] == nil {
		up, name := Parent(path), path[strings.LastIndexByte(path, '/')+1:]
		at, _ := slices.BinarySearch(w.kids[up], name)
		w.kids[up] = slices.Insert(slices.Clone(w.kids[up]), at, name)
	}
	w.nodes[path] = n
}

// take removes a node.
func (w *World) take(path string) {
	up, name := Parent(path), path[strings.LastIndexByte(path, '/')+1:]
	at, _ := slices.BinarySearch(w.kids[up], name)
	w.kids[up] = slices.Delete(slices.Clone(w.kids[up]), at, at+1)
	delete(w.nodes, path)
}

func (w *World) stat(path string) *Stat {
	n := w.nodes[path]
	kids := int32(len(w.childrenOf(path)))
	if path == "/" {
		kids++ // /zookeeper, which the model leaves out
	}
	return &Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, Ctime: n.ctime, Mtime: n.mtime, Version: n.version,
		Cversion: 2*n.created - kids, Owner: n.owner, Length: int32(len(n.data)), Children: kids,
	}
}

// Write does what a write does when it is its turn, at a wall clock of now milliseconds.
func (w *World) Write(zxid, now, session int64, op Op) (Result, []Event) {
	switch op.Kind {
	case Multi:
		return w.multi(zxid, now, session, op.Ops)
	case CloseSession:
		return Result{}, w.closeSession(zxid, session)
	}
	return w.one(zxid, now, session, op)
}

func (w *World) multi(zxid, now, session int64, ops []Op) (Result, []Event) {
	nodes, kids := maps.Clone(w.nodes), maps.Clone(w.kids)
	res := Result{Results: []Result{}}
	var failed int32
	at := 0
	var ok []Op
	var paths []string
	for i, op := range ops {
		r := w.try(zxid, now, session, op)
		res.Results = append(res.Results, r)
		if r.Code != OK {
			failed, at = r.Code, i
			break
		}
		ok, paths = append(ok, op), append(paths, r.Path)
	}
	if failed != OK {
		w.nodes, w.kids = nodes, kids
		res.Results = res.Results[:0]
		for i := range ops {
			code := RuntimeInconsistency
			if i < at {
				code = OK
			} else if i == at {
				code = failed
			}
			res.Results = append(res.Results, Result{Code: code})
		}
		return res, nil
	}
	var events []Event
	for i, op := range ok {
		if op.Kind == Create {
			op.Path = paths[i]
		}
		events = append(events, w.fire(zxid, op)...)
	}
	return res, events
}

func (w *World) one(zxid, now, session int64, op Op) (Result, []Event) {
	res := w.try(zxid, now, session, op)
	if res.Code != OK {
		return res, nil
	}
	if op.Kind == Create {
		op.Path = res.Path
	}
	return res, w.fire(zxid, op)
}

// try changes the tree, or answers why not.
func (w *World) try(zxid, now, session int64, op Op) Result {
	n := w.nodes[op.Path]
	switch op.Kind {
	case Create:
		up := w.nodes[Parent(op.Path)]
		if up == nil {
			return Result{Code: NoNode}
		}
		path := op.Path
		if op.Sequential {
			path += fmt.Sprintf("%010d", up.created)
		}
		if w.nodes[path] != nil {
			return Result{Code: NodeExists}
		}
		if up.owner != 0 {
			return Result{Code: NoChildrenForEphemerals}
		}
		made := &node{czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: now, mtime: now, data: op.Data}
		if op.Ephemeral {
			made.owner = session
		}
		w.put(path, made)
		u := *up
		u.created++
		u.pzxid = zxid
		w.nodes[Parent(path)] = &u
		return Result{Path: path}
	case Delete:
		switch {
		case n == nil:
			return Result{Code: NoNode}
		case op.Version != -1 && op.Version != n.version:
			return Result{Code: BadVersion}
		case len(w.childrenOf(op.Path)) > 0:
			return Result{Code: NotEmpty}
		}
		w.remove(zxid, op.Path)
		return Result{}
	case Set:
		switch {
		case n == nil:
			return Result{Code: NoNode}
		case op.Version != -1 && op.Version != n.version:
			return Result{Code: BadVersion}
		}
		c := *n
		c.data, c.mzxid, c.mtime = op.Data, zxid, now
		c.version++
		w.nodes[op.Path] = &c
		return Result{Stat: w.stat(op.Path)}
	case Check:
		switch {
		case n == nil:
			return Result{Code: NoNode}
		case op.Version != -1 && op.Version != n.version:
			return Result{Code: BadVersion}
		}
		return Result{}
	}
	panic("not a write: " + op.String())
}

func (w *World) remove(zxid int64, path string) {
	w.take(path)
	u := *w.nodes[Parent(path)]
	u.pzxid = zxid
	w.nodes[Parent(path)] = &u
}

// closeSession takes a session's ephemeral nodes away, in the order of their paths, under one zxid.
func (w *World) closeSession(zxid, session int64) (events []Event) {
	for _, path := range w.Owned(session) {
		w.remove(zxid, path)
		events = append(events, w.fire(zxid, Op{Kind: Delete, Path: path})...)
	}
	return events
}

// Read answers a read and sets its watch for the connection.
func (w *World) Read(conn int, op Op) Result {
	n := w.nodes[op.Path]
	switch op.Kind {
	case Sync:
		return Result{Path: op.Path}
	case AddWatch:
		if op.Recursive {
			w.data.add(op.Path, conn, recursive)
		} else {
			w.data.add(op.Path, conn, persistent)
			w.child.add(op.Path, conn, persistent)
		}
		return Result{}
	case Exists:
		if op.Watch {
			w.data.add(op.Path, conn, oneShot)
		}
		if n == nil {
			return Result{Code: NoNode}
		}
		return Result{Stat: w.stat(op.Path)}
	case Get:
		if n == nil {
			return Result{Code: NoNode}
		}
		if op.Watch {
			w.data.add(op.Path, conn, oneShot)
		}
		return Result{Data: n.data, Stat: w.stat(op.Path)}
	case Children:
		if n == nil {
			return Result{Code: NoNode}
		}
		if op.Watch {
			w.child.add(op.Path, conn, oneShot)
		}
		return Result{Children: w.childrenOf(op.Path), Stat: w.stat(op.Path)}
	}
	panic("not a read: " + op.String())
}

// Drop forgets a connection's watches.
func (w *World) Drop(conn int) {
	for _, table := range []watches{w.data, w.child} {
		for path, modes := range table {
			if delete(modes, conn); len(modes) == 0 {
				delete(table, path)
			}
		}
	}
}

// fire tells the watchers of a write that succeeded.
func (w *World) fire(zxid int64, op Op) (events []Event) {
	tell := func(table watches, typ int32, path string, told map[int]bool) {
		for _, conn := range table.fire(path, typ != ChildrenChanged) {
			if !told[conn] {
				told[conn] = true
				events = append(events, Event{conn, typ, path, zxid})
			}
		}
	}
	switch op.Kind {
	case Create:
		tell(w.data, Created, op.Path, map[int]bool{})
		tell(w.child, ChildrenChanged, Parent(op.Path), map[int]bool{})
	case Delete:
		// A connection that has heard of it does not hear of it again, though its one-shot watch for children is over as well.
		told := map[int]bool{}
		tell(w.data, Deleted, op.Path, told)
		tell(w.child, Deleted, op.Path, told)
		tell(w.child, ChildrenChanged, Parent(op.Path), map[int]bool{})
	case Set:
		tell(w.data, DataChanged, op.Path, map[int]bool{})
	}
	return events
}

// fire lists who watches a path, from above too if a recursive watch there counts, and ends the one-shot watches of exactly that path.
func (w watches) fire(path string, above bool) []int {
	heard := map[int]bool{}
	for conn, modes := range w[path] {
		heard[conn] = true
		if modes &= ^oneShot; modes == 0 {
			delete(w[path], conn)
		} else {
			w[path][conn] = modes
		}
	}
	if len(w[path]) == 0 {
		delete(w, path)
	}
	for up := path; above && up != "/"; {
		up = Parent(up)
		for conn, modes := range w[up] {
			if modes&recursive != 0 {
				heard[conn] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(heard))
}

// Sub is a world of just these nodes and their ancestors, without watches; statistics of the ancestors are not those of the whole. The
// paths must be sorted.
func (w *World) Sub(paths []string) *World {
	s := New()
	for _, path := range paths {
		for up := Parent(path); s.nodes[up] == nil && w.nodes[up] != nil; up = Parent(up) {
			s.nodes[up] = w.nodes[up]
		}
		if n := w.nodes[path]; n != nil {
			s.put(path, n)
		}
	}
	return s
}

// Adopt makes a node what was read of it.
func (w *World) Adopt(path string, r Result) {
	w.put(path, &node{
		czxid: r.Stat.Czxid, mzxid: r.Stat.Mzxid, pzxid: r.Stat.Pzxid, ctime: r.Stat.Ctime, mtime: r.Stat.Mtime, version: r.Stat.Version,
		created: (r.Stat.Cversion + r.Stat.Children) / 2, owner: r.Stat.Owner, data: r.Data,
	})
}

// Forget takes a node out, as if it had never been there.
func (w *World) Forget(path string) {
	if w.nodes[path] != nil {
		w.take(path)
	}
}
