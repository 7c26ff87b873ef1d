package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/rs/zerolog"

	"ottla/internal/fs"
)

// DefaultSegmentBytes is how much of the disk a segment reserves.
const DefaultSegmentBytes = 64 << 20

// ErrCompacted is returned for entries that a checkpoint has replaced, ErrUnavailable for those not yet written.
var (
	ErrCompacted   = errors.New("log entry was replaced by a checkpoint")
	ErrUnavailable = errors.New("log entry is not in the log")
)

// LogOptions is what OpenLog needs.
type LogOptions struct {
	FS  fs.FS
	Dir string // made if missing
	// Cluster is written into each segment and compared, so that the log of one coordinator is not read by another.
	Cluster uint64
	// Index and Term are those of the checkpoint: the log begins behind it, or reaches across it.
	Index, Term uint64
	// Fresh says that there has never been a log here, so that a missing one is not a loss.
	Fresh        bool
	SegmentBytes int64 // 0 is DefaultSegmentBytes
	Logger       zerolog.Logger
}

// Log is the write-ahead log. It belongs to one goroutine.
type Log struct {
	o      LogOptions
	hs     HardState
	base   termRun // the entry before the first one: index and term
	last   uint64
	terms  terms
	sealed []segment // oldest first
	active segment
	f      fs.File // the active segment
	synced int64   // offset in the active segment up to which it is durable
	crc    uint32  // of the last record
	buf    []byte
	err    error // the failure after which nothing may be written any more

	recovered Recovery
	rd        *reader // for Entries: where the last call stopped reading
	rdFirst   uint64  // the segment that rd reads, by its first index
	rdIndex   uint64  // the entry that begins at rd.off, if that is known
}

// Recovery is what OpenLog found.
type Recovery struct {
	Segments int
	Entries  uint64 // behind the checkpoint
	Bytes    int64  // of records, all segments together
	TornFile string // where an unfinished group was cut, "" if nowhere
	TornAt   int64
}

// Recovered tells what OpenLog found.
func (l *Log) Recovered() Recovery { return l.recovered }

// HardState returns the last one appended.
func (l *Log) HardState() HardState { return l.hs }

// FirstIndex is the first entry that Entries can return, or will be able to.
func (l *Log) FirstIndex() uint64 { return l.base.index + 1 }

// LastIndex is the last entry in the log; FirstIndex()-1 if it is empty.
func (l *Log) LastIndex() uint64 { return l.last }

// Term returns the term of an entry between FirstIndex()-1 and LastIndex().
func (l *Log) Term(index uint64) (uint64, error) {
	switch {
	case index < l.base.index:
		return 0, ErrCompacted
	case index > l.last:
		return 0, ErrUnavailable
	case index == l.base.index:
		return l.base.term, nil
	}
	t, ok := l.terms.at(index)
	if !ok {
		return 0, ErrUnavailable
	}
	return t, nil
}

// Err is the failure that ended the log, or nil.
func (l *Log) Err() error { return l.err }

// Append writes entries and the hard state at the end, in one write, and returns when they are durable. Entries continue the log
// without a gap. A hard state that only moves the commit index is not worth a sync of its own and may be lost in a power cut.
// Nothing is kept of entries. An error is final.
func (l *Log) Append(hs HardState, entries []Entry) error {
	if l.err != nil {
		return l.err
	}
	if err := l.append(hs, entries); err != nil {
		l.err = fmt.Errorf("write-ahead log failed, nothing more is written to it: %w", err)
		return l.err
	}
	return nil
}

func (l *Log) append(hs HardState, entries []Entry) error {
	mustSync := len(entries) > 0 || hs.Term != l.hs.Term || hs.Vote != l.hs.Vote
	for i := range entries {
		if e := &entries[i]; e.Index != l.last+uint64(i)+1 {
			return fmt.Errorf("entry %d does not continue the log, which ends at %d", e.Index, l.last+uint64(i))
		} else if len(e.Data) > maxPayload {
			return fmt.Errorf("entry of %d bytes is larger than the log can hold", len(e.Data))
		}
	}
	for len(entries) > 0 || hs != l.hs {
		n, ok := l.fit(entries)
		if !ok {
			if err := l.roll(); err != nil {
				return err
			}
			continue
		}
		// The hard state stands behind all entries: its commit index must not outlive an entry that it names.
		now := l.hs
		if n == len(entries) {
			now = hs
		}
		if err := l.write(now, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	if !mustSync {
		return nil
	}
	return l.sync()
}

// fit says how many of the entries the active segment takes beside a hard state; not ok if a new segment is needed first. An
// entry larger than a segment has one for itself.
func (l *Log) fit(entries []Entry) (n int, ok bool) {
	fresh := l.active.end == recordSize(segmentHeader)
	end := l.active.end + recordSize(8)
	for n < len(entries) && end+recordSize(len(entries[n].Data)) <= l.o.SegmentBytes {
		end += recordSize(len(entries[n].Data))
		n++
	}
	switch {
	case fresh && n == 0:
		return min(1, len(entries)), true
	case len(entries) == 0:
		return 0, end <= l.o.SegmentBytes
	}
	return n, n > 0
}

// write puts the entries and the hard state at the end of the active segment.
func (l *Log) write(hs HardState, group []Entry) error {
	b, off := l.buf[:0], l.active.end
	for i := range group {
		e := &group[i]
		l.active.note(e.Index, off+int64(len(b)))
		b, l.crc = appendRecord(b, record{kind: e.kind(), synced: uint32(l.synced), term: e.Term, index: e.Index, payload: e.Data})
		l.terms.add(e.Index, e.Term)
		l.last = e.Index
	}
	if hs != l.hs {
		var vote [8]byte
		binary.LittleEndian.PutUint64(vote[:], hs.Vote)
		b, l.crc = appendRecord(b, record{kind: kindHardState, synced: uint32(l.synced), term: hs.Term, index: hs.Commit, payload: vote[:]})
		l.hs = hs
	}
	if _, err := l.f.WriteAt(b, off); err != nil {
		return err
	}
	l.active.end = off + int64(len(b))
	if l.active.end > math.MaxUint32 {
		return fmt.Errorf("segment %s has grown beyond 4 GiB", l.active.path)
	}
	if cap(b) <= 1<<20 {
		l.buf = b[:0]
	} else {
		l.buf = nil // a rare large group: not worth keeping
	}
	return nil
}

func (l *Log) sync() error {
	if l.synced == l.active.end {
		return nil
	}
	if err := l.f.Datasync(); err != nil {
		return err
	}
	l.synced = l.active.end
	return nil
}

// Roll begins a new segment, so that Compact can drop the one before. An error is final.
func (l *Log) Roll() error {
	if l.err == nil {
		l.err = l.roll()
	}
	return l.err
}

// roll seals the active segment and opens the next one.
func (l *Log) roll() error {
	// In a sealed segment a bad record is damage, so nothing of it may be left to chance.
	if err := l.sync(); err != nil {
		return err
	}
	f, sealed := l.f, l.active
	if err := l.create(); err != nil {
		return err
	}
	l.sealed = append(l.sealed, sealed)
	return f.Close()
}

// create makes the segment that follows the last entry the active one. Its header and its name are durable on return: a later
// record can then say so, and an invalid header is the sign of a segment that was never used.
func (l *Log) create() error {
	term, err := l.Term(l.last)
	if err != nil {
		return err
	}
	path := segmentPath(l.o.Dir, l.last+1)
	f, err := l.o.FS.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	b, crc := appendSegmentRecord(nil, l.last+1, term, l.o.Cluster, l.crc, l.hs)
	if err = f.Preallocate(l.o.SegmentBytes); err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.crc, l.synced = f, crc, int64(len(b))
	l.active = segment{path: path, first: l.last + 1, end: int64(len(b))}
	return nil
}

// Compact forgets the segments whose entries are all at or before index, which a durable checkpoint has replaced. It only
// updates the Log; remove deletes the files and may run on another goroutine. A crash before or while it runs leaves files that
// the next start removes.
func (l *Log) Compact(index uint64) (remove func() error) {
	var old []string
	for len(l.sealed) > 0 {
		next := l.active.first
		if len(l.sealed) > 1 {
			next = l.sealed[1].first
		}
		if next > index+1 {
			break
		}
		old = append(old, l.sealed[0].path)
		l.sealed = l.sealed[1:]
	}
	if index = min(index, l.last); index > l.base.index {
		if term, err := l.Term(index); err == nil {
			l.base = termRun{index, term}
			l.terms.drop(index)
		}
	}
	l.closeReader()
	return func() error {
		var errs []error
		for _, path := range old {
			errs = append(errs, l.o.FS.Remove(path))
		}
		return errors.Join(errs...)
	}
}

// Bytes is how many bytes of records the log holds, all segments together.
func (l *Log) Bytes() int64 {
	n := l.active.end
	for i := range l.sealed {
		n += l.sealed[i].end
	}
	return n
}

// Close makes the last hard state durable, gives back the space that was reserved beyond the last record, and closes the files.
// After a failed write it only closes them.
func (l *Log) Close() error {
	if l.f == nil {
		return nil
	}
	l.closeReader()
	err := l.err
	if err == nil {
		// The next start then has no reserved space to look through. Shorter is as good as zeros, so no sync depends on it.
		if err = l.f.Truncate(l.active.end); err == nil {
			err = l.f.Datasync()
		}
		l.err = os.ErrClosed
	}
	if cerr := l.f.Close(); err == nil {
		err = cerr
	}
	l.f = nil
	return err
}
