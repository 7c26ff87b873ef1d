package server

import (
	"ottla/coord/acl"
	"ottla/coord/fsm"
	"ottla/coord/wire"
)

// Access is what MayAdminister found.
type Access int

// What MayAdminister can find.
const (
	Unknown   Access = iota // no identity of a known scheme was proven
	Forbidden               // an identity that may not
	Granted
)

// MayAdminister says whether who proves data in a scheme has every right on the root, which snapshots over HTTP ask for.
func (s *Server) MayAdminister(scheme, data, ip string) Access {
	c := conn{srv: s}
	c.auth = acl.AppendIdentity(nil, wire.ID{Scheme: acl.SchemeIP, ID: ip})
	auth, ok := c.prove(scheme, []byte(data))
	if !ok {
		s.stats.authFailed.Add(1)
		return Unknown
	}
	granted := true
	s.state.View(func(m *fsm.Machine) {
		list := m.Tree().ACL(m.Tree().Root())
		for perm := int32(1); perm <= wire.PermAll; perm <<= 1 {
			granted = granted && c.allowed(list, perm, auth)
		}
	})
	if !granted {
		return Forbidden
	}
	return Granted
}

// Zxid is that of the last transaction.
func (s *Server) Zxid() (zxid int64) {
	s.state.View(func(m *fsm.Machine) { zxid = m.Zxid() })
	return zxid
}

// Nodes counts the znodes as ZooKeeper does.
func (s *Server) Nodes() (n int) {
	s.state.View(func(m *fsm.Machine) { n = nodeCount(m) })
	return n
}

// Settings is the configuration that the server works with.
func (s *Server) Settings() Config { return s.cfg }

// Mode is the server's role.
func (s *Server) Mode() string { return s.cfg.Mode() }

// TraceMask is that of gtmk.
func (s *Server) TraceMask() int64 { return s.traceMask.Load() }

// SetTraceMask is stmk.
func (s *Server) SetTraceMask(mask int64) { s.traceMask.Store(mask) }
