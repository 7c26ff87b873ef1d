package commitlog

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/producer"
	"ottla/internal/fs"
)

// Flush makes all that is in the log now durable, with its indexes, and then moves the recovery point there: what comes before the
// recovery point is never scanned again. An idle log costs two loads.
func (l *Log) Flush() error {
	defer l.report()
	if l.recoveryPoint.Load() == l.logEnd.Load() {
		return l.Err()
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	return l.flushLocked()
}

// flushLocked needs flushing.
func (l *Log) flushLocked() error {
	if err := l.Err(); err != nil {
		return err
	}
	from, generation := l.recoveryPoint.Load(), l.generation.Load()
	active, end, snapshot := l.flushPoint()
	if from == end {
		return nil
	}
	if err := l.writeIndexes(active); err != nil {
		return l.fileError(fmt.Errorf("index: %w", err))
	}
	if err := l.Sync(end); err != nil {
		return err
	}
	// A scan after a crash checks the indexes of the segment that it begins in; those before it are believed.
	for _, s := range *l.segments.Load() {
		if s.active == nil && s.next > from && s.base < end {
			if err := l.syncIndexes(s); err != nil {
				return l.failed(fmt.Errorf("sync of an index: %w", err))
			}
		}
	}
	if snapshot != nil {
		if err := l.saveSnapshot(active, end, snapshot); err != nil {
			return err
		}
	}
	if err := l.saveEpochs(end); err != nil {
		return err
	}
	if err := l.syncNames(); err != nil {
		return l.failed(fmt.Errorf("sync of a directory: %w", err))
	}
	if l.generation.Load() == generation {
		l.recoveryPoint.Store(end)
	}
	return nil
}

// flushPoint is where a flush that begins now will get to, with the state of the producers there if it is time for a snapshot.
func (l *Log) flushPoint() (active *segment, end int64, snapshot []producer.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	active, end = l.activeSegment(), l.logEnd.Load()
	if active.size.Load()-active.active.snapshotAt >= l.o.SnapshotEveryBytes {
		active.active.snapshotAt = active.size.Load()
		snapshot = l.producers.Entries()
	}
	return active, end, snapshot
}

// saveSnapshot writes a snapshot that is not at a segment's begin, in place of the last one of that kind.
func (l *Log) saveSnapshot(active *segment, end int64, entries []producer.Entry) error {
	// Entries of the transaction index that the snapshot covers are not found again after a crash.
	if err := l.syncFile(name(l.dir, active.base, suffixes[txnIndexFile])); err != nil && !gone(err) {
		return l.failed(fmt.Errorf("sync of an index: %w", err))
	}
	if err := l.writeSnapshot(end, entries, true); err != nil {
		return l.fileError(fmt.Errorf("snapshot: %w", err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.dropSnapshotsLocked(func(offset int64) bool { return offset == l.looseSnapshot })
	l.addSnapshotLocked(end)
	l.looseSnapshot = end
	if err != nil {
		return l.fileError(fmt.Errorf("snapshot: %w", err))
	}
	return nil
}

// saveEpochs writes leader-epoch-checkpoint unless it has all epochs that begin before end. Others would be lost by a crash, and
// found again in the batches behind the recovery point. Needs flushing.
func (l *Log) saveEpochs(end int64) error {
	list := l.epochs.load()
	n := sort.Search(len(list), func(i int) bool { return list[i].start >= end })
	if slices.Equal(list[:n], l.savedEpochs) || slices.Equal(list, l.savedEpochs) {
		return nil
	}
	if err := l.writeAtomic(epochFile, encodeEpochs(list)); err != nil {
		return l.fileError(fmt.Errorf("%s: %w", epochFile, err))
	}
	l.savedEpochs = list
	return nil
}

// writeAtomic replaces a small file of the log, durably.
func (l *Log) writeAtomic(file string, b []byte) error {
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	return fs.WriteFileAtomic(l.o.FS, l.dir, filepath.Join(l.dir, file), b)
}

const epochFile = "leader-epoch-checkpoint"

// Close stops serving: what is called afterwards fails with NOT_LEADER_OR_FOLLOWER, reads under way finish. With clean, everything
// that a clean shutdown leaves behind is written and durable on return: records, complete indexes, a snapshot of the producers, the
// epochs.
func (l *Log) Close(clean bool) error {
	defer l.report()
	l.leaving.Store(true)
	l.cleaning.Lock()
	defer l.cleaning.Unlock()
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	if clean {
		err = l.closeClean()
	}
	l.mu.Lock()
	l.halt(&stopped{err: fmt.Errorf("%w: %s: %w", kerr.NotLeaderForPartition, l.o.Partition, ErrClosed)})
	segs := *l.segments.Load()
	l.mu.Unlock()
	l.sync.idle()
	for _, s := range segs {
		if s.active != nil {
			s.active.file.release()
		}
		l.forget(s)
	}
	return err
}

// closeClean writes what Close with clean leaves behind.
func (l *Log) closeClean() error {
	l.mu.Lock()
	l.closing = true // no append may come between the flush and the end
	l.mu.Unlock()
	if err := l.flushLocked(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	s := l.activeSegment()
	if l.settledEnd == l.logEnd.Load() && l.generation.Load() == 0 {
		return nil // nothing came since it was opened
	}
	s.endTimeIndex()
	if err := l.writeIndexes(s); err != nil {
		return l.fileError(err)
	}
	if s.size.Load() == 0 && l.lastSnapshotLocked() == l.logEnd.Load() {
		return nil // empty files say nothing that must last
	}
	if l.settings.Load().Preallocate {
		if err := s.active.file.file.Truncate(s.size.Load()); err != nil {
			return l.fileError(err)
		}
	}
	if end := l.logEnd.Load(); end > l.lastSnapshotLocked() {
		if err := l.writeSnapshot(end, l.producers.Entries(), true); err != nil {
			return l.fileError(err)
		}
		l.addSnapshotLocked(end)
	}
	// An epoch without records is not kept: whoever opens the log drops it.
	if err := l.saveEpochs(l.logEnd.Load()); err != nil {
		return err
	}
	if err := l.syncIndexes(s); err != nil {
		return l.failed(err)
	}
	if err := l.syncNames(); err != nil {
		return l.failed(err)
	}
	return nil
}

// forget drops what the cache holds of a segment.
func (l *Log) forget(s *segment) {
	l.o.Cache.forget(s.id, (s.offsetEntries+pageEntries-1)/pageEntries)
}
