package tree

import (
	"bytes"
	"math"
	"strings"

	"ottla/coord/wire"
)

// Paths of the nodes that always exist.
const (
	PathZooKeeper = "/zookeeper"
	PathQuota     = "/zookeeper/quota"
	PathConfig    = "/zookeeper/config"
)

// Tree is all znodes of a server. One writer, or many readers and no writer.
type Tree struct {
	root      *Node
	nodes     int
	dataBytes int64
	acls      aclTable
	owned     map[int64]map[*Node]struct{} // ephemeral nodes by session
	reapable  map[*Node]struct{}           // containers and nodes with a time to live
	dirt      dirt
	quota     *Node // PathQuota, nil if there is none

	lastParent *Node // Load's: where the previous record was put
	lastPath   string
}

// New is a fresh database: the root, /zookeeper, and quota and config below it.
func New() *Tree {
	t := Empty()
	t.nodes, t.dataBytes = 1, 1
	zk := t.put(t.root, "zookeeper", nil)
	t.quota = t.put(zk, "quota", nil)
	config := t.put(zk, "config", []byte{})
	config.aversion = -1
	config.acl = t.acls.intern([]wire.ACL{{Perms: wire.PermRead, ID: wire.WorldAnyone}})
	t.acls.ref(config.acl)
	return t
}

// Empty is a tree for Load, whose first record is the root's.
func Empty() *Tree {
	t := &Tree{
		root:     &Node{data: []byte{}},
		owned:    map[int64]map[*Node]struct{}{},
		reapable: map[*Node]struct{}{},
		acls:     newACLTable(),
		dirt:     newDirt(),
	}
	t.dirt.add(t.root)
	return t
}

// put makes one of the nodes of a fresh database, which no transaction created.
func (t *Tree) put(parent *Node, name string, data []byte) *Node {
	n := &Node{name: name, data: data, parent: parent}
	if data == nil {
		n.data = []byte{}
	}
	t.attach(n)
	t.dirt.add(n)
	return n
}

// attach links a node into its parent and counts it.
func (t *Tree) attach(n *Node) {
	p := n.parent
	if p.children == nil {
		p.children = make(map[string]*Node)
	}
	p.children[n.name] = n
	t.nodes++
	t.dataBytes += int64(n.pathLen() + len(n.data))
	if n.owner != 0 {
		t.own(n)
	}
}

func (t *Tree) detach(n *Node) {
	p := n.parent
	delete(p.children, n.name)
	if len(p.children) == 0 {
		p.children = nil // a map never shrinks
	}
	t.nodes--
	t.dataBytes -= int64(n.pathLen() + len(n.data))
	if n.owner != 0 {
		t.disown(n)
	}
}

func (t *Tree) own(n *Node) {
	session := n.EphemeralOwner()
	if session == 0 {
		t.reapable[n] = struct{}{}
		return
	}
	set := t.owned[session]
	if set == nil {
		set = make(map[*Node]struct{})
		t.owned[session] = set
	}
	set[n] = struct{}{}
}

func (t *Tree) disown(n *Node) {
	session := n.EphemeralOwner()
	if session == 0 {
		delete(t.reapable, n)
		return
	}
	delete(t.owned[session], n)
	if len(t.owned[session]) == 0 {
		delete(t.owned, session)
	}
}

// Root is "/".
func (t *Tree) Root() *Node { return t.root }

// Len is the number of nodes, the root included.
func (t *Tree) Len() int { return t.nodes }

// DataBytes is the length of all paths and data.
func (t *Tree) DataBytes() int64 { return t.dataBytes }

// Ephemerals is the number of ephemeral nodes.
func (t *Tree) Ephemerals() int {
	n := 0
	for _, set := range t.owned {
		n += len(set)
	}
	return n
}

// Owners calls f for each session that owns ephemeral nodes, with their number, in no order.
func (t *Tree) Owners(f func(session int64, nodes int)) {
	for id, set := range t.owned {
		f(id, len(set))
	}
}

// Owned are the paths of the ephemeral nodes of a session, in no order.
func (t *Tree) Owned(session int64) []string {
	set := t.owned[session]
	paths := make([]string, 0, len(set))
	for n := range set {
		paths = append(paths, n.Path())
	}
	return paths
}

// Reapable calls f for each container and each node with a time to live, in no order.
func (t *Tree) Reapable(f func(n *Node)) {
	for n := range t.reapable {
		f(n)
	}
}

// Lookup finds a node. "" is another name of the root, as in ZooKeeper; any other path that is not well formed is just not found.
func (t *Tree) Lookup(path []byte) *Node {
	if len(path) == 0 {
		return t.root
	}
	if path[0] != '/' {
		return nil
	}
	n := t.root
	if len(path) == 1 {
		return n
	}
	for path = path[1:]; ; {
		i := bytes.IndexByte(path, '/')
		if i < 0 {
			return n.children[string(path)]
		}
		if n = n.children[string(path[:i])]; n == nil {
			return nil
		}
		path = path[i+1:]
	}
}

// Descendants counts the nodes below n.
func (n *Node) Descendants() int {
	total := len(n.children)
	for _, c := range n.children {
		if len(c.children) > 0 {
			total += c.Descendants()
		}
	}
	return total
}

// Undo is what takes one change back. It is a value; the change is final once Settle was called with it, or when no
// ACL hangs on it.
type Undo struct {
	kind    undoKind
	node    *Node
	data    []byte
	zxid    int64
	time    int64
	counter int32
}

type undoKind uint8

const (
	undoCreate undoKind = iota + 1
	undoDelete
	undoSetData
)

// Create makes a child. The caller has checked that there is none of that name. name and data are kept.
func (t *Tree) Create(parent *Node, name string, data []byte, acls []wire.ACL, owner, zxid, time int64) (*Node, Undo) {
	u := Undo{kind: undoCreate, zxid: parent.pzxid, counter: parent.created}
	t.dirt.touch(parent)
	n := &Node{
		name: name, data: data, parent: parent, owner: owner,
		czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: time, mtime: time,
		acl: t.acls.intern(acls),
	}
	t.acls.ref(n.acl)
	t.attach(n)
	t.dirt.add(n)
	if parent.created < math.MaxInt32 {
		parent.created++
	}
	parent.pzxid = zxid
	u.node = n
	return n, u
}

// Delete removes a node, which has no children and is not the root.
func (t *Tree) Delete(n *Node, zxid int64) Undo {
	u := Undo{kind: undoDelete, node: n, zxid: n.parent.pzxid}
	t.dirt.touch(n.parent)
	t.dirt.touch(n)
	t.detach(n)
	t.dirt.remove(n)
	n.parent.pzxid = zxid
	return u
}

// SetData replaces a node's data, which is kept.
func (t *Tree) SetData(n *Node, data []byte, zxid, time int64) Undo {
	u := Undo{kind: undoSetData, node: n, data: n.data, zxid: n.mzxid, time: n.mtime, counter: n.version}
	t.dirt.touch(n)
	t.dataBytes += int64(len(data) - len(n.data))
	n.data, n.mzxid, n.mtime = data, zxid, time
	n.version++
	return u
}

// Rewrite replaces a node's data as the server itself does in the records that it keeps in the tree: no version, zxid or time changes. The data is
// kept, and there is no way back.
func (t *Tree) Rewrite(n *Node, data []byte) {
	t.dirt.touch(n)
	t.dataBytes += int64(len(data) - len(n.data))
	n.data = data
}

// SetACL replaces a node's access control list.
func (t *Tree) SetACL(n *Node, acls []wire.ACL) {
	t.dirt.touch(n)
	id := t.acls.intern(acls)
	t.acls.ref(id)
	t.acls.unref(n.acl)
	n.acl = id
	n.aversion++
}

// Revert takes a change back. Changes are taken back in the reverse of their order, and before anything else happens.
func (t *Tree) Revert(u Undo) {
	n := u.node
	switch u.kind {
	case undoCreate:
		t.detach(n)
		t.dirt.remove(n)
		t.acls.unref(n.acl)
		n.parent.pzxid, n.parent.created = u.zxid, u.counter
	case undoDelete:
		t.attach(n)
		t.dirt.restore(n)
		n.parent.pzxid = u.zxid
	case undoSetData:
		t.dataBytes += int64(len(u.data) - len(n.data))
		n.data, n.mzxid, n.mtime, n.version = u.data, u.zxid, u.time, u.counter
	}
}

// Settle makes a change final. Only after it may the list of a deleted node be forgotten, so every Undo that was not reverted must
// be settled.
func (t *Tree) Settle(u Undo) {
	if u.kind == undoDelete {
		t.acls.unref(u.node.acl)
		u.node.data = nil
		t.dirt.bury()
	}
}

// ACL is a node's access control list. Not to be changed; it stays valid when the lock is given up.
func (t *Tree) ACL(n *Node) []wire.ACL { return t.acls.list(n.acl) }

// ValidPath says whether a node may have this path: absolute, no empty part, no "." or "..", no trailing slash, none of the
// characters that ZooKeeper refuses. Characters are UTF-16 units there, so what needs a pair of them is refused too, and a wrong byte
// counts as U+FFFD, which is refused.
func ValidPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' || path[len(path)-1] == '/' {
		return false
	}
	for rest := path[1:]; ; {
		part, after, more := strings.Cut(rest, "/")
		if !ValidName(part) {
			return false
		}
		if !more {
			return true
		}
		rest = after
	}
}

// ValidName says whether one part of a path is valid.
func ValidName(name string) bool {
	if name == "" || name == "." || name == ".." {
		return false
	}
	for _, r := range name {
		switch {
		case r <= 0x1f, r >= 0x7f && r <= 0x9f, r >= 0xd800 && r <= 0xf8ff, r >= 0xfff0:
			return false
		}
	}
	return true
}
