package compact

import "hash/maphash"

// slotBytes is what a key takes, whatever its length.
const slotBytes = 24

// OffsetMap remembers the last offset of each key by the key's hash of 128 bits, under random seeds: nobody can make two keys that
// are taken for one. Its memory is set when it is made. Not safe for concurrent use.
type OffsetMap struct {
	seeds  [2]maphash.Seed
	slots  []slot
	max    int // keys
	n      int
	latest int64
}

type slot struct {
	a, b uint64
	next int64 // the key's last offset + 1; 0: the slot is free
}

// NewOffsetMap makes a map for max keys, of which load is filled: 0.9 makes it a ninth larger than its keys.
func NewOffsetMap(max int, load float64) *OffsetMap {
	m := &OffsetMap{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, max: max, latest: -1}
	m.slots = make([]slot, int(float64(max)/load)+2)
	return m
}

// keysIn is how many keys a map of so many bytes holds.
func keysIn(bytes int64, load float64) int { return max(1, int(float64(bytes/slotBytes-2)*load)) }

// Clear forgets everything.
func (m *OffsetMap) Clear() {
	clear(m.slots)
	m.n, m.latest = 0, -1
}

// Len is the number of keys; Max is how many it takes.
func (m *OffsetMap) Len() int { return m.n }

// Max is how many keys the map takes.
func (m *OffsetMap) Max() int { return m.max }

// Latest is the offset up to which the log is in the map, -1 for none of it.
func (m *OffsetMap) Latest() int64 { return m.latest }

// Reached says that the log is in the map up to an offset.
func (m *OffsetMap) Reached(offset int64) { m.latest = max(m.latest, offset) }

// probes is how many places a key's hash chooses before the search goes on slot by slot.
const probes = 16

// find is the slot of the key, or the free one where it belongs.
func (m *OffsetMap) find(key []byte) (s *slot, a, b uint64) {
	a, b = maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)
	n := uint64(len(m.slots))
	at, step := a%n, 1+b%(n-1)
	for i := 0; ; i++ {
		s = &m.slots[at]
		if s.next == 0 || s.a == a && s.b == b {
			return s, a, b
		}
		if i >= probes {
			step = 1
		}
		if at += step; at >= n {
			at -= n
		}
	}
}

// Put records the key's offset, which is above all before it. false: the map is full and the key is not in it.
func (m *OffsetMap) Put(key []byte, offset int64) bool {
	s, a, b := m.find(key)
	if s.next == 0 {
		if m.n == m.max {
			return false
		}
		m.n++
	}
	*s = slot{a, b, offset + 1}
	m.latest = offset
	return true
}

// Get is the key's last offset, -1 when it is not in the map.
func (m *OffsetMap) Get(key []byte) int64 {
	s, _, _ := m.find(key)
	return s.next - 1
}
