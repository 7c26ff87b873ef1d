package fsm

import (
	"fmt"

	"ottla/coord/tree"
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
