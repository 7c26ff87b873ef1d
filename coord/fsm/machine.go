package fsm

import (
	"fmt"

	"ottla/coord/tree"
	"ottla/coord/watch"
	"ottla/coord/wire"
)

// Machine is the replicated state. One writer (Apply), or many readers and no writer.
type Machine struct {
	tree     *tree.Tree
	sessions map[int64]*Session
	last     [256]int64 // last session id that each server made
	zxid     int64
	term     uint64

	dirtySessions map[int64]struct{}
	undo          []tree.Undo // of the running multi
	paths         []byte      // scratch: paths of the running request
	usage         []usage     // what the running request changed of what quotas count
}

// New is the state of a server that has never run.
func New() *Machine {
	return newMachine(tree.New())
}

func newMachine(t *tree.Tree) *Machine {
	return &Machine{tree: t, sessions: map[int64]*Session{}, dirtySessions: map[int64]struct{}{}}
}

// Tree is for reading only.
func (m *Machine) Tree() *tree.Tree { return m.tree }

// Zxid is that of the last request that took one.
func (m *Machine) Zxid() int64 { return m.zxid }

// Result is the outcome of one request. It is reused: Apply empties it first. All slices are valid until the next Apply, at the longest as
// long as the entry.
type Result struct {
	Code wire.Code
	// Zxid is the request's own, or the last one if it took none.
	Zxid int64
	// Body is the reply record; empty where there is none, and always if Code is not CodeOK.
	Body []byte
	// Events in the order in which watchers are to hear of them, all before the reply.
	Events []watch.Event
	// Session is what createSession and OpAttach made of the session; it is a copy.
	Session Session
	// Opened and Closed name the session that began or ended with this request; 0 for none.
	Opened, Closed int64
	// Quota is the path whose limit the request passed, nil if none: a hard one, which refused it, or a soft one, which did not.
	Quota []byte
}

func (res *Result) reset() {
	clear(res.Events)
	*res = Result{Body: res.Body[:0], Events: res.Events[:0]}
}

func (res *Result) event(typ int32, path []byte, acls []wire.ACL) {
	res.Events = append(res.Events, watch.Event{Type: typ, Path: path, Zxid: res.Zxid, ACL: acls})
}

// Apply judges one request of an entry of this raft term and with these flags, changes the state, and fills res. Terms never
// decrease. It is deterministic: the same calls on the same state give the same state and the same results.
func (m *Machine) Apply(term uint64, flags uint8, r *Request, res *Result) {
	res.reset()
	m.paths, m.usage = m.paths[:0], m.usage[:0]
	m.enterTerm(term)
	res.Zxid = m.zxid
	m.apply(flags, r, res)
	if len(m.usage) > 0 {
		if flags&FlagQuotas != 0 {
			m.bookUsage()
		}
		clear(m.usage)
	}
}

func (m *Machine) apply(flags uint8, r *Request, res *Result) {
	switch r.Op {
	case OpAttach:
		m.attach(r, res)
		return
	case OpExpire:
		m.expire(r, res)
		return
	case OpReap:
		m.reap(r, res)
		return
	case wire.OpCreateSession:
		m.createSession(r, res)
		return
	}
	m.takeZxid(res)
	if res.Code = m.checkSession(r); res.Code == wire.CodeOK {
		res.Code = m.applyClient(flags, r, res)
	}
	if res.Code != wire.CodeOK {
		res.Body = res.Body[:0]
	}
}

// applyClient runs a request of a live session.
func (m *Machine) applyClient(flags uint8, r *Request, res *Result) wire.Code {
	c := call{m: m, flags: flags, req: r, res: res}
	switch r.Op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData:
		d := wire.NewDecoder(r.Body)
		o := decodeOp(&d, r.Op)
		if d.Err() != nil {
			return wire.CodeMarshallingError
		}
		code, u := c.run(&o)
		m.tree.Settle(u)
		return code
	case wire.OpSetACL:
		return c.setACL()
	case wire.OpMulti:
		return c.multi()
	case wire.OpReconfig:
		if flags&FlagReconfig != 0 {
			return wire.CodeUnimplemented // there is no ensemble to change
		}
		return wire.CodeReconfigDisabled
	case wire.OpCloseSession:
		m.closeSession(r.Session, res)
		return wire.CodeOK
	}
	return wire.CodeUnimplemented
}

// enterTerm opens an epoch with the first request of a newer term.
func (m *Machine) enterTerm(term uint64) {
	if term <= m.term {
		return
	}
	if term >= 1<<31 {
		panic(fmt.Sprintf("fsm: term %d does not fit into a zxid", term))
	}
	m.term = term
	m.zxid = max(m.zxid>>32+1, int64(term)) << 32
}

func (m *Machine) takeZxid(res *Result) {
	m.zxid++
	if uint32(m.zxid) == 0 {
		m.zxid++ // a new epoch; its first number is 1, as after an election
	}
	res.Zxid = m.zxid
}
