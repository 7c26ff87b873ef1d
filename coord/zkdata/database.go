package zkdata

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ottla/coord/tree"
	"ottla/coord/wire"
)

// Node is a znode as ZooKeeper keeps it.
type Node struct {
	Data                              []byte // nil is null
	ACL                               []wire.ACL
	Czxid, Mzxid, Pzxid, Ctime, Mtime int64
	Version, Aversion                 int32
	// Created is how many children were ever created below it: what ZooKeeper stores as cversion, and not what it shows.
	Created int32
	// Owner is the stored owner: a session, or one of the marks of package tree.
	Owner int64

	list     int64 // number of the ACL, until it is resolved
	children map[string]struct{}
}

// Children is the number of children.
func (n *Node) Children() int { return len(n.children) }

// ephemeral is the session that the node belongs to, or 0.
func (n *Node) ephemeral() int64 {
	if n.Owner == tree.ContainerOwner || uint64(n.Owner)>>56 == 0xff {
		return 0
	}
	return n.Owner
}

// Database is everything that a ZooKeeper keeps. Paths are absolute, that of the root is "/".
type Database struct {
	Nodes    map[string]*Node
	Sessions map[int64]int32 // timeouts in ms
	Zxid     int64           // of the last transaction

	lists     aclTable
	ephemeral map[int64]map[string]struct{}
	// orphans are the children of nodes that were deleted before them, which happens where a fuzzy snapshot holds children that came
	// only after the node was made again. They wait for that.
	orphans map[string]map[string]struct{}
}

func newDatabase() *Database {
	return &Database{
		Nodes: map[string]*Node{}, Sessions: map[int64]int32{}, lists: newACLTable(), ephemeral: map[int64]map[string]struct{}{},
		orphans: map[string]map[string]struct{}{},
	}
}

// fresh is the database that a ZooKeeper without files begins with.
func fresh() *Database {
	d := newDatabase()
	d.put("/", &Node{Data: []byte{}, list: openList})
	d.addSystemNodes()
	return d
}

// addSystemNodes makes the nodes that exist in every ZooKeeper; those of old versions' files lack some.
func (d *Database) addSystemNodes() {
	for _, path := range []string{tree.PathZooKeeper, tree.PathQuota, tree.PathConfig} {
		if d.Nodes[path] != nil {
			continue
		}
		n := &Node{Data: []byte{}, list: openList}
		if path == tree.PathConfig {
			n.Aversion = -1
			n.list = d.lists.intern([]wire.ACL{{Perms: wire.PermRead, ID: wire.WorldAnyone}})
		}
		d.put(path, n)
	}
}

// Paths are all paths in their order, in which parents come before children.
func (d *Database) Paths() []string {
	paths := make([]string, 0, len(d.Nodes))
	for p := range d.Nodes {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// split is a path's parent and last part.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:max(i, 1)], path[i+1:]
}

// put links a node whose parent is there, but for the root's.
func (d *Database) put(path string, n *Node) {
	d.Nodes[path] = n
	if path == "/" {
		return
	}
	if c, ok := d.orphans[path]; ok {
		n.children = c
		delete(d.orphans, path)
	}
	parent, name := split(path)
	p := d.Nodes[parent]
	if p.children == nil {
		p.children = map[string]struct{}{}
	}
	p.children[name] = struct{}{}
	if id := n.ephemeral(); id != 0 {
		if d.ephemeral[id] == nil {
			d.ephemeral[id] = map[string]struct{}{}
		}
		d.ephemeral[id][path] = struct{}{}
	}
}

// errNode says that a transaction does not fit the tree, as happens while a fuzzy snapshot is brought up to date.
var errNode = errors.New("node is missing or there already")

// create replays a create. A count of -1 stands for one more than the parent has, as in files of ZooKeeper before 3.4.
func (d *Database) create(path string, data []byte, acls []wire.ACL, owner int64, created int32, zxid, time int64) error {
	if path == "" || path[0] != '/' || path == "/" {
		return errNode
	}
	parent, _ := split(path)
	p := d.Nodes[parent]
	if p == nil {
		return errNode
	}
	if created == -1 {
		created = p.Created + 1
	}
	// The list gets its number in any case: a node of the snapshot may refer to it.
	list := d.lists.intern(acls)
	// A create that the snapshot has seen must not take the parent back.
	grow := func() {
		if created > p.Created {
			p.Created, p.Pzxid = created, zxid
		}
	}
	if old := d.Nodes[path]; old != nil {
		d.lists.use(old.list, -1)
		old.list = list
		grow()
		return errNode
	}
	grow()
	d.put(path, &Node{Data: data, list: list, Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: time, Mtime: time, Owner: owner})
	return nil
}

// remove replays a delete. The parent takes note of it even if the snapshot was written after it.
func (d *Database) remove(path string, zxid int64) error {
	parent, name := split(path)
	p := d.Nodes[parent]
	if p == nil || name == "" {
		return errNode
	}
	delete(p.children, name)
	p.Pzxid = max(p.Pzxid, zxid)
	n := d.Nodes[path]
	if n == nil {
		return errNode
	}
	delete(d.Nodes, path)
	if len(n.children) > 0 {
		d.orphans[path] = n.children
	}
	d.lists.use(n.list, -1)
	if set := d.ephemeral[n.ephemeral()]; set != nil {
		delete(set, path)
	}
	return nil
}

// endSession replays the end of a session: its ephemeral nodes and those that the transaction names go.
func (d *Database) endSession(id int64, named []string, zxid int64) {
	for path := range d.ephemeral[id] {
		if !slices.Contains(named, path) {
			_ = d.remove(path, zxid) // it is there
		}
	}
	delete(d.ephemeral, id)
	for _, path := range named {
		_ = d.remove(path, zxid) // the snapshot may be newer than its end
	}
	delete(d.Sessions, id)
}

// finish does what a start does after the last log: sessions that are gone take their ephemeral nodes with them, and every node gets its list.
func (d *Database) finish() error {
	for id := range d.ephemeral {
		if _, ok := d.Sessions[id]; !ok {
			d.endSession(id, nil, d.Zxid)
		}
	}
	d.addSystemNodes()
	for path := range d.orphans {
		d.dropBelow(path)
	}
	for path, n := range d.Nodes {
		acls, ok := d.lists.lookup(n.list)
		if !ok {
			return fmt.Errorf("node %q refers to access control list %d, which is missing", path, n.list)
		}
		n.ACL = acls
		if path != "/" && !tree.ValidPath(path) {
			return fmt.Errorf("node %q has a path that no client could have made", path)
		}
		if parent, _ := split(path); path != "/" && d.Nodes[parent] == nil {
			return fmt.Errorf("node %q has no parent", path)
		}
	}
	d.countQuotas()
	return nil
}

// dropBelow forgets what is below a node that was never made again.
func (d *Database) dropBelow(path string) {
	for name := range d.orphans[path] {
		child := path + "/" + name
		if n := d.Nodes[child]; n != nil {
			delete(d.Nodes, child)
			d.orphans[child] = n.children
			d.dropBelow(child)
		}
	}
	delete(d.orphans, path)
}

// openList is the number of the open list.
const openList = -1

// aclTable numbers lists as ZooKeeper does: a fuzzy snapshot may hold nodes whose list comes only with the log.
type aclTable struct {
	byID   map[int64]*aclEntry
	byText map[string]int64
	last   int64
}

type aclEntry struct {
	acls []wire.ACL
	text string
	refs int
}

func newACLTable() aclTable { return aclTable{byID: map[int64]*aclEntry{}, byText: map[string]int64{}} }

func (t *aclTable) load(id int64, acls []wire.ACL) {
	e := &aclEntry{acls: acls, text: string(wire.AppendACLs(nil, acls))}
	t.byID[id], t.byText[e.text] = e, id
	t.last = max(t.last, id)
}

// intern returns the number of a list and counts a use.
func (t *aclTable) intern(acls []wire.ACL) int64 {
	if acls == nil {
		return openList
	}
	text := string(wire.AppendACLs(nil, acls))
	id, ok := t.byText[text]
	if !ok {
		t.last++
		id = t.last
		t.byID[id], t.byText[text] = &aclEntry{acls: acls, text: text}, id
	}
	t.byID[id].refs++
	return id
}

func (t *aclTable) use(id int64, n int) {
	e := t.byID[id]
	if e == nil {
		return
	}
	if e.refs += n; e.refs <= 0 && n < 0 {
		delete(t.byID, id)
		delete(t.byText, e.text)
	}
}

func (t *aclTable) lookup(id int64) ([]wire.ACL, bool) {
	if id == openList {
		return wire.OpenACL, true
	}
	e := t.byID[id]
	if e == nil {
		return nil, false
	}
	return e.acls, true
}

// purge forgets lists that no node of the snapshot refers to, as ZooKeeper does behind one.
func (t *aclTable) purge() {
	for id, e := range t.byID {
		if e.refs <= 0 {
			delete(t.byID, id)
			delete(t.byText, e.text)
		}
	}
}

// Kind is what sort of node it is.
type Kind int

// Kinds.
const (
	Persistent Kind = iota
	Ephemeral
	Container
	TTL
)

// Kind is what sort of node it is.
func (n *Node) Kind() Kind {
	switch {
	case n.Owner == 0:
		return Persistent
	case n.Owner == tree.ContainerOwner:
		return Container
	case n.ephemeral() == 0:
		return TTL
	}
	return Ephemeral
}
