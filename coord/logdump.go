package coord

import (
	"fmt"

	"ottla/coord/ensemble"
	"ottla/coord/fsm"
	"ottla/coord/store"
)

// LogEntry is an entry of the log as it stands in a file.
type LogEntry struct {
	File        string
	Offset      int64
	Index, Term uint64
	Requests    []LogRequest
}

// LogRequest is one of its requests.
type LogRequest struct {
	Session int64
	Cxid    int32
	Time    int64 // ms since 1970
	Parts   []fsm.Part
}

// ReadLog gives every entry that the log of a stopped coordinator still holds to fn, also those in the checkpoint already, and returns the places where it is
// damaged. Nothing is changed. What fn gets is valid until it returns.
func ReadLog(dir, logDir string, fn func(*LogEntry) error) (damage []error, err error) {
	s, err := store.OpenSalvage(dir, logDir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	found, err := s.Scan(func(path string, off int64, e store.Entry) error {
		le := LogEntry{File: path, Offset: off, Index: e.Index, Term: e.Term}
		if err := ensemble.Batches(e.Data, func(batch []byte) error {
			head, err := fsm.DecodeEntry(batch)
			if err != nil {
				return err
			}
			var q fsm.Request
			for head.Next(&q) {
				le.Requests = append(le.Requests, LogRequest{Session: q.Session, Cxid: q.Cxid, Time: q.Time, Parts: fsm.Describe(&q)})
			}
			return nil
		}); err != nil {
			return fmt.Errorf("%s at offset %d: %w", path, off, err)
		}
		return fn(&le)
	})
	if err != nil {
		return nil, err
	}
	for _, d := range found.Damage {
		damage = append(damage, d)
	}
	return damage, nil
}
