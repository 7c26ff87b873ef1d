package tree

import (
	"fmt"
	"strings"

	"ottla/coord/wire"
)

// Image is a node as values, for what comes from another server or goes to one.
type Image struct {
	Data                              []byte // nil is null; kept
	ACL                               []wire.ACL
	Czxid, Mzxid, Pzxid, Ctime, Mtime int64
	Version, Created, Aversion        int32
	Owner                             int64 // as it is stored
}

// Image is a node's. Data and ACL are not to be changed; valid as long as the lock is held.
func (t *Tree) Image(n *Node) Image {
	return Image{
		Data: n.data, ACL: t.ACL(n), Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Created: n.created, Aversion: n.aversion, Owner: n.owner,
	}
}

// Insert puts a node into a tree that began with Empty: first the root, parents before children. The next capture holds it.
func (t *Tree) Insert(path string, v *Image) error {
	n := &Node{
		data: v.Data, czxid: v.Czxid, mzxid: v.Mzxid, pzxid: v.Pzxid, ctime: v.Ctime, mtime: v.Mtime,
		version: v.Version, created: v.Created, aversion: v.Aversion, owner: v.Owner,
	}
	i := strings.LastIndexByte(path, '/')
	switch {
	case path == "/" && t.nodes == 0:
		n.acl = t.acls.intern(v.ACL)
		t.acls.ref(n.acl)
		t.root, t.lastParent, t.dirt = n, nil, newDirt()
		t.dirt.add(n)
		t.nodes, t.dataBytes = 1, 1+int64(len(n.data))
		return nil
	case t.nodes == 0 || i < 0 || !ValidPath(path):
		return fmt.Errorf("node %q cannot be put into the tree", path)
	}
	if n.parent = t.parentForLoad(path[:i]); n.parent == nil {
		return fmt.Errorf("node %q has no parent", path)
	}
	n.name = strings.Clone(path[i+1:])
	if n.parent.children[n.name] != nil {
		return fmt.Errorf("node %q is there twice", path)
	}
	n.acl = t.acls.intern(v.ACL)
	t.acls.ref(n.acl)
	t.attach(n)
	t.dirt.add(n)
	if path == PathQuota {
		t.quota = n
	}
	return nil
}
