package tree

import (
	"fmt"
	"math"

	"ottla/coord/wire"
)

// aclID names a list in the table. 0 is the open one, which most nodes have and which is not counted.
type aclID uint32

// aclTable keeps each list once. A list lives as long as a node refers to it.
type aclTable struct {
	byID   map[aclID]*aclEntry
	byText map[string]aclID // by the list as it travels
	next   aclID
	dirty  map[aclID]struct{} // changed since the last capture
}

type aclEntry struct {
	acls []wire.ACL
	text string
	refs int
}

func newACLTable() aclTable {
	return aclTable{byID: map[aclID]*aclEntry{}, byText: map[string]aclID{}, next: 1, dirty: map[aclID]struct{}{}}
}

// ACLs is the number of lists that nodes refer to, the open one not counted.
func (t *Tree) ACLs() int { return len(t.acls.byID) }

func isOpen(acls []wire.ACL) bool { return len(acls) == 1 && acls[0] == wire.OpenACL[0] }

// intern returns the id of a list, which is kept. A new one must be referred to before the next change.
func (t *aclTable) intern(acls []wire.ACL) aclID {
	if isOpen(acls) {
		return 0
	}
	text := string(wire.AppendACLs(nil, acls))
	if id, ok := t.byText[text]; ok {
		return id
	}
	if t.next == math.MaxUint32 {
		// A server that made four billion different lists starts over; numbers still in use are passed over below.
		t.next = 1
	}
	for t.byID[t.next] != nil {
		t.next++
	}
	id := t.next
	t.next++
	t.byID[id] = &aclEntry{acls: acls, text: text}
	t.byText[text] = id
	t.dirty[id] = struct{}{}
	return id
}

func (t *aclTable) ref(id aclID) {
	if id != 0 {
		t.byID[id].refs++
	}
}

func (t *aclTable) unref(id aclID) {
	if id == 0 {
		return
	}
	e := t.byID[id]
	e.refs--
	if e.refs == 0 {
		delete(t.byText, e.text)
		delete(t.byID, id)
		t.dirty[id] = struct{}{}
	}
}

func (t *aclTable) list(id aclID) []wire.ACL {
	if id == 0 {
		return wire.OpenACL
	}
	return t.byID[id].acls
}

// load puts a list back under its id. Nodes that refer to it are counted as they are loaded.
func (t *aclTable) load(id aclID, text []byte) error {
	d := wire.NewDecoder(text)
	acls, _ := d.ACLs()
	if d.Err() != nil || len(d.Rest()) != 0 || id == 0 || t.byID[id] != nil {
		return fmt.Errorf("record of access control list %d is not valid", id)
	}
	t.byID[id] = &aclEntry{acls: acls, text: string(text)}
	t.byText[string(text)] = id
	t.next = max(t.next, id+1)
	return nil
}
