package fsm

import (
	"bytes"
	"strconv"

	"ottla/coord/acl"
	"ottla/coord/tree"
	"ottla/coord/wire"
)

// call is one request on its way: what run needs beside the operation.
type call struct {
	m     *Machine
	flags uint8
	req   *Request
	res   *Result
}

// op is one operation, alone or in a multi. Slices point into the entry.
type op struct {
	code    wire.Op
	path    []byte // nil is null
	data    []byte
	acls    []wire.ACL
	flags   int32
	ttl     int64
	version int32
}

// decodeOp reads an operation that may stand in a multi. The decoder's error says whether it could.
func decodeOp(d *wire.Decoder, code wire.Op) (o op) {
	o.code = code
	o.path = d.String()
	switch code {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		o.data = d.Buffer()
		o.acls, _ = d.ACLs()
		o.flags = d.Int()
		o.ttl = -1
		if code == wire.OpCreateTTL {
			o.ttl = d.Long()
		}
	case wire.OpDelete, wire.OpCheck:
		o.version = d.Int()
	case wire.OpSetData:
		o.data = d.Buffer()
		o.version = d.Int()
	default:
		d.Fail(wire.ErrShort)
	}
	// A null path is a broken request for some operations and a bad argument for others, as in ZooKeeper.
	if o.path == nil && code != wire.OpSetData && code != wire.OpCheck {
		d.Fail(wire.ErrShort)
	}
	return o
}

// run judges and executes one operation and appends its reply record. On any other code than CodeOK nothing has changed. The Undo is
// to be settled or reverted.
func (c *call) run(o *op) (wire.Code, tree.Undo) {
	switch o.code {
	case wire.OpDelete:
		return c.delete(o)
	case wire.OpSetData:
		return c.setData(o)
	case wire.OpCheck:
		return c.check(o), tree.Undo{}
	default:
		return c.create(o)
	}
}

// kind is what a create makes.
type kind struct {
	sequential, ephemeral bool
	owner                 int64
}

// createKind judges opcode, flags and time to live.
func (c *call) createKind(o *op) (k kind, code wire.Code) {
	if o.flags < wire.FlagPersistent || o.flags > wire.FlagPersistentSequentialTTL {
		return k, wire.CodeBadArguments
	}
	withTTL := o.flags == wire.FlagPersistentTTL || o.flags == wire.FlagPersistentSequentialTTL
	if withTTL && c.flags&FlagExtendedTypes == 0 {
		return k, wire.CodeUnimplemented
	}
	if withTTL != (o.code == wire.OpCreateTTL) || withTTL && (o.ttl < 1 || o.ttl > tree.TTLMax) {
		return k, wire.CodeBadArguments
	}
	switch o.flags {
	case wire.FlagPersistentSequential, wire.FlagEphemeralSequential, wire.FlagPersistentSequentialTTL:
		k.sequential = true
	}
	switch {
	case o.code == wire.OpCreateContainer: // whatever the flags say
		k.owner = tree.ContainerOwner
	case withTTL:
		k.owner = tree.TTLOwner(o.ttl)
	case o.flags == wire.FlagEphemeral || o.flags == wire.FlagEphemeralSequential:
		k.ephemeral, k.owner = true, c.req.Session
	}
	return k, wire.CodeOK
}

func (c *call) create(o *op) (wire.Code, tree.Undo) {
	k, code := c.createKind(o)
	if code != wire.CodeOK {
		return code, tree.Undo{}
	}
	slash := bytes.LastIndexByte(o.path, '/')
	if slash < 0 || bytes.IndexByte(o.path, 0) >= 0 {
		return wire.CodeBadArguments, tree.Undo{}
	}
	acls, code := acl.Fix(o.acls, c.req.Auth, c.schemes())
	if code != wire.CodeOK {
		return code, tree.Undo{}
	}
	t := c.m.tree
	parent := t.Lookup(o.path[:slash])
	if parent == nil {
		return wire.CodeNoNode, tree.Undo{}
	}
	if !c.allowed(t.ACL(parent), wire.PermCreate) {
		return wire.CodeNoAuth, tree.Undo{}
	}
	path := o.path
	if k.sequential {
		path = c.sequentialPath(path, parent.Created())
	}
	name := path[slash+1:]
	// The parent exists, so only the last part can be wrong.
	if len(path) > 1 && !tree.ValidName(string(name)) {
		return wire.CodeBadArguments, tree.Undo{}
	}
	if len(path) == 1 || parent.Children()[string(name)] != nil {
		return wire.CodeNodeExists, tree.Undo{}
	}
	if parent.EphemeralOwner() != 0 {
		return wire.CodeNoChildrenForEphemerals, tree.Undo{}
	}
	if code := c.checkQuota(path, 1, int64(len(o.data))); code != wire.CodeOK {
		return code, tree.Undo{}
	}
	n, u := t.Create(parent, string(name), cloneData(o.data), acls, k.owner, c.res.Zxid, c.req.Time)
	c.m.used(path, 1, int64(len(o.data)), true)
	c.res.event(wire.EventNodeCreated, path, t.ACL(n))
	c.res.event(wire.EventNodeChildrenChanged, parentPath(path, slash), t.ACL(parent))
	c.res.Body = wire.AppendString(c.res.Body, path)
	if o.code != wire.OpCreate {
		c.appendStat(n)
	}
	return wire.CodeOK, u
}

// sequentialPath appends the number of a sequential node: ten digits at least.
func (c *call) sequentialPath(path []byte, number int32) []byte {
	start := len(c.m.paths)
	c.m.paths = append(c.m.paths, path...)
	var digits [10]byte
	text := strconv.AppendInt(digits[:0], int64(number), 10)
	for range 10 - len(text) {
		c.m.paths = append(c.m.paths, '0')
	}
	c.m.paths = append(c.m.paths, text...)
	return c.m.paths[start:len(c.m.paths):len(c.m.paths)]
}

func (c *call) delete(o *op) (wire.Code, tree.Undo) {
	slash := bytes.LastIndexByte(o.path, '/')
	if slash < 0 || bytes.IndexByte(o.path, 0) >= 0 || special(o.path) {
		return wire.CodeBadArguments, tree.Undo{}
	}
	t := c.m.tree
	parent := t.Lookup(o.path[:slash])
	if parent == nil {
		return wire.CodeNoNode, tree.Undo{}
	}
	if !c.allowed(t.ACL(parent), wire.PermDelete) {
		return wire.CodeNoAuth, tree.Undo{}
	}
	n := parent.Children()[string(o.path[slash+1:])]
	if n == nil {
		return wire.CodeNoNode, tree.Undo{}
	}
	if o.version != -1 && o.version != n.Version() {
		return wire.CodeBadVersion, tree.Undo{}
	}
	if n.NumChildren() > 0 {
		return wire.CodeNotEmpty, tree.Undo{}
	}
	return wire.CodeOK, c.m.remove(n, o.path, slash, c.res)
}

// remove deletes a node and tells of it.
func (m *Machine) remove(n *tree.Node, path []byte, slash int, res *Result) tree.Undo {
	acls, parent := m.tree.ACL(n), n.Parent()
	m.used(path, -1, -int64(len(n.Data())), false)
	u := m.tree.Delete(n, res.Zxid)
	res.event(wire.EventNodeDeleted, path, acls)
	res.event(wire.EventNodeChildrenChanged, parentPath(path, slash), m.tree.ACL(parent))
	return u
}

func (c *call) setData(o *op) (wire.Code, tree.Undo) {
	n, code := c.find(o.path)
	if code != wire.CodeOK {
		return code, tree.Undo{}
	}
	if !c.allowed(c.m.tree.ACL(n), wire.PermWrite) {
		return wire.CodeNoAuth, tree.Undo{}
	}
	more := int64(len(o.data) - len(n.Data()))
	if code := c.checkQuota(o.path, 0, more); code != wire.CodeOK {
		return code, tree.Undo{}
	}
	if o.version != -1 && o.version != n.Version() {
		return wire.CodeBadVersion, tree.Undo{}
	}
	c.m.used(o.path, 0, more, false)
	u := c.m.tree.SetData(n, cloneData(o.data), c.res.Zxid, c.req.Time)
	c.res.event(wire.EventNodeDataChanged, o.path, c.m.tree.ACL(n))
	c.appendStat(n)
	return wire.CodeOK, u
}

func (c *call) check(o *op) wire.Code {
	n, code := c.find(o.path)
	if code != wire.CodeOK {
		return code
	}
	if !c.allowed(c.m.tree.ACL(n), wire.PermRead) {
		return wire.CodeNoAuth
	}
	if o.version != -1 && o.version != n.Version() {
		return wire.CodeBadVersion
	}
	return wire.CodeOK
}

func (c *call) setACL() wire.Code {
	d := wire.NewDecoder(c.req.Body)
	path := d.String()
	acls, _ := d.ACLs()
	version := d.Int()
	if d.Err() != nil {
		return wire.CodeMarshallingError
	}
	// The list is judged after the path and before the node.
	if !validPath(c.m.tree, path) {
		return wire.CodeBadArguments
	}
	acls, code := acl.Fix(acls, c.req.Auth, c.schemes())
	if code != wire.CodeOK {
		return code
	}
	n, code := c.find(path)
	if code != wire.CodeOK {
		return code
	}
	if !c.allowed(c.m.tree.ACL(n), wire.PermAdmin) {
		return wire.CodeNoAuth
	}
	if version != -1 && version != n.Aversion() {
		return wire.CodeBadVersion
	}
	c.m.tree.SetACL(n, acls)
	c.appendStat(n)
	return wire.CodeOK
}

// find looks up the node of an operation that validates its path first.
func (c *call) find(path []byte) (*tree.Node, wire.Code) {
	if !validPath(c.m.tree, path) {
		return nil, wire.CodeBadArguments
	}
	n := c.m.tree.Lookup(path)
	if n == nil {
		return nil, wire.CodeNoNode
	}
	return n, wire.CodeOK
}

// validPath is tree.ValidPath; the path of a node that exists is valid, which is the cheap way to know.
func validPath(t *tree.Tree, path []byte) bool {
	return len(path) > 0 && (t.Lookup(path) != nil || tree.ValidPath(string(path)))
}

func (c *call) allowed(acls []wire.ACL, perm int32) bool {
	return c.flags&FlagSkipACL != 0 || acl.Allowed(acls, perm, c.req.Auth)
}

// schemes are those that the entries of lists may have.
func (c *call) schemes() (s acl.Schemes) {
	return acl.Schemes{Digest: c.flags&FlagNoDigest == 0, SASL: c.flags&FlagSASL != 0, X509: c.flags&FlagX509 != 0}
}

func (c *call) appendStat(n *tree.Node) {
	var s wire.Stat
	n.Stat(&s)
	c.res.Body = wire.AppendStat(c.res.Body, &s)
}

// special says whether a node can never be deleted.
func special(path []byte) bool {
	switch string(path) {
	case "/", tree.PathZooKeeper, tree.PathQuota, tree.PathConfig:
		return true
	}
	return false
}

func parentPath(path []byte, slash int) []byte { return path[:max(slash, 1)] }

var emptyData = []byte{}

// cloneData copies data out of the entry; null stays null.
func cloneData(data []byte) []byte {
	switch {
	case data == nil:
		return nil
	case len(data) == 0:
		return emptyData
	}
	return bytes.Clone(data)
}
