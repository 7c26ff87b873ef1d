package fsm

import (
	"fmt"

	"ottla/coord/wire"
)

// Part is one change that a request asks for, as people read it.
type Part struct {
	Op   string // in ZooKeeper's names
	Path string // "" if it names none
	Data []byte // that it would write
}

var opNames = map[wire.Op]string{
	wire.OpCreate: "create", wire.OpCreate2: "create2", wire.OpCreateContainer: "createContainer", wire.OpCreateTTL: "createTTL", wire.OpDelete: "delete",
	wire.OpDeleteContainer: "deleteContainer", wire.OpSetData: "setData", wire.OpSetACL: "setACL", wire.OpCheck: "check", wire.OpMulti: "multi", wire.OpSync: "sync",
	wire.OpReconfig: "reconfig", wire.OpCreateSession: "createSession", wire.OpCloseSession: "closeSession", OpAttach: "attach", OpExpire: "expire", OpReap: "reap",
}

func opName(op wire.Op) string {
	if name, ok := opNames[op]; ok {
		return name
	}
	return fmt.Sprint(int32(op))
}

// Describe is what a request asks for: one part, but each of a multi. What is broken, and so was refused, has fewer. The data points into the request.
func Describe(r *Request) []Part {
	d := wire.NewDecoder(r.Body)
	switch r.Op {
	case wire.OpMulti:
		count, ok := validMulti(r.Body)
		if !ok {
			return nil
		}
		parts := make([]Part, 0, count)
		for range count {
			o := decodeOp(&d, readMultiHeader(&d))
			parts = append(parts, Part{opName(o.code), string(o.path), o.data})
		}
		return parts
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData:
		o := decodeOp(&d, r.Op)
		return []Part{{opName(r.Op), string(o.path), o.data}}
	case wire.OpSetACL, wire.OpDeleteContainer, OpReap, wire.OpSync:
		return []Part{{opName(r.Op), string(d.String()), nil}}
	}
	return []Part{{Op: opName(r.Op)}}
}
