package zkdata

import (
	"bytes"
	"fmt"

	"ottla/coord/tree"
	"ottla/coord/wire"
)

// header is a transaction's.
type header struct {
	session    int64
	zxid, time int64
	op         wire.Op
}

// replay applies an entry of a log. What does not fit the tree is passed over, as at ZooKeeper's start; an entry that cannot be read is an
// error.
func (d *Database) replay(entry []byte) (header, error) {
	r := wire.NewDecoder(entry)
	h := header{session: r.Long()}
	r.Int() // cxid
	h.zxid, h.time, h.op = r.Long(), r.Long(), wire.Op(r.Int())
	if err := r.Err(); err != nil {
		return h, fmt.Errorf("header of a transaction: %w", err)
	}
	if err := d.apply(h, &r); err != nil {
		return h, fmt.Errorf("transaction 0x%x of type %d: %w", h.zxid, h.op, err)
	}
	d.Zxid = max(d.Zxid, h.zxid)
	return h, nil
}

func (d *Database) apply(h header, r *wire.Decoder) error {
	switch h.op {
	case wire.OpError:
		return nil
	case wire.OpCreateSession:
		timeout := r.Int()
		if r.Err() == nil {
			d.Sessions[h.session] = timeout
		}
		return r.Err()
	case wire.OpCloseSession:
		paths, err := closedPaths(r)
		if err == nil {
			d.endSession(h.session, paths, h.zxid)
		}
		return err
	case wire.OpMulti:
		return d.multi(h, r)
	}
	return d.change(h, r)
}

// closedPaths are the nodes that the end of a session deletes; logs before 3.6 do not name them.
func closedPaths(r *wire.Decoder) ([]string, error) {
	if len(r.Rest()) == 0 {
		return nil, nil
	}
	n, _ := r.Count(4)
	paths := make([]string, 0, n)
	for range n {
		paths = append(paths, string(r.String()))
	}
	return paths, r.Err()
}

// multi applies all parts, or none if one of them is an error.
func (d *Database) multi(h header, r *wire.Decoder) error {
	n, _ := r.Count(8)
	type part struct {
		op   wire.Op
		data []byte
	}
	parts := make([]part, 0, n)
	failed := false
	for range n {
		p := part{wire.Op(r.Int()), r.Buffer()}
		failed = failed || p.op == wire.OpError
		parts = append(parts, p)
	}
	if r.Err() != nil || failed {
		return r.Err()
	}
	for _, p := range parts {
		h.op = p.op
		sub := wire.NewDecoder(p.data)
		if err := d.change(h, &sub); err != nil {
			return err
		}
	}
	return nil
}

// change applies one change of the tree. errNode is not an error here.
func (d *Database) change(h header, r *wire.Decoder) error {
	path := string(r.String())
	switch h.op {
	case wire.OpCreate, wire.OpCreate2:
		data := bytes.Clone(r.Buffer())
		acls := readACLs(r)
		ephemeral, created := r.Bool(), int32(-1)
		if len(r.Rest()) >= 4 { // logs of 3.3 lack it
			created = r.Int()
		}
		if r.Err() == nil {
			owner := int64(0)
			if ephemeral {
				owner = h.session
			}
			_ = d.create(path, data, acls, owner, created, h.zxid, h.time)
		}
	case wire.OpCreateContainer:
		data, acls, created := bytes.Clone(r.Buffer()), readACLs(r), r.Int()
		if r.Err() == nil {
			_ = d.create(path, data, acls, tree.ContainerOwner, created, h.zxid, h.time)
		}
	case wire.OpCreateTTL:
		data, acls, created, ttl := bytes.Clone(r.Buffer()), readACLs(r), r.Int(), r.Long()
		if r.Err() == nil && (ttl <= 0 || ttl > tree.TTLMax) {
			return fmt.Errorf("time to live of %d ms", ttl)
		}
		if r.Err() == nil {
			_ = d.create(path, data, acls, tree.TTLOwner(ttl), created, h.zxid, h.time)
		}
	case wire.OpDelete, wire.OpDeleteContainer:
		if r.Err() == nil {
			_ = d.remove(path, h.zxid)
		}
	case wire.OpSetData, wire.OpReconfig:
		data, version := bytes.Clone(r.Buffer()), r.Int()
		if n := d.Nodes[path]; n != nil && r.Err() == nil {
			n.Data, n.Version, n.Mzxid, n.Mtime = data, version, h.zxid, h.time
		}
	case wire.OpSetACL:
		acls, version := readACLs(r), r.Int()
		if n := d.Nodes[path]; n != nil && r.Err() == nil {
			d.lists.use(n.list, -1)
			n.list, n.Aversion = d.lists.intern(acls), version
		}
	case wire.OpCheck:
	default:
		return fmt.Errorf("its type is not known to this version")
	}
	return r.Err()
}

// readACLs reads a list, nil if it is null.
func readACLs(r *wire.Decoder) []wire.ACL {
	acls, null := r.ACLs()
	if acls == nil && !null {
		acls = []wire.ACL{}
	}
	return acls
}

// peekZxid is the zxid of an entry.
func peekZxid(entry []byte) (int64, error) {
	r := wire.NewDecoder(entry)
	r.Long()
	r.Int()
	zxid := r.Long()
	return zxid, r.Err()
}
