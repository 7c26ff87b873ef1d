package server

import (
	"ottla/coord/fsm"
	"ottla/coord/tree"
	"ottla/coord/watch"
	"ottla/coord/wire"
)

// setWatches registers watches again that a client had on another connection. What changed since the zxid that the client has seen is
// told at once, before the answer.
func (c *conn) setWatches(m *fsm.Machine, xid int32, op wire.Op, d *wire.Decoder) {
	lists := 3
	if op == wire.OpSetWatches2 {
		lists = 5
	}
	since := d.Long()
	paths := *d
	for range lists {
		_, null := eachPath(d, func([]byte) {})
		if null {
			d.Fail(wire.ErrShort)
		}
	}
	if d.Err() != nil {
		c.answer(xid, m.Zxid(), wire.CodeMarshallingError, nil)
		return
	}
	st, t := c.srv.state, m.Tree()
	restore := func(table watch.Table, missed func(n *tree.Node) int32) {
		eachPath(&paths, func(path []byte) {
			if typ := missed(t.Lookup(path)); typ != 0 {
				c.synthesise(typ, path)
			} else {
				st.Watch(c, table, path, watch.OneShot)
			}
		})
	}
	restore(watch.Data, func(n *tree.Node) int32 {
		switch {
		case n == nil:
			return wire.EventNodeDeleted
		case n.Mzxid() > since:
			return wire.EventNodeDataChanged
		}
		return 0
	})
	restore(watch.Data, func(n *tree.Node) int32 { // exists
		if n != nil {
			return wire.EventNodeCreated
		}
		return 0
	})
	restore(watch.Child, func(n *tree.Node) int32 {
		switch {
		case n == nil:
			return wire.EventNodeDeleted
		case n.Pzxid() > since:
			return wire.EventNodeChildrenChanged
		}
		return 0
	})
	if op == wire.OpSetWatches2 {
		eachPath(&paths, func(path []byte) { c.addPersistent(path, wire.AddWatchPersistent) })
		eachPath(&paths, func(path []byte) { c.addPersistent(path, wire.AddWatchPersistentRecursive) })
	}
	c.answer(xid, m.Zxid(), wire.CodeOK, nil)
}

// eachPath calls f for the paths of a vector; a null path counts as empty.
func eachPath(d *wire.Decoder, f func(path []byte)) (n int, null bool) {
	n, null = d.Count(4)
	for range n {
		path := d.String()
		if d.Err() != nil {
			return n, null
		}
		f(path)
	}
	return n, null
}

// synthesise queues an event that no transaction stands behind.
func (c *conn) synthesise(typ int32, path []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	o := c.outLocked()
	o.b = wire.AppendEvent(o.b, -1, typ, path)
	c.sent++
	c.srv.stats.sent.Add(1)
}

func (c *conn) addWatch(d *wire.Decoder) wire.Code {
	path, mode := d.String(), d.Int()
	if d.Err() != nil || path == nil || mode != wire.AddWatchPersistent && mode != wire.AddWatchPersistentRecursive {
		return wire.CodeMarshallingError
	}
	c.addPersistent(path, mode)
	return wire.CodeOK
}

func (c *conn) addPersistent(path []byte, mode int32) {
	if mode == wire.AddWatchPersistentRecursive {
		c.srv.state.Watch(c, watch.Data, path, watch.Recursive)
		return
	}
	c.srv.state.Watch(c, watch.Data, path, watch.Persistent)
	c.srv.state.Watch(c, watch.Child, path, watch.Persistent)
}

// unwatch takes watches of one path away, or only says whether there are any.
func (c *conn) unwatch(op wire.Op, d *wire.Decoder) wire.Code {
	path, kind := d.String(), d.Int()
	if d.Err() != nil || path == nil {
		return wire.CodeMarshallingError
	}
	var modes [2]watch.Mode
	switch kind {
	case wire.WatcherChildren:
		modes[watch.Child] = watch.OneShot
	case wire.WatcherData:
		modes[watch.Data] = watch.OneShot
	case wire.WatcherAny:
		modes[watch.Data] = watch.OneShot | watch.Persistent | watch.Recursive
		modes[watch.Child] = modes[watch.Data]
	case wire.WatcherPersistent:
		modes[watch.Data], modes[watch.Child] = watch.Persistent, watch.Persistent
	case wire.WatcherPersistentRecursive:
		modes[watch.Data] = watch.Recursive
	default:
		return wire.CodeMarshallingError
	}
	found := false
	for _, table := range [...]watch.Table{watch.Data, watch.Child} {
		if c.srv.state.WatchModes(c, table, path)&modes[table] == 0 {
			continue
		}
		found = true
		if op == wire.OpRemoveWatches {
			c.srv.state.Unwatch(c, table, path, modes[table])
		}
	}
	if !found {
		return wire.CodeNoWatcher
	}
	return wire.CodeOK
}
