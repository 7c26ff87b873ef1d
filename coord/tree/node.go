package tree

import (
	"math"

	"ottla/coord/wire"
)

// Kinds of node that ZooKeeper encodes in the stored owner: 0 is a persistent node, a session id an ephemeral one.
const (
	ContainerOwner = math.MinInt64
	ttlMark        = uint64(0xff) << 56
	// TTLMax is the longest time to live, in ms.
	TTLMax = 1<<40 - 1
)

// TTLOwner is the stored owner of a node that lives for ttl ms, 1 to TTLMax.
func TTLOwner(ttl int64) int64 { return int64(ttlMark | uint64(ttl)) }

// flags of a Node.
const (
	flagStored uint8 = 1 << iota // the last finished or running capture has a record under this path
	flagDead                     // deleted
)

// Node is one znode. Its size matters: it is kept in the 128-byte class, and a test watches what a znode costs in all.
// name and parent never change, so a path can be computed without the lock.
type Node struct {
	name     string
	data     []byte // nil is null
	parent   *Node  // nil for the root
	children map[string]*Node

	czxid, mzxid, pzxid int64
	ctime, mtime        int64
	owner               int64
	version             int32
	created             int32 // children ever created
	aversion            int32
	acl                 aclID
	dirty               uint32 // generation of the last change; 0 when captured
	flags               uint8
}

// Data is the node's data; nil is null, which clients can tell from empty. Not to be changed; valid as long as the lock is held.
func (n *Node) Data() []byte { return n.data }

// Name is the last part of the path.
func (n *Node) Name() string { return n.name }

// Parent is nil for the root.
func (n *Node) Parent() *Node { return n.parent }

// Children are the children by name. Not to be changed.
func (n *Node) Children() map[string]*Node { return n.children }

// NumChildren is the number of children.
func (n *Node) NumChildren() int { return len(n.children) }

// Version is that of the data.
func (n *Node) Version() int32 { return n.version }

// Aversion is the version of the ACL.
func (n *Node) Aversion() int32 { return n.aversion }

// Created is how many children were ever created below the node: the number that the next sequential child gets.
func (n *Node) Created() int32 { return n.created }

// Mzxid, Pzxid are the transactions that last changed the data and the list of children.
func (n *Node) Mzxid() int64 { return n.mzxid }

// Pzxid is the transaction that last changed the list of children.
func (n *Node) Pzxid() int64 { return n.pzxid }

// Mtime is when the data last changed, in ms.
func (n *Node) Mtime() int64 { return n.mtime }

// EphemeralOwner is the session that an ephemeral node belongs to, else 0.
func (n *Node) EphemeralOwner() int64 {
	if n.owner == ContainerOwner || n.TTL() != 0 {
		return 0
	}
	return n.owner
}

// Container says whether the node goes away once its children are gone.
func (n *Node) Container() bool { return n.owner == ContainerOwner }

// TTL is the node's time to live in ms, 0 for none.
func (n *Node) TTL() int64 {
	if uint64(n.owner)&ttlMark != ttlMark {
		return 0
	}
	return n.owner & TTLMax
}

// Over says whether the node, which has no children, has no reason to stay: a container that had children, or had none for longer than
// unused, or a node that was not changed for longer than its time to live. Times are in ms; unused 0 is for ever.
func (n *Node) Over(now, unused int64) bool {
	if n.Container() {
		return n.created > 0 || unused > 0 && now-n.mtime > unused
	}
	ttl := n.TTL()
	return ttl != 0 && now-n.mtime > ttl
}

// Stat fills s with what clients see.
func (n *Node) Stat(s *wire.Stat) {
	*s = wire.Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: 2*n.created - int32(len(n.children)), Aversion: n.aversion,
		EphemeralOwner: n.EphemeralOwner(), DataLength: int32(len(n.data)), NumChildren: int32(len(n.children)), Pzxid: n.pzxid,
	}
}

// Path is the node's full path. It may be called without the lock.
func (n *Node) Path() string { return string(n.AppendPath(nil)) }

// AppendPath appends the node's full path. It may be called without the lock.
func (n *Node) AppendPath(b []byte) []byte {
	if n.parent == nil {
		return append(b, '/')
	}
	size := 0
	for m := n; m.parent != nil; m = m.parent {
		size += 1 + len(m.name)
	}
	start := len(b)
	b = append(b, make([]byte, size)...)
	end := start + size
	for m := n; m.parent != nil; m = m.parent {
		end -= len(m.name)
		copy(b[end:], m.name)
		end--
		b[end] = '/'
	}
	return b
}

// pathLen is len(n.Path()).
func (n *Node) pathLen() int {
	if n.parent == nil {
		return 1
	}
	size := 0
	for m := n; m.parent != nil; m = m.parent {
		size += 1 + len(m.name)
	}
	return size
}
