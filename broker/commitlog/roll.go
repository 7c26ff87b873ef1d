package commitlog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ottla/internal/fs"
)

// Roll begins a new segment, unless the active one is empty.
func (l *Log) Roll() error {
	defer l.report()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	if l.activeSegment().size.Load() == 0 {
		return nil
	}
	return l.rollLocked(l.logEnd.Load(), l.now())
}

// rollLocked seals the active segment and begins one at base. The indexes of the old one go to their files, complete, before the
// list changes: from then on they are read from there. They are synced by the flush that moves the recovery point beyond them.
func (l *Log) rollLocked(base, now int64) error {
	old := l.activeSegment()
	old.endTimeIndex()
	if err := l.writeIndexes(old); err != nil {
		return l.fileError(fmt.Errorf("roll at %d: %w", base, err))
	}
	if l.lastSnapshotLocked() != base {
		if err := l.writeSnapshot(base, l.producers.Entries(), false); err != nil {
			return l.fileError(fmt.Errorf("roll at %d: %w", base, err))
		}
		l.addSnapshotLocked(base)
	}
	if l.settings.Load().Preallocate {
		if err := old.active.file.file.Truncate(old.size.Load()); err != nil {
			return l.fileError(fmt.Errorf("roll at %d: %w", base, err))
		}
	}
	s, err := l.createSegment(base, now)
	if err != nil {
		return l.fileError(fmt.Errorf("roll at %d: %w", base, err))
	}
	segs := *l.segments.Load()
	segs = append(slices.Clone(segs[:len(segs)-1]), old.sealed(base, now), s)
	l.segments.Store(&segs)
	// The descriptor stays open in the cache for those who read on, and is closed when nobody does. Only now: who finds it closed
	// must find another list.
	l.o.Cache.give(fileKey{old.id, logFile}, old.active.file)
	return nil
}

// createSegment makes the file of an empty active segment.
func (l *Log) createSegment(base, now int64) (*segment, error) {
	st := l.settings.Load()
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	f, err := l.o.FS.OpenFile(name(l.dir, base, ".log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	// After the creation: a sync that runs beside us takes the flag and must then see the name.
	l.newNames.Store(true)
	if err := l.prepareSegment(f, base, st); err != nil {
		f.Close()
		// Small records may still fit in the old segment: a file that begins before their offsets must not stay.
		if rerr := l.removeSegments([]int64{base}); rerr != nil {
			return nil, rerr
		}
		return nil, err
	}
	s := newSegment(base)
	s.active = &active{file: newHandle(f, l.o.IO), created: now, firstTime: -1, jitter: l.jitter()}
	s.active.tail.add(base, 0)
	return s, nil
}

// prepareSegment makes what belongs to an empty segment beside its file. The indexes stay empty until the first flush: tools that look at a
// broker's files, as kafka-dump-log, expect them with each segment.
func (l *Log) prepareSegment(f fs.File, base int64, st *Settings) error {
	if st.Preallocate {
		if err := f.Preallocate(st.SegmentBytes); err != nil {
			return err
		}
	}
	for _, kind := range []fileKind{indexFile, timeIndexFile} {
		x, err := l.o.FS.OpenFile(name(l.dir, base, suffixes[kind]), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
		if err != nil {
			return err
		}
		x.Close()
	}
	return nil
}

// jitter is by how many ms a new segment rolls earlier.
func (l *Log) jitter() int64 {
	st := l.settings.Load()
	if n := min(st.SegmentJitterMs, st.rollMs()); n > 0 {
		return l.o.Random(n)
	}
	return 0
}

// rollMs is the age at which a segment is full. One that is compacted must not hold back for longer what has to be cleaned by then.
func (st *Settings) rollMs() int64 {
	if st.Compact && st.MaxCompactionLagMs > 0 {
		return min(st.SegmentMs, st.MaxCompactionLagMs)
	}
	return st.SegmentMs
}

// writeIndexes brings the active segment's index files up to what is in the heap, without a sync. Readers and the log's writer may
// go on meanwhile.
func (l *Log) writeIndexes(s *segment) error {
	w, ix := &s.active.files, &s.active.ix
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := ix.offsets.len(); n > w.offsets || !w.exist {
		if err := l.writeIndex(s, indexFile, encodeOffsets(&ix.offsets, w.offsets, n), w.offsets*offsetEntrySize, w.exist); err != nil {
			return err
		}
		w.offsets = n
	}
	if n := ix.times.len(); n > w.times || !w.exist {
		if err := l.writeIndex(s, timeIndexFile, encodeTimes(&ix.times, w.times, n), w.times*timeEntrySize, w.exist); err != nil {
			return err
		}
		w.times = n
	}
	w.exist = true
	if n := ix.txns.len(); n > w.txns {
		if err := l.writeIndex(s, txnIndexFile, encodeTxns(&ix.txns, w.txns, n), w.txns*txnEntrySize, w.txns > 0); err != nil {
			return err
		}
		w.txns = n
	}
	return nil
}

// writeIndex writes b at byte at of an index file. exact: the file is there and ends just there; otherwise it is made, and cut there.
func (l *Log) writeIndex(s *segment, kind fileKind, b []byte, at int, exact bool) error {
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	flags := os.O_RDWR
	if !exact {
		flags |= os.O_CREATE
	}
	f, err := l.o.FS.OpenFile(name(l.dir, s.base, suffixes[kind]), flags, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if !exact {
		l.newNames.Store(true)
		if err := f.Truncate(int64(at)); err != nil {
			return err
		}
	}
	if len(b) == 0 {
		return nil
	}
	_, err = f.WriteAt(b, int64(at))
	return err
}

// syncIndexes makes a segment's index files durable.
func (l *Log) syncIndexes(s *segment) error {
	for _, kind := range []fileKind{indexFile, timeIndexFile, txnIndexFile} {
		if err := l.syncFile(name(l.dir, s.base, suffixes[kind])); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

func (l *Log) syncFile(path string) error {
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	f, err := l.o.FS.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Datasync()
}

// syncNames makes the names in the log's directory durable, and that of the directory itself, if there are new ones. Whoever finds
// none has waited for a sync of them that is under way: a group sync and a flush both come here, and the records of a new segment
// last only when its name does.
func (l *Log) syncNames() error {
	l.names.Lock()
	defer l.names.Unlock()
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	if l.newNames.Swap(false) {
		if err := l.o.FS.SyncDir(l.dir); err != nil {
			return err
		}
	}
	if l.newDir.Swap(false) {
		return l.o.FS.SyncDir(filepath.Dir(l.dir))
	}
	return nil
}
