package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
)

const (
	recordVersion  = 1
	recordNullData = 1
	recordHead     = 1 + 1 + 4 + 5*8 + 3*4 + 8
)

// ErrVersion says that a record is whole, but of another format.
var ErrVersion = errors.New("it was written by another version of this program")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendNode appends a node's record; its layout is in doc.go.
func appendNode(b []byte, path string, n *Node) []byte {
	start := len(b)
	var flags byte
	if n.data == nil {
		flags = recordNullData
	}
	be := binary.BigEndian
	b = slices.Grow(b, recordHead+len(n.data)+4)
	b = append(b, recordVersion, flags)
	b = be.AppendUint32(b, uint32(n.acl))
	for _, v := range [...]int64{n.czxid, n.mzxid, n.pzxid, n.ctime, n.mtime} {
		b = be.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]int32{n.version, n.created, n.aversion} {
		b = be.AppendUint32(b, uint32(v))
	}
	b = be.AppendUint64(b, uint64(n.owner))
	b = append(b, n.data...)
	return be.AppendUint32(b, checksum(path, b[start:]))
}

func checksum(key string, value []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, value)
}

// Load puts a node back from its record; neither argument is kept. Lists come before nodes (LoadACL), parents before children, as in the order
// of their paths.
func (t *Tree) Load(path string, record []byte) error {
	n, err := decodeNode(path, record)
	if err != nil {
		return err
	}
	if n.acl != 0 {
		if t.acls.byID[n.acl] == nil {
			return fmt.Errorf("node %q refers to access control list %d, which is missing", path, n.acl)
		}
		t.acls.ref(n.acl)
	}
	if path == "/" {
		if t.nodes != 0 {
			return fmt.Errorf("the root has two records")
		}
		n.dirty, n.flags = 0, flagStored
		t.root, t.lastParent = n, nil
		t.dirt = newDirt()
		t.nodes, t.dataBytes = 1, 1+int64(len(n.data))
		return nil
	}
	if t.nodes == 0 {
		return fmt.Errorf("record of node %q comes before the root's", path)
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 || !ValidPath(path) {
		return fmt.Errorf("record of a node has the path %q", path)
	}
	n.parent = t.parentForLoad(path[:i])
	if n.parent == nil {
		return fmt.Errorf("node %q has no parent", path)
	}
	n.name = strings.Clone(path[i+1:])
	if n.parent.children[n.name] != nil {
		return fmt.Errorf("node %q has two records", path)
	}
	n.flags = flagStored
	t.attach(n)
	if path == PathQuota {
		t.quota = n
	}
	return nil
}

// parentForLoad looks a parent up; siblings come one after the other, so the last one is tried first.
func (t *Tree) parentForLoad(path string) *Node {
	if t.lastParent == nil || t.lastPath != path {
		t.lastParent, t.lastPath = t.Lookup([]byte(path)), strings.Clone(path)
	}
	return t.lastParent
}

func decodeNode(path string, r []byte) (*Node, error) {
	if len(r) < recordHead+4 {
		return nil, fmt.Errorf("record of node %q is too short", path)
	}
	be := binary.BigEndian
	body, sum := r[:len(r)-4], be.Uint32(r[len(r)-4:])
	if checksum(path, body) != sum {
		return nil, fmt.Errorf("record of node %q has a wrong checksum", path)
	}
	if r[0] != recordVersion {
		return nil, fmt.Errorf("record of node %q: %w: version %d, this server knows %d", path, ErrVersion, r[0], recordVersion)
	}
	flags := r[1]
	n := &Node{acl: aclID(be.Uint32(r[2:]))}
	p := r[6:]
	for _, v := range [...]*int64{&n.czxid, &n.mzxid, &n.pzxid, &n.ctime, &n.mtime} {
		*v = int64(be.Uint64(p))
		p = p[8:]
	}
	for _, v := range [...]*int32{&n.version, &n.created, &n.aversion} {
		*v = int32(be.Uint32(p))
		p = p[4:]
	}
	n.owner = int64(be.Uint64(p))
	data := body[recordHead:]
	if flags&recordNullData == 0 {
		n.data = append(make([]byte, 0, len(data)), data...)
	}
	return n, nil
}

// LoadACL puts a list back from its record.
func (t *Tree) LoadACL(key, record []byte) error {
	if len(key) != 4 || len(record) < 5 {
		return fmt.Errorf("record of an access control list is not valid")
	}
	body, sum := record[:len(record)-4], binary.BigEndian.Uint32(record[len(record)-4:])
	if checksum(string(key), body) != sum {
		return fmt.Errorf("record of access control list %x has a wrong checksum", key)
	}
	if record[0] != recordVersion {
		return fmt.Errorf("record of access control list %x: %w: version %d, this server knows %d", key, ErrVersion, record[0], recordVersion)
	}
	id := binary.BigEndian.Uint32(key)
	if id == math.MaxUint32 {
		return fmt.Errorf("access control list %d is out of range", id)
	}
	return t.acls.load(aclID(id), body[1:])
}

// ACLChanges calls f for each list that came or went since the last call, in the order of their keys; a nil record says that it is gone.
// It needs the writer's lock.
func (t *Tree) ACLChanges(f func(key, record []byte)) {
	ids := make([]aclID, 0, len(t.acls.dirty))
	for id := range t.acls.dirty {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		key := binary.BigEndian.AppendUint32(nil, uint32(id))
		e := t.acls.byID[id]
		if e == nil {
			f(key, nil)
			continue
		}
		record := append([]byte{recordVersion}, e.text...)
		f(key, binary.BigEndian.AppendUint32(record, checksum(string(key), record)))
	}
	clear(t.acls.dirty)
}

// NextACL is the number the next new list gets; it belongs to the checkpoint so that replay gives the same numbers.
func (t *Tree) NextACL() uint32 { return uint32(t.acls.next) }

// SetNextACL restores NextACL after the lists were loaded.
func (t *Tree) SetNextACL(id uint32) { t.acls.next = max(t.acls.next, aclID(id)) }
