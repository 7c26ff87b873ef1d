package producer

import (
	"cmp"
	"slices"

	"ottla/broker/record"
)

// Txn is a transaction's data in one partition: offsets [First, Last], Last being its marker's.
type Txn struct {
	ProducerID  int64
	First, Last int64
	Aborted     bool
}

// State is what one partition remembers of all its producers. The zero value is an empty one. Not safe for concurrent use.
type State struct {
	entries map[int64]*Entry
	open    []Txn // by First
	// undecided have a marker that the high watermark has not passed: it may still be lost with its leader.
	undecided []Txn
	stage     Stage
}

// Load replaces everything by the entries of a snapshot. A producer that was last heard of at or before its Seen plus expireMs
// is left out unless it has an open transaction.
func (s *State) Load(entries []Entry, now, expireMs int64) {
	*s = State{}
	for _, e := range entries {
		e.Seen = min(e.Seen, now) // a timestamp in the future keeps nobody for ever
		if e.expired(now, expireMs) {
			continue
		}
		if s.entries == nil {
			s.entries = map[int64]*Entry{}
		}
		s.entries[e.ID] = &e
		if e.TxnFirstOffset >= 0 {
			s.open = append(s.open, Txn{ProducerID: e.ID, First: e.TxnFirstOffset, Last: -1})
		}
	}
	slices.SortFunc(s.open, func(a, b Txn) int { return cmp.Compare(a.First, b.First) })
}

// Replay takes a batch that is already in the log. m is its marker when h is a control batch, and is nil when that has been
// emptied by the cleaner or is of another kind. aborted is as for Stage.Commit.
func (s *State) Replay(h *record.Header, m *record.Marker, now int64, aborted func(t Txn, lastStable int64)) {
	if !h.HasProducerID() || h.IsControl() && m == nil {
		return
	}
	g := s.Stage()
	g.Begin()
	if m != nil {
		_ = g.EndTransaction(h, *m, h.LastOffset(), false, now) // unchecked: it cannot fail
	} else {
		_ = g.Append(h, h.BaseOffset, false, now)
	}
	g.Commit(aborted)
}

func (s *State) close(t Txn) {
	s.open = slices.DeleteFunc(s.open, func(o Txn) bool { return o.First == t.First })
	s.undecided = append(s.undecided, t)
}

// lastStableAfter is the last stable offset once t's marker counts: the first open transaction, else what follows the marker.
func (s *State) lastStableAfter(t Txn) int64 {
	if len(s.open) > 0 {
		return s.open[0].First
	}
	return t.Last + 1
}

// FirstUnstable is the first offset of the earliest transaction that is open or undecided, or -1.
func (s *State) FirstUnstable() int64 {
	first := int64(-1)
	if len(s.open) > 0 {
		first = s.open[0].First
	}
	for _, t := range s.undecided {
		if first < 0 || t.First < first {
			first = t.First
		}
	}
	return first
}

// Decide forgets the ended transactions whose markers lie below the high watermark hw.
func (s *State) Decide(hw int64) {
	s.undecided = slices.DeleteFunc(s.undecided, func(t Txn) bool { return t.Last < hw })
}

// Expire forgets producers that the log has not heard of for expireMs and that have no open transaction.
func (s *State) Expire(now, expireMs int64) {
	for id, e := range s.entries {
		if e.expired(now, expireMs) {
			delete(s.entries, id)
		}
	}
}

func (e *Entry) expired(now, expireMs int64) bool {
	return e.TxnFirstOffset < 0 && now-e.Seen >= expireMs
}

// Len is the number of producers.
func (s *State) Len() int { return len(s.entries) }

// Entry is a producer's state; the result is not to be changed.
func (s *State) Entry(id int64) (*Entry, bool) {
	e, ok := s.entries[id]
	return e, ok
}

// Entries copies all producers, by id.
func (s *State) Entries() []Entry {
	es := make([]Entry, 0, len(s.entries))
	for _, e := range s.entries {
		es = append(es, *e)
	}
	slices.SortFunc(es, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return es
}

// ReadMarker reads the marker in a control batch. false: the batch holds none, because the cleaner emptied it or because it is a
// control record of another kind.
func ReadMarker(batch []byte) (record.Marker, bool) {
	r := record.NewReader(batch)
	defer r.Close()
	rec, err := r.Next()
	if err != nil {
		return record.Marker{}, false
	}
	m, err := record.ParseMarker(rec)
	return m, err == nil && (m.Type == record.Abort || m.Type == record.Commit)
}
