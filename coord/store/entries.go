package store

import (
	"fmt"
	"os"
)

// Entries reads the entries from lo up to, not including, hi, as many as fit in maxBytes of data, at least one. The caller owns
// them. Reading on where the last call stopped does not search.
func (l *Log) Entries(lo, hi uint64, maxBytes uint64) ([]Entry, error) {
	switch {
	case lo <= l.base.index:
		return nil, ErrCompacted
	case hi > l.last+1:
		return nil, ErrUnavailable
	}
	var list []Entry
	var bytes uint64
	for lo < hi {
		e, err := l.read(lo)
		if err != nil {
			return nil, err
		}
		if bytes += uint64(len(e.Data)); len(list) > 0 && bytes > maxBytes {
			// It will be the first one of the next call.
			l.closeReader()
			break
		}
		list = append(list, e)
		lo++
	}
	return list, nil
}

// read returns one entry.
func (l *Log) read(index uint64) (Entry, error) {
	seg := &l.active
	for i := len(l.sealed) - 1; seg.first > index && i >= 0; i-- {
		seg = &l.sealed[i]
	}
	if l.rd == nil || l.rdFirst != seg.first || l.rdIndex != index {
		if err := l.seek(seg, index); err != nil {
			return Entry{}, err
		}
	}
	l.rd.size = seg.end // the active segment grows
	for {
		at := l.rd.off
		rec, ok, err := l.rd.next()
		if err != nil {
			return Entry{}, err
		}
		if !ok || rec.isEntry() && rec.index > index {
			return Entry{}, &DamageError{File: seg.path, Offset: at, Reason: fmt.Sprintf("entry %d, which was there at the start, cannot be read back", index)}
		}
		if rec.isEntry() && rec.index == index {
			l.rdIndex = index + 1
			return Entry{Index: rec.index, Term: rec.term, Membership: rec.kind == kindMembership, Data: append([]byte(nil), rec.payload...)}, nil
		}
	}
}

// seek opens the segment for reading and moves to an entry at or before index.
func (l *Log) seek(seg *segment, index uint64) error {
	off, ok := seg.seek(index)
	if !ok {
		return ErrUnavailable
	}
	if l.rd == nil || l.rdFirst != seg.first {
		l.closeReader()
		f, err := l.o.FS.OpenFile(seg.path, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		if l.rd, err = newReader(f); err != nil {
			f.Close()
			l.rd = nil
			return err
		}
		l.rdFirst = seg.first
	}
	// Bytes read ahead of the writer are stale.
	l.rd.off, l.rd.have = off, 0
	return nil
}

func (l *Log) closeReader() {
	if l.rd != nil {
		l.rd.f.Close()
		l.rd = nil
	}
}
