package fsm

import "ottla/coord/wire"

// multi runs several operations under one zxid: all of them or none. The answer is CodeOK even if one failed; the parts say which.
func (c *call) multi() wire.Code {
	count, ok := validMulti(c.req.Body)
	if !ok {
		return wire.CodeMarshallingError
	}
	undo := c.m.undo[:0]
	defer func() {
		clear(undo)
		c.m.undo = undo[:0]
	}()
	d := wire.NewDecoder(c.req.Body)
	for i := range count {
		code := readMultiHeader(&d)
		o := decodeOp(&d, code)
		start := len(c.res.Body)
		c.res.Body = wire.AppendMultiHeader(c.res.Body, resultOp(code), false, wire.CodeOK)
		failure, u := c.run(&o)
		if failure == wire.CodeOK {
			undo = append(undo, u)
			continue
		}
		c.res.Body = c.res.Body[:start]
		for j := len(undo) - 1; j >= 0; j-- {
			c.m.tree.Revert(undo[j])
		}
		undo = undo[:0]
		c.multiFailed(count, i, failure)
		return wire.CodeOK
	}
	for _, u := range undo {
		c.m.tree.Settle(u)
	}
	c.res.Body = wire.AppendMultiHeader(c.res.Body, wire.OpError, true, -1)
	return wire.CodeOK
}

// multiFailed replaces the answer: what came before the failed part is reported as 0, what comes behind it as inconsistent.
func (c *call) multiFailed(count, failed int, failure wire.Code) {
	clear(c.res.Events)
	c.res.Body, c.res.Events = c.res.Body[:0], c.res.Events[:0]
	c.m.usage = c.m.usage[:0]
	for i := range count {
		code := wire.CodeOK
		switch {
		case i == failed:
			code = failure
		case i > failed:
			code = wire.CodeRuntimeInconsistency
		}
		c.res.Body = wire.AppendMultiHeader(c.res.Body, wire.OpError, false, code)
		c.res.Body = wire.AppendInt(c.res.Body, int32(code))
	}
	c.res.Body = wire.AppendMultiHeader(c.res.Body, wire.OpError, true, -1)
}

// readMultiHeader reads the head of a part; OpError says that it is the end.
func readMultiHeader(d *wire.Decoder) wire.Op {
	code, done := wire.Op(d.Int()), d.Bool()
	d.Int() // an error code, which means nothing in a request
	if done {
		return wire.OpError
	}
	return code
}

// validMulti decodes a multi without running it. A part that is broken, of another kind, or a create with unknown flags refuses the
// whole, before anything is done.
func validMulti(body []byte) (count int, ok bool) {
	d := wire.NewDecoder(body)
	for ; ; count++ {
		code := readMultiHeader(&d)
		if d.Err() != nil {
			return 0, false
		}
		if code == wire.OpError {
			return count, true
		}
		o := decodeOp(&d, code)
		if d.Err() != nil || o.flags < wire.FlagPersistent || o.flags > wire.FlagPersistentSequentialTTL {
			return 0, false
		}
	}
}

// resultOp is the type under which the result of a part is reported: creates that answer with a Stat all look like create2.
func resultOp(code wire.Op) wire.Op {
	if code == wire.OpCreateContainer || code == wire.OpCreateTTL {
		return wire.OpCreate2
	}
	return code
}
