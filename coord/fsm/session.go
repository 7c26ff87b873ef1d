package fsm

import (
	"crypto/subtle"
	"slices"
	"strings"

	"ottla/coord/wire"
)

// Session is a client's session as all members know it.
type Session struct {
	ID        int64
	Password  [wire.PasswordSize]byte
	TimeoutMs int32
	// Attach counts the connections that the session has had; requests must carry that of the last one.
	Attach uint32
}

// Session looks a session up; it is a copy.
func (m *Machine) Session(id int64) (Session, bool) {
	s := m.sessions[id]
	if s == nil {
		return Session{}, false
	}
	return *s, true
}

// Sessions is the number of sessions.
func (m *Machine) Sessions() int { return len(m.sessions) }

// EachSession calls f for all sessions, in no order.
func (m *Machine) EachSession(f func(Session)) {
	for _, s := range m.sessions {
		f(*s)
	}
}

// LastSession is the highest session id that was made by a server, 0 if none was.
func (m *Machine) LastSession(server uint8) int64 { return m.last[server] }

// CreateSessionBody is the body of a createSession request.
func CreateSessionBody(password [wire.PasswordSize]byte, timeoutMs int32) []byte {
	return wire.AppendInt(wire.AppendBuffer(nil, password[:]), timeoutMs)
}

// AttachBody is the body of an OpAttach request. The password is the one that the client sent, of any length.
func AttachBody(password []byte, timeoutMs int32) []byte {
	return wire.AppendInt(wire.AppendBuffer(nil, password), timeoutMs)
}

// createSession opens a session under an id that the proposing server chose. CodeNodeExists: the id is not above all that this server ever made;
// it takes another one.
func (m *Machine) createSession(r *Request, res *Result) {
	d := wire.NewDecoder(r.Body)
	password, timeout := d.Buffer(), d.Int()
	server := uint8(uint64(r.Session) >> 56)
	switch {
	case d.Err() != nil || len(password) != wire.PasswordSize || r.Session == 0:
		res.Code = wire.CodeMarshallingError
		return
	case r.Session <= m.last[server] && m.last[server] != 0:
		res.Code = wire.CodeNodeExists
		return
	}
	m.takeZxid(res)
	s := &Session{ID: r.Session, TimeoutMs: timeout, Attach: 1}
	copy(s.Password[:], password)
	m.sessions[s.ID] = s
	m.last[server] = s.ID
	m.dirtySessions[s.ID] = struct{}{}
	res.Session, res.Opened = *s, s.ID
}

// attach gives a session to a new connection. CodeSessionExpired: there is none, or the password is wrong.
func (m *Machine) attach(r *Request, res *Result) {
	d := wire.NewDecoder(r.Body)
	password, timeout := d.Buffer(), d.Int()
	s := m.sessions[r.Session]
	if d.Err() != nil || s == nil || subtle.ConstantTimeCompare(password, s.Password[:]) == 0 {
		res.Code = wire.CodeSessionExpired
		return
	}
	s.Attach++
	s.TimeoutMs = timeout
	m.dirtySessions[s.ID] = struct{}{}
	res.Session = *s
}

// checkSession says whether the request comes through the connection that its session is attached to.
func (m *Machine) checkSession(r *Request) wire.Code {
	s := m.sessions[r.Session]
	switch {
	case s == nil:
		return wire.CodeSessionExpired
	case s.Attach != r.Attach:
		return wire.CodeSessionMoved
	}
	return wire.CodeOK
}

func (m *Machine) expire(r *Request, res *Result) {
	if res.Code = m.checkSession(r); res.Code == wire.CodeOK {
		m.takeZxid(res)
		m.closeSession(r.Session, res)
	}
}

// closeSession ends a session and deletes its ephemeral nodes, all under one zxid and in the order of their paths.
func (m *Machine) closeSession(id int64, res *Result) {
	paths := m.tree.Owned(id)
	slices.Sort(paths)
	for _, path := range paths {
		p := []byte(path)
		n := m.tree.Lookup(p)
		m.tree.Settle(m.remove(n, p, strings.LastIndexByte(path, '/'), res))
	}
	delete(m.sessions, id)
	m.dirtySessions[id] = struct{}{}
	res.Closed = id
}

// ReapBody is the body of an OpReap request.
func ReapBody(path string, unusedMs int64) []byte {
	return wire.AppendLong(wire.AppendString(nil, path), unusedMs)
}

// reap deletes a node that the proposer found to be over, if it still is.
func (m *Machine) reap(r *Request, res *Result) {
	d := wire.NewDecoder(r.Body)
	path, unused := d.String(), int64(0)
	if len(d.Rest()) > 0 {
		unused = d.Long()
	}
	n := m.tree.Lookup(path)
	switch {
	case d.Err() != nil || n == nil || n.Parent() == nil:
		res.Code = wire.CodeNoNode
	case n.NumChildren() > 0:
		res.Code = wire.CodeNotEmpty
	case !n.Over(r.Time, unused):
		res.Code = wire.CodeBadVersion
	default:
		m.takeZxid(res)
		m.tree.Settle(m.remove(n, path, strings.LastIndexByte(string(path), '/'), res))
	}
}
