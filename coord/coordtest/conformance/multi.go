package conformance

import (
	"bytes"
	"slices"

	"ottla/coord/wire"
)

var multiChecks = []check{
	{name: "results", run: multiResults},
	{name: "failure", run: multiFailure},
	{name: "takes everything back", run: multiRollback},
	{name: "one zxid, and watchers see each part", run: multiEvents},
	{name: "delete and create again", run: multiRecreate},
	{name: "empty", run: multiEmpty},
	{name: "refused as a whole", run: multiRefused},
	{name: "kafka registration", run: multiKafka},
	{name: "multiRead", run: multiRead},
}

// result is one part of the answer.
type result struct {
	op   wire.Op
	code wire.Code
	path string
	stat wire.Stat
}

func multiAnswer(e *Env, r Reply) (out []result) {
	e.Helper()
	d := wire.NewDecoder(r.Body)
	for {
		op, done, code := wire.Op(d.Int()), d.Bool(), wire.Code(d.Int())
		if d.Err() != nil {
			e.Fatalf("multi answered %x", r.Body)
		}
		if done {
			if op != -1 || code != -1 || len(d.Rest()) != 0 {
				e.Errorf("end of multi: %d %d, %x behind it", op, code, d.Rest())
			}
			return out
		}
		res := result{op: op, code: code}
		switch op {
		case wire.OpCreate:
			res.path = string(d.String())
		case wire.OpCreate2:
			res.path = string(d.String())
			res.stat = d.Stat()
		case wire.OpSetData:
			res.stat = d.Stat()
		case wire.OpError:
			if again := wire.Code(d.Int()); again != code {
				e.Errorf("error part with codes %v and %v", code, again)
			}
		}
		out = append(out, res)
	}
}

func multiResults(e *Env) {
	c, p := e.Client(), e.Path("/m")
	r := c.OK(wire.OpMulti, Multi(
		Part{wire.OpCreate, Create(p, []byte("x"), 0, wire.OpenACL)},
		Part{wire.OpCreate2, Create(p+"/s-", nil, wire.FlagPersistentSequential, wire.OpenACL)},
		Part{wire.OpCreateContainer, Create(p+"/c", nil, wire.FlagContainer, wire.OpenACL)},
		Part{wire.OpSetData, SetData(p, []byte("yy"), 0)},
		Part{wire.OpCheck, PathInt(p, 1)},
		Part{wire.OpDelete, PathInt(p+"/c", 0)},
	))
	got := multiAnswer(e, r)
	ops := []wire.Op{wire.OpCreate, wire.OpCreate2, wire.OpCreate2, wire.OpSetData, wire.OpCheck, wire.OpDelete}
	if len(got) != len(ops) {
		e.Fatalf("parts: %+v", got)
	}
	for i, op := range ops {
		if got[i].op != op || got[i].code != 0 {
			e.Errorf("part %d: %+v, want op %d", i, got[i], op)
		}
	}
	if got[0].path != p || got[1].path != p+"/s-0000000000" || got[2].path != p+"/c" {
		e.Errorf("paths %q %q %q", got[0].path, got[1].path, got[2].path)
	}
	if s := got[3].stat; s.Version != 1 || s.Czxid != r.Zxid || s.Mzxid != r.Zxid || s.NumChildren != 2 || s.Mtime != s.Ctime {
		e.Errorf("stat of setData: %+v", s)
	}
}

func multiFailure(e *Env) {
	c, p := e.Client(), e.Path("/m")
	r := c.OK(wire.OpMulti, Multi(
		Part{wire.OpCreate, Create(p, nil, 0, wire.OpenACL)},
		Part{wire.OpSetData, SetData(p, nil, 5)},
		Part{wire.OpDelete, PathInt(p, -1)},
		Part{wire.OpCheck, PathInt("/", -1)},
	))
	want := []result{{op: -1}, {op: -1, code: wire.CodeBadVersion}, {op: -1, code: wire.CodeRuntimeInconsistency}, {op: -1, code: wire.CodeRuntimeInconsistency}}
	if got := multiAnswer(e, r); !slices.Equal(got, want) {
		e.Errorf("parts %+v, want %+v", got, want)
	}
	before := r.Zxid
	if r := c.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p, false)); r.Zxid < before {
		e.Errorf("zxid went back from %x to %x", before, r.Zxid)
	}
}

func multiRollback(e *Env) {
	c, p := e.Client(), e.Path("/m")
	c.Create(p, "old", 0)
	c.Create(p+"/a", "", 0)
	c.Create(p+"/b", "", wire.FlagEphemeral)
	before := map[string]wire.Stat{}
	for _, n := range []string{p, p + "/a", p + "/b"} {
		before[n] = c.Stat(n)
	}
	watcher := e.Another()
	watcher.OK(wire.OpGetData, PathFlag(p, true))
	watcher.OK(wire.OpGetChildren, PathFlag(p, true))
	r := c.OK(wire.OpMulti, Multi(
		Part{wire.OpSetData, SetData(p, []byte("new"), 0)},
		Part{wire.OpSetData, SetData(p, []byte("newer"), 1)},
		Part{wire.OpDelete, PathInt(p+"/a", -1)},
		Part{wire.OpDelete, PathInt(p+"/b", -1)},
		Part{wire.OpCreate, Create(p+"/a", []byte("again"), wire.FlagEphemeral, []wire.ACL{digest(31, hashUP)})},
		Part{wire.OpCreate, Create(p+"/s-", nil, wire.FlagPersistentSequential, wire.OpenACL)},
		Part{wire.OpDelete, PathInt(p+"/none", -1)},
	))
	if got := multiAnswer(e, r); got[6].code != wire.CodeNoNode {
		e.Errorf("parts %+v", got)
	}
	for n, s := range before {
		if got := c.Stat(n); got != s {
			e.Errorf("%s after a failed multi: %+v, was %+v", n, got, s)
		}
	}
	if ev := watcher.TakeEvents(); len(ev) != 0 {
		e.Errorf("events of a failed multi: %v", ev)
	}
	d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag(p, false)).Body)
	if data := d.Buffer(); string(data) != "old" {
		e.Errorf("data %q", data)
	}
	if got := c.Create(p+"/s-", "", wire.FlagPersistentSequential); got != p+"/s-0000000002" {
		e.Errorf("the failed multi used up a number: %s", got)
	}
	d = wire.NewDecoder(c.OK(wire.OpGetEphemerals, Str(p)).Body)
	if got := DecodePaths(&d); !slices.Equal(got, []string{p + "/b"}) {
		e.Errorf("ephemerals %v", got)
	}
}

func multiEvents(e *Env) {
	c, p := e.Client(), e.Path("/m")
	w := e.Another()
	w.Do(wire.OpExists, PathFlag(p, true))
	w.OK(wire.OpAddWatch, PathInt(p, 1))
	r := c.OK(wire.OpMulti, Multi(
		Part{wire.OpCreate, Create(p, nil, 0, wire.OpenACL)},
		Part{wire.OpSetData, SetData(p, nil, -1)},
		Part{wire.OpDelete, PathInt(p, -1)},
	))
	want := []Event{{wire.EventNodeCreated, p, r.Zxid}, {wire.EventNodeDataChanged, p, r.Zxid}, {wire.EventNodeDeleted, p, r.Zxid}}
	if got := w.TakeEvents(); !slices.Equal(got, want) {
		e.Errorf("events %v, want %v", got, want)
	}
}

func multiRecreate(e *Env) {
	c, p := e.Client(), e.Path("/m")
	c.Create(p, "one", 0)
	c.OK(wire.OpSetData, SetData(p, []byte("two"), 0))
	r := c.OK(wire.OpMulti, Multi(
		Part{wire.OpDelete, PathInt(p, 1)},
		Part{wire.OpCreate, Create(p, []byte("three"), 0, wire.OpenACL)},
	))
	if got := multiAnswer(e, r); len(got) != 2 || got[1].code != 0 {
		e.Errorf("parts %+v", got)
	}
	if s := c.Stat(p); s.Czxid != r.Zxid || s.Version != 0 || s.DataLength != 5 {
		e.Errorf("created again: %+v", s)
	}
}

func multiEmpty(e *Env) {
	if got := multiAnswer(e, e.Client().OK(wire.OpMulti, Multi())); len(got) != 0 {
		e.Errorf("parts %+v", got)
	}
}

func multiRefused(e *Env) {
	c, p := e.Client(), e.Path("/m")
	first := Part{wire.OpCreate, Create(p, nil, 0, wire.OpenACL)}
	for name, second := range map[string]Part{
		"setACL":     {wire.OpSetACL, SetACL("/", wire.OpenACL, -1)},
		"sync":       {wire.OpSync, Str("/")},
		"getData":    {wire.OpGetData, PathFlag("/", false)},
		"unknown":    {99, nil},
		"bad flags":  {wire.OpCreate, Create(p+"/x", nil, 9, wire.OpenACL)},
		"cut short":  {wire.OpCreate, []byte{0, 0}},
		"null paths": {wire.OpDelete, wire.AppendInt(wire.AppendInt(nil, -1), -1)},
	} {
		if r := c.Do(wire.OpMulti, Multi(first, second)); r.Code != wire.CodeMarshallingError || len(r.Body) != 0 {
			e.Errorf("%s: %v %x", name, r.Code, r.Body)
		}
	}
	c.Fails(wire.CodeMarshallingError, wire.OpMulti, wire.AppendInt(nil, 1))
	c.Fails(wire.CodeNoNode, wire.OpExists, PathFlag(p, false))
}

// multiKafka is what a broker does when it registers and when it becomes the controller.
func multiKafka(e *Env) {
	c, p := e.Client(), e.Path("/ids")
	c.Create(p, "", 0)
	r := c.OK(wire.OpMulti, Multi(
		Part{wire.OpCreate, Create(p+"/1", []byte("{}"), wire.FlagEphemeral, wire.OpenACL)},
		Part{wire.OpSetData, SetData(p+"/1", []byte("{1}"), 0)},
	))
	got := multiAnswer(e, r)
	if s := got[1].stat; s.Czxid != r.Zxid || s.EphemeralOwner != c.Session.SessionID || s.Version != 1 {
		e.Errorf("registered: %+v", s)
	}
	o := e.Another()
	got = multiAnswer(e, o.OK(wire.OpMulti, Multi(
		Part{wire.OpCheck, PathInt(p, 0)},
		Part{wire.OpCreate, Create(p+"/1", nil, wire.FlagEphemeral, wire.OpenACL)},
	)))
	if got[0].code != 0 || got[1].code != wire.CodeNodeExists {
		e.Errorf("second registration: %+v", got)
	}
}

func multiRead(e *Env) {
	c, p := e.Client(), e.Path("/m")
	c.Create(p, "data", 0)
	c.Create(p+"/k", "", 0)
	r := c.OK(wire.OpMultiRead, Multi(
		Part{wire.OpGetData, PathFlag(p, true)},
		Part{wire.OpGetData, PathFlag(p+"/none", false)},
		Part{wire.OpGetChildren, PathFlag(p, true)},
	))
	s := c.Stat(p)
	want := wire.AppendMultiHeader(nil, wire.OpGetData, false, 0)
	want = wire.AppendStat(wire.AppendBuffer(want, []byte("data")), &s)
	want = wire.AppendInt(wire.AppendMultiHeader(want, wire.OpError, false, wire.CodeNoNode), int32(wire.CodeNoNode))
	want = append(wire.AppendMultiHeader(want, wire.OpGetChildren, false, 0), Paths("k")...)
	want = wire.AppendMultiHeader(want, wire.OpError, true, -1)
	if !bytes.Equal(r.Body, want) {
		e.Errorf("multiRead:\n got %x\nwant %x", r.Body, want)
	}
	c.OK(wire.OpSetData, SetData(p, nil, -1))
	if ev := c.TakeEvents(); len(ev) != 0 {
		e.Errorf("multiRead set watches: %v", ev)
	}
	c.Fails(wire.CodeMarshallingError, wire.OpMultiRead, Multi(Part{wire.OpGetData, PathFlag(p, false)}, Part{wire.OpDelete, PathInt(p, -1)}))
	c.Stat(p)
}
