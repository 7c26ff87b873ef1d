package ensemble

import (
	"errors"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"ottla/coord/store"
)

// storage is the Log as raft sees it, with the entries that are not applied yet in memory. It belongs to the loop.
type storage struct {
	log  *store.Log
	conf *pb.ConfState
	// recent ends with the last entry of the log, and begins behind the last applied one or later.
	recent []*pb.Entry
	bytes  int // of their data
	buf    []store.Entry
}

var _ raft.Storage = (*storage)(nil)

// append makes entries and hard state durable.
func (s *storage) append(hs store.HardState, entries []*pb.Entry) error {
	s.buf = s.buf[:0]
	for _, e := range entries {
		s.buf = append(s.buf, store.Entry{
			Index: e.GetIndex(), Term: e.GetTerm(), Membership: e.GetType() != pb.EntryNormal, Data: e.GetData(),
		})
	}
	err := s.log.Append(hs, s.buf)
	clear(s.buf)
	if err != nil {
		return err
	}
	s.recent = append(s.recent, entries...)
	for _, e := range entries {
		s.bytes += len(e.GetData())
	}
	return nil
}

// applied forgets the entries up to index.
func (s *storage) applied(index uint64) {
	n := 0
	for n < len(s.recent) && s.recent[n].GetIndex() <= index {
		s.bytes -= len(s.recent[n].GetData())
		n++
	}
	clear(s.recent[:n]) // the array lives on
	if s.recent = s.recent[n:]; len(s.recent) == 0 {
		s.recent = nil
	}
}

func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	hs := s.log.HardState()
	if hs == (store.HardState{}) {
		return nil, s.conf, nil
	}
	return &pb.HardState{Term: &hs.Term, Vote: &hs.Vote, Commit: &hs.Commit}, s.conf, nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if len(s.recent) > 0 && lo >= s.recent[0].GetIndex() {
		first := s.recent[0].GetIndex()
		if hi > first+uint64(len(s.recent)) {
			return nil, raft.ErrUnavailable
		}
		list := s.recent[lo-first : hi-first]
		var size uint64
		for i, e := range list {
			if size += uint64(len(e.GetData())); i > 0 && size > maxSize {
				list = list[:i]
				break
			}
		}
		return slices.Clone(list), nil // it is the caller's; ours is cleared as entries are applied
	}
	stored, err := s.log.Entries(lo, hi, maxSize)
	if err != nil {
		return nil, raftError(err)
	}
	list := make([]*pb.Entry, len(stored))
	for i := range stored {
		e := &stored[i]
		list[i] = &pb.Entry{Index: &e.Index, Term: &e.Term, Data: e.Data}
		if e.Membership {
			list[i].Type = pb.EntryConfChangeV2.Enum()
		}
	}
	return list, nil
}

func (s *storage) Term(index uint64) (uint64, error) {
	t, err := s.log.Term(index)
	return t, raftError(err)
}

func (s *storage) LastIndex() (uint64, error)  { return s.log.LastIndex(), nil }
func (s *storage) FirstIndex() (uint64, error) { return s.log.FirstIndex(), nil }

// Snapshot is what a leader sends to a member that fell behind the log: there is none in a group of one.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// raftError puts the store's errors into raft's terms.
func raftError(err error) error {
	switch {
	case errors.Is(err, store.ErrCompacted):
		return raft.ErrCompacted
	case errors.Is(err, store.ErrUnavailable):
		return raft.ErrUnavailable
	}
	return err
}
