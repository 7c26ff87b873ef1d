package tree

import (
	"encoding/binary"
	"fmt"

	"ottla/coord/wire"
)

// DecodeRecord reads a node's record on its own: the image without its list of access control, and the number of that, 0 for the one that is
// open to all.
func DecodeRecord(path string, record []byte) (v Image, acl uint32, err error) {
	n, err := decodeNode(path, record)
	if err != nil {
		return Image{}, 0, err
	}
	return Image{
		Data: n.data, Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Created: n.created, Aversion: n.aversion, Owner: n.owner,
	}, uint32(n.acl), nil
}

// DecodeACL reads the record of a list.
func DecodeACL(key, record []byte) (uint32, []wire.ACL, error) {
	var t Tree
	t.acls = newACLTable()
	if err := t.LoadACL(key, record); err != nil {
		return 0, nil, err
	}
	id := binary.BigEndian.Uint32(key)
	e := t.acls.byID[aclID(id)]
	if e == nil {
		return 0, nil, fmt.Errorf("access control list %d is not valid", id)
	}
	return id, e.acls, nil
}

// EphemeralOwner is the session that an ephemeral node belongs to, else 0.
func (v *Image) EphemeralOwner() int64 { return (&Node{owner: v.Owner}).EphemeralOwner() }
