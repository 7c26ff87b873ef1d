package server

import (
	"bytes"
	"strings"

	"ottla/coord/acl"
	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/watch"
	"ottla/coord/wire"
)

// isRead says whether runRead has an answer for op; for any other the connection ends with it.
func isRead(op wire.Op) bool {
	switch op {
	case wire.OpExists, wire.OpGetData, wire.OpGetACL, wire.OpGetChildren, wire.OpGetChildren2, wire.OpGetAllChildrenNumber,
		wire.OpPing, wire.OpSync, wire.OpMultiRead, wire.OpCheckWatches, wire.OpRemoveWatches, wire.OpSetWatches,
		wire.OpSetWatches2, wire.OpAddWatch, wire.OpGetEphemerals, wire.OpWhoAmI:
		return true
	}
	return false
}

// runRead answers a request that changes nothing. It runs under the state's lock, on the connection's goroutine or, behind a
// write of the same connection, on the apply loop's: so no event that the request asked for can come before the answer.
func (c *conn) runRead(m *fsm.Machine, xid int32, op wire.Op, body, auth []byte) {
	zxid := m.Zxid()
	d := wire.NewDecoder(body)
	switch op {
	case wire.OpExists, wire.OpGetData, wire.OpGetACL, wire.OpGetChildren, wire.OpGetChildren2, wire.OpGetAllChildrenNumber:
		c.readNode(m, xid, op, &d, auth)
		return
	case wire.OpPing:
		c.answer(wire.XidPing, zxid, wire.CodeOK, nil)
	case wire.OpSync:
		// Every write that anybody was told of is applied here already.
		path := d.String()
		c.answer(xid, zxid, codeOf(&d), func(b []byte) []byte { return wire.AppendBuffer(b, path) })
	case wire.OpMultiRead:
		c.multiRead(m, xid, body, auth)
	case wire.OpCheckWatches, wire.OpRemoveWatches:
		c.answer(xid, zxid, c.unwatch(op, &d), nil)
	case wire.OpSetWatches, wire.OpSetWatches2:
		c.setWatches(m, xid, op, &d)
	case wire.OpAddWatch:
		c.answer(xid, zxid, c.addWatch(&d), func(b []byte) []byte { return wire.AppendInt(b, 0) })
	case wire.OpGetEphemerals:
		c.getEphemerals(m, xid, &d)
	case wire.OpWhoAmI:
		c.answer(xid, zxid, wire.CodeOK, func(b []byte) []byte { return c.srv.appendIdentities(b, auth) })
	default:
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.dead {
			c.replyLocked(xid, -1, wire.CodeUnimplemented)
			c.finishLocked()
		}
	}
}

func codeOf(d *wire.Decoder) wire.Code {
	if d.Err() != nil {
		return wire.CodeMarshallingError
	}
	return wire.CodeOK
}

// answer queues an answer whose record body appends; nil: there is none.
func (c *conn) answer(xid int32, zxid int64, code wire.Code, body func(b []byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.traffic.zxid = zxid
	if code != wire.CodeOK || body == nil {
		c.replyLocked(xid, zxid, code)
		return
	}
	o := c.outLocked()
	start := len(o.b)
	o.b = wire.AppendReplyHeader(wire.BeginFrame(o.b), xid, zxid, wire.CodeOK)
	o.b = wire.EndFrame(body(o.b), start)
	c.sentLocked(len(o.b) - start - 4)
}

// readNode answers the operations that look at one node.
func (c *conn) readNode(m *fsm.Machine, xid int32, op wire.Op, d *wire.Decoder, auth []byte) {
	path := d.String()
	wantsWatch := false
	if op != wire.OpGetACL && op != wire.OpGetAllChildrenNumber {
		wantsWatch = d.Bool()
	}
	n, code := c.findNode(m, op, path, auth, d.Err() != nil || path == nil)
	if wantsWatch && (code == wire.CodeOK || op == wire.OpExists && code == wire.CodeNoNode) {
		table := watch.Data
		if op == wire.OpGetChildren || op == wire.OpGetChildren2 {
			table = watch.Child
		}
		c.srv.state.Watch(c, table, path, watch.OneShot)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	if code != wire.CodeOK {
		c.replyLocked(xid, m.Zxid(), code)
		return
	}
	o := c.outLocked()
	start := len(o.b)
	b := wire.AppendReplyHeader(wire.BeginFrame(o.b), xid, m.Zxid(), wire.CodeOK)
	switch op {
	case wire.OpExists:
		b = appendStat(b, n)
	case wire.OpGetData:
		b = appendStat(wire.AppendBuffer(b, n.Data()), n)
	case wire.OpGetChildren:
		b = appendChildren(b, n)
	case wire.OpGetChildren2:
		b = appendStat(appendChildren(b, n), n)
	case wire.OpGetAllChildrenNumber:
		b = wire.AppendInt(b, int32(n.Descendants()))
	case wire.OpGetACL:
		acls := m.Tree().ACL(n)
		if !c.allowed(acls, wire.PermAdmin, auth) {
			acls = masked(acls)
		}
		b = appendStat(wire.AppendACLs(b, acls), n)
	}
	o.b = wire.EndFrame(b, start)
	c.sentLocked(len(b) - start - 4)
}

// findNode looks a node up and judges whether the operation may read it.
func (c *conn) findNode(m *fsm.Machine, op wire.Op, path, auth []byte, broken bool) (*tree.Node, wire.Code) {
	if broken {
		return nil, wire.CodeMarshallingError
	}
	if op == wire.OpExists && bytes.IndexByte(path, 0) >= 0 {
		return nil, wire.CodeBadArguments
	}
	n := m.Tree().Lookup(path)
	if n == nil {
		return nil, wire.CodeNoNode
	}
	perm := wire.PermRead
	if op == wire.OpGetACL {
		perm |= wire.PermAdmin
	}
	if !c.allowed(m.Tree().ACL(n), perm, auth) {
		return nil, wire.CodeNoAuth
	}
	return n, wire.CodeOK
}

func (c *conn) allowed(acls []wire.ACL, perm int32, auth []byte) bool {
	return c.srv.cfg.SkipACL || acl.Allowed(acls, perm, auth)
}

func appendStat(b []byte, n *tree.Node) []byte {
	var s wire.Stat
	n.Stat(&s)
	return wire.AppendStat(b, &s)
}

// appendChildren appends the names in no order, as ZooKeeper does.
func appendChildren(b []byte, n *tree.Node) []byte {
	b = wire.AppendInt(b, int32(n.NumChildren()))
	for name := range n.Children() {
		b = wire.AppendString(b, name)
	}
	return b
}

// masked hides the hashes of a list from somebody who may not administer the node.
func masked(acls []wire.ACL) []wire.ACL {
	out := make([]wire.ACL, len(acls))
	for i, a := range acls {
		if a.Scheme == acl.SchemeDigest {
			user, _, _ := strings.Cut(a.ID.ID, ":")
			a.ID.ID = user + ":x"
		}
		out[i] = a
	}
	return out
}

func (s *Server) appendIdentities(b, auth []byte) []byte {
	ids := acl.Identities(auth)
	b = wire.AppendInt(b, int32(len(ids)))
	for _, id := range ids {
		b = wire.AppendString(wire.AppendString(b, id.Scheme), s.userName(id))
	}
	return b
}

// getEphemerals lists the ephemeral nodes of the caller's own session below a prefix, which is just text: "/a" also means "/ab".
func (c *conn) getEphemerals(m *fsm.Machine, xid int32, d *wire.Decoder) {
	prefix := string(d.String())
	if strings.TrimSpace(prefix) == "" {
		prefix = "/"
	}
	var found []string
	for _, path := range m.Tree().Owned(c.id) {
		if strings.HasPrefix(path, prefix) {
			found = append(found, path)
		}
	}
	c.answer(xid, m.Zxid(), codeOf(d), func(b []byte) []byte {
		b = wire.AppendInt(b, int32(len(found)))
		for _, path := range found {
			b = wire.AppendString(b, path)
		}
		return b
	})
}

// multiRead answers several getData and getChildren, each with its own outcome. Their watch flags count for nothing.
func (c *conn) multiRead(m *fsm.Machine, xid int32, body, auth []byte) {
	if !validMultiRead(body) {
		c.answer(xid, m.Zxid(), wire.CodeMarshallingError, nil)
		return
	}
	if multiReadSize(m, body) > outHard {
		// One small request can ask for any amount: many times the same large node.
		c.srv.cfg.Logger.Warn().Str("client", c.nc.RemoteAddr().String()).Msg("client asks for too much in one multiRead; closing its connection")
		c.kill()
		return
	}
	c.answer(xid, m.Zxid(), wire.CodeOK, func(b []byte) []byte {
		d := wire.NewDecoder(body)
		for {
			op, done := readMultiHeader(&d)
			if done {
				return wire.AppendMultiHeader(b, wire.OpError, true, -1)
			}
			path := d.String()
			d.Bool()
			n, code := c.findNode(m, op, path, auth, path == nil)
			switch {
			case code != wire.CodeOK:
				b = wire.AppendMultiHeader(b, wire.OpError, false, code)
				b = wire.AppendInt(b, int32(code))
			case op == wire.OpGetData:
				b = wire.AppendMultiHeader(b, op, false, wire.CodeOK)
				b = appendStat(wire.AppendBuffer(b, n.Data()), n)
			default:
				b = appendChildren(wire.AppendMultiHeader(b, op, false, wire.CodeOK), n)
			}
		}
	})
}

// multiReadSize is about how long the answer would be, without the right to read being asked for.
func multiReadSize(m *fsm.Machine, body []byte) (size int) {
	d := wire.NewDecoder(body)
	for {
		op, done := readMultiHeader(&d)
		if done || size > outHard {
			return size
		}
		n := m.Tree().Lookup(d.String())
		d.Bool()
		switch {
		case n == nil:
		case op == wire.OpGetData:
			size += len(n.Data()) + wire.StatSize
		default:
			for name := range n.Children() {
				size += 4 + len(name)
			}
		}
	}
}

func readMultiHeader(d *wire.Decoder) (op wire.Op, done bool) {
	op, done = wire.Op(d.Int()), d.Bool()
	d.Int()
	return op, done
}

func validMultiRead(body []byte) bool {
	d := wire.NewDecoder(body)
	for {
		op, done := readMultiHeader(&d)
		if d.Err() != nil || done {
			return d.Err() == nil
		}
		d.String()
		d.Bool()
		if d.Err() != nil || op != wire.OpGetData && op != wire.OpGetChildren {
			return false
		}
	}
}
