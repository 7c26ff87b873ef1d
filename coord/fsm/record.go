package fsm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"ottla/coord/tree"
	"ottla/coord/wire"
)

const (
	recordVersion = 1
	sessionSize   = 1 + wire.PasswordSize + 4 + 4
	metaHead      = 1 + 8 + 8 + 4 + 3*8 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unseal checks version and checksum and returns what is between them.
func unseal(b []byte, what string, sizeMin int) ([]byte, error) {
	if len(b) < sizeMin+4 {
		return nil, fmt.Errorf("%s is too short", what)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%s has a wrong checksum", what)
	}
	if body[0] != recordVersion {
		return nil, fmt.Errorf("%s: %w: version %d, this server knows %d", what, tree.ErrVersion, body[0], recordVersion)
	}
	return body[1:], nil
}

// Meta is everything but nodes, lists and sessions; the layout is in doc.go.
func (m *Machine) Meta() []byte {
	be := binary.BigEndian
	b := be.AppendUint64([]byte{recordVersion}, uint64(m.zxid))
	b = be.AppendUint64(b, m.term)
	b = be.AppendUint32(b, m.tree.NextACL())
	for _, n := range m.counts() {
		b = be.AppendUint64(b, n)
	}
	count := len(b)
	b = append(b, 0)
	for server, id := range m.last {
		if id != 0 && b[count] < 255 {
			b[count]++
			b = be.AppendUint64(append(b, byte(server)), uint64(id))
		}
	}
	return seal(b)
}

// counts are the numbers of nodes, lists and sessions: a record that is missing is noticed by them.
func (m *Machine) counts() [3]uint64 {
	return [3]uint64{uint64(m.tree.Len()), uint64(m.tree.ACLs()), uint64(len(m.sessions))}
}

func (m *Machine) loadMeta(b []byte) error {
	b, err := unseal(b, "meta record", metaHead)
	if err != nil {
		return err
	}
	be := binary.BigEndian
	m.zxid, m.term = int64(be.Uint64(b)), be.Uint64(b[8:])
	m.tree.SetNextACL(be.Uint32(b[16:]))
	b = b[20:]
	for i, n := range m.counts() {
		if want := be.Uint64(b); n != want {
			return fmt.Errorf("%d %s, but there were %d", n, [...]string{"nodes", "access control lists", "sessions"}[i], want)
		}
		b = b[8:]
	}
	count := int(b[0])
	b = b[1:]
	if len(b) != 9*count {
		return fmt.Errorf("meta record has a wrong length")
	}
	for ; len(b) > 0; b = b[9:] {
		m.last[b[0]] = int64(be.Uint64(b[1:]))
	}
	return nil
}

// SessionChanges calls f for each session that changed since the last call, in the order of their keys; a nil record says that it is gone. It
// needs the writer's lock.
func (m *Machine) SessionChanges(f func(key, record []byte)) {
	ids := make([]int64, 0, len(m.dirtySessions))
	for id := range m.dirtySessions {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b int64) int {
		switch {
		case uint64(a) < uint64(b):
			return -1
		case a == b:
			return 0
		}
		return 1
	})
	for _, id := range ids {
		key := binary.BigEndian.AppendUint64(nil, uint64(id))
		s := m.sessions[id]
		if s == nil {
			f(key, nil)
			continue
		}
		b := append([]byte{recordVersion}, s.Password[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(s.TimeoutMs))
		f(key, seal(binary.BigEndian.AppendUint32(b, s.Attach)))
	}
	clear(m.dirtySessions)
}

func (m *Machine) loadSession(key, record []byte) error {
	b, err := unseal(record, fmt.Sprintf("record of session %x", key), sessionSize)
	if err != nil {
		return err
	}
	if len(key) != 8 || len(b) != sessionSize-1 {
		return fmt.Errorf("record of session %x has a wrong length", key)
	}
	be := binary.BigEndian
	s := &Session{ID: int64(be.Uint64(key)), TimeoutMs: int32(be.Uint32(b[wire.PasswordSize:])), Attach: be.Uint32(b[wire.PasswordSize+4:])}
	copy(s.Password[:], b)
	m.sessions[s.ID] = s
	return nil
}

// Loader builds a Machine from records. Lists of access control come first, then nodes, parents before children; sessions at
// any time.
type Loader struct{ m *Machine }

// NewLoader begins.
func NewLoader() *Loader { return &Loader{newMachine(tree.Empty())} }

// ACL, Node and Session take one record; key and record are not kept.
func (l *Loader) ACL(key, record []byte) error { return l.m.tree.LoadACL(key, record) }

// Node takes a node.
func (l *Loader) Node(key, record []byte) error { return l.m.tree.Load(string(key), record) }

// Session takes a session.
func (l *Loader) Session(key, record []byte) error { return l.m.loadSession(key, record) }

// Done takes the meta record and returns the machine, after checking that nothing contradicts.
func (l *Loader) Done(meta []byte) (*Machine, error) {
	m := l.m
	l.m = nil
	if err := m.loadMeta(meta); err != nil {
		return nil, err
	}
	var err error
	m.tree.Owners(func(session int64, nodes int) {
		if m.sessions[session] == nil && err == nil {
			err = fmt.Errorf("%d ephemeral nodes belong to session 0x%x, which is missing", nodes, session)
		}
	})
	return m, err
}

// Capture begins reading out what changed in the tree since the last capture; see tree.Capture.
func (m *Machine) Capture() *tree.Capture { return m.tree.BeginCapture() }

// EndCapture ends it.
func (m *Machine) EndCapture(c *tree.Capture) { m.tree.EndCapture(c) }

// ACLChanges is tree.Tree.ACLChanges.
func (m *Machine) ACLChanges(f func(key, record []byte)) { m.tree.ACLChanges(f) }
