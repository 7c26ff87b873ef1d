// Package speak puts the operations of coord/coordtest/model into frames, and takes the answers out of them, for clients of tests that
// decide themselves what is sent when.
package speak

import (
	"fmt"
	"slices"

	"ottla/coord/coordtest/model"
	"ottla/coord/wire"
)

// Encode is the operation code and body of a request.
func Encode(op model.Op) (wire.Op, []byte) {
	path := wire.AppendString(nil, op.Path)
	switch op.Kind {
	case model.Create:
		var flags int32
		if op.Ephemeral {
			flags |= 1
		}
		if op.Sequential {
			flags |= 2
		}
		return wire.OpCreate, wire.AppendInt(wire.AppendACLs(wire.AppendBuffer(path, []byte(op.Data)), wire.OpenACL), flags)
	case model.Delete:
		return wire.OpDelete, wire.AppendInt(path, op.Version)
	case model.Set:
		return wire.OpSetData, wire.AppendInt(wire.AppendBuffer(path, []byte(op.Data)), op.Version)
	case model.Check:
		return wire.OpCheck, wire.AppendInt(path, op.Version)
	case model.Multi:
		var b []byte
		for _, o := range op.Ops {
			code, body := Encode(o)
			b = append(wire.AppendMultiHeader(b, code, false, -1), body...)
		}
		return wire.OpMulti, wire.AppendMultiHeader(b, -1, true, -1)
	case model.CloseSession:
		return wire.OpCloseSession, nil
	case model.Get:
		return wire.OpGetData, wire.AppendBool(path, op.Watch)
	case model.Exists:
		return wire.OpExists, wire.AppendBool(path, op.Watch)
	case model.Children:
		return wire.OpGetChildren2, wire.AppendBool(path, op.Watch)
	case model.Sync:
		return wire.OpSync, path
	case model.AddWatch:
		var mode int32
		if op.Recursive {
			mode = 1
		}
		return wire.OpAddWatch, wire.AppendInt(path, mode)
	}
	panic("no such operation")
}

// Decode reads the answer to an operation.
func Decode(op model.Op, code int32, body []byte) (model.Result, error) {
	r := model.Result{Code: code}
	if code != model.OK {
		return r, nil
	}
	d := wire.NewDecoder(body)
	switch op.Kind {
	case model.Create, model.Sync:
		r.Path = string(d.String())
	case model.Set, model.Exists:
		r.Stat = stat(&d)
	case model.Get:
		r.Data = string(d.Buffer())
		r.Stat = stat(&d)
	case model.Children:
		r.Children = []string{}
		for n := d.Int(); n > 0; n-- {
			r.Children = append(r.Children, string(d.String()))
		}
		slices.Sort(r.Children)
		r.Stat = stat(&d)
	case model.AddWatch:
		d.Int() // an error of its own
	case model.Multi:
		r.Results = []model.Result{}
		for _, o := range op.Ops {
			typ := d.Int()
			d.Bool()
			d.Int()
			if wire.Op(typ) == wire.OpError {
				r.Results = append(r.Results, model.Result{Code: d.Int()})
				continue
			}
			r.Results = append(r.Results, sub(&d, o))
		}
		d.Int()
		if done := d.Bool(); !done {
			return r, fmt.Errorf("the answer to %v does not end", op)
		}
		d.Int()
	}
	if d.Err() == nil && len(d.Rest()) > 0 {
		return r, fmt.Errorf("%d bytes behind the answer to %v", len(d.Rest()), op)
	}
	return r, d.Err()
}

// sub reads one result of a multi that succeeded.
func sub(d *wire.Decoder, op model.Op) (r model.Result) {
	switch op.Kind {
	case model.Create:
		r.Path = string(d.String())
	case model.Set:
		r.Stat = stat(d)
	}
	return r
}

func stat(d *wire.Decoder) *model.Stat {
	s := d.Stat()
	return &model.Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Pzxid: s.Pzxid, Ctime: s.Ctime, Mtime: s.Mtime, Version: s.Version, Cversion: s.Cversion,
		Aversion: s.Aversion, Owner: s.EphemeralOwner, Length: s.DataLength, Children: s.NumChildren,
	}
}
