package fsm

import (
	"encoding/binary"
	"fmt"

	"ottla/coord/tree"
	"ottla/coord/wire"
)

// Importer builds a Machine from what another server kept. All of it is new to the next checkpoint.
type Importer struct{ m *Machine }

// NewImporter begins.
func NewImporter() *Importer { return &Importer{newMachine(tree.Empty())} }

// Node takes a node; parents come before children. What v refers to is kept.
func (i *Importer) Node(path string, v *tree.Image) error { return i.m.tree.Insert(path, v) }

// Session takes a session.
func (i *Importer) Session(s Session) {
	i.m.sessions[s.ID] = &s
	i.m.dirtySessions[s.ID] = struct{}{}
	server := uint8(uint64(s.ID) >> 56)
	if last := &i.m.last[server]; *last == 0 || s.ID > *last {
		*last = s.ID
	}
}

// Done returns the machine. zxid is the last that the other server gave: the next one is above it.
func (i *Importer) Done(zxid int64) (*Machine, error) {
	m := i.m
	i.m = nil
	if m.tree.Len() == 0 {
		return nil, fmt.Errorf("there are no nodes")
	}
	m.zxid = zxid
	var err error
	m.tree.Owners(func(session int64, nodes int) {
		if m.sessions[session] == nil && err == nil {
			err = fmt.Errorf("%d ephemeral nodes belong to session 0x%x, which is missing", nodes, session)
		}
	})
	return m, err
}

// Has says whether the node was taken.
func (i *Importer) Has(path string) bool { return i.m.tree.Lookup([]byte(path)) != nil }

// ACL is the list of a node that was taken.
func (i *Importer) ACL(path string) []wire.ACL { return i.m.tree.ACL(i.m.tree.Lookup([]byte(path))) }

// LastSessions takes over the highest session ids that each server ever made, so that none is made again.
func (i *Importer) LastSessions(m *Machine) {
	for server, id := range m.last {
		if last := &i.m.last[server]; id != 0 && (*last == 0 || id > *last) {
			*last = id
		}
	}
}

// DecodeMeta reads the parts of a meta record that do not depend on the other records: a machine without nodes.
func DecodeMeta(meta []byte) (*Machine, error) {
	b, err := unseal(meta, "meta record", metaHead)
	if err != nil {
		return nil, err
	}
	m := newMachine(tree.Empty())
	be := binary.BigEndian
	m.zxid, m.term = int64(be.Uint64(b)), be.Uint64(b[8:])
	count := int(b[metaHead-2])
	if b = b[metaHead-1:]; len(b) != 9*count {
		return nil, fmt.Errorf("meta record has a wrong length")
	}
	for ; len(b) > 0; b = b[9:] {
		m.last[b[0]] = int64(be.Uint64(b[1:]))
	}
	return m, nil
}

// DecodeSession reads a session's record on its own.
func DecodeSession(key, record []byte) (Session, error) {
	m := newMachine(tree.Empty())
	if err := m.loadSession(key, record); err != nil {
		return Session{}, err
	}
	return *m.sessions[int64(binary.BigEndian.Uint64(key))], nil
}
