package xcheck

import (
	"cmp"
	"slices"
	"sync"
)

// mapping is which numbers of A stand for which of B. Safe for concurrent use.
type mapping struct {
	mu       sync.Mutex
	sessions map[int64]session
	owners   map[int64]int64 // of B's ids the A's
	zxids    []pair          // in the order of a, and so of b
	times    [2]map[int64]int64
}

// session is B's part of a session.
type session struct {
	id       int64
	password []byte
}

type pair struct{ a, b int64 }

func newMapping() *mapping {
	return &mapping{sessions: map[int64]session{}, owners: map[int64]int64{}, times: [2]map[int64]int64{{}, {}}}
}

// session says whether two ids may be one session, and from then on they are.
func (m *mapping) session(a, b int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a == 0 || b == 0 {
		return a == b
	}
	s, okA := m.sessions[a]
	back, okB := m.owners[b]
	if okA || okB {
		return okA && okB && s.id == b && back == a
	}
	m.sessions[a], m.owners[b] = session{id: b}, a
	return true
}

// password notes B's password of a session of A's.
func (m *mapping) password(a int64, p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[a]
	s.password = p
	m.sessions[a] = s
}

func (m *mapping) sessionOfB(a int64) (session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[a]
	return s, ok
}

// zxid says whether two zxids may be one change, and from then on they are.
func (m *mapping) zxid(a, b int64) bool {
	if a <= 0 || b <= 0 {
		return a == b
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := m.find(a)
	if found {
		return m.zxids[i].b == b
	}
	if i > 0 && m.zxids[i-1].b >= b || i < len(m.zxids) && m.zxids[i].b <= b {
		return false
	}
	m.zxids = slices.Insert(m.zxids, i, pair{a, b})
	return true
}

func (m *mapping) find(a int64) (int, bool) {
	return slices.BinarySearchFunc(m.zxids, a, func(p pair, a int64) int { return cmp.Compare(p.a, a) })
}

// zxidOfB is B's zxid for one of A's, or else for the latest before it.
func (m *mapping) zxidOfB(a int64) int64 {
	if a <= 0 {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := m.find(a)
	switch {
	case found:
		return m.zxids[i].b
	case i == 0:
		return 0
	}
	return m.zxids[i-1].b
}

// time says whether a server may say this time of a zxid: it has said no other.
func (m *mapping) time(side int, zxid, ms int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.times[side][zxid]
	if !ok {
		m.times[side][zxid] = ms
	}
	return !ok || old == ms
}
