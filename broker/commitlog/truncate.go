package commitlog

import (
	"fmt"
	"slices"
	"sort"

	"ottla/broker/record"
)

// Truncate removes all records from offset on: what a follower does with records that its leader does not have. A batch that offset
// lies in goes as a whole, and the next record gets offset. Reads planned before become invalid (Slice.Valid). The recovery point
// falls with the end, and must be checkpointed before anything is appended.
func (l *Log) Truncate(offset int64) error {
	if offset >= l.logEnd.Load() {
		return l.Err()
	}
	return l.truncate(func() error {
		if offset <= (*l.segments.Load())[0].base {
			_, err := l.restartLocked(offset)
			return err
		}
		return l.truncateLocked(offset)
	})
}

// TruncateFully empties the log and lets it begin at offset.
func (l *Log) TruncateFully(offset int64) error {
	return l.truncate(func() error { _, err := l.restartLocked(offset); return err })
}

// truncate runs fn with all locks held, between two states of the log.
func (l *Log) truncate(fn func() error) error {
	defer l.report()
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writableLocked(); err != nil {
		return err
	}
	// Odd while it lasts: whoever planned a read before is no longer valid, and whoever plans one waits.
	l.generation.Add(1)
	defer l.generation.Add(1)
	l.unstable.Lock()
	defer l.unstable.Unlock()
	if err := fn(); err != nil {
		return l.failed(fmt.Errorf("truncate: %w", err))
	}
	end := l.logEnd.Load()
	l.epochs.cutEnd(end)
	l.epochs.cutStart(l.logStart.Load())
	if err := l.saveEpochs(end); err != nil {
		return err
	}
	l.newNames.Store(true)
	if err := l.syncNames(); err != nil {
		return l.failed(fmt.Errorf("truncate: %w", err))
	}
	l.recoveryPoint.Store(min(l.recoveryPoint.Load(), end))
	l.cleanedTo.Store(min(l.cleanedTo.Load(), end))
	l.sync.cut(end)
	if l.hw.Load() > end {
		l.hw.Store(end)
	}
	return nil
}

// restartLocked drops everything and begins an empty segment at offset.
func (l *Log) restartLocked(offset int64) (int64, error) {
	// Readers must not find an end without the segment that holds it.
	l.logStart.Store(offset)
	l.logEnd.Store(offset)
	old := *l.segments.Load()
	s, err := l.createSegmentBeside(old, offset)
	if err != nil {
		return 0, err
	}
	l.segments.Store(&[]*segment{s})
	for _, o := range old {
		if o.active != nil {
			o.active.file.release()
		}
		l.forget(o)
	}
	if err := l.dropSnapshotsLocked(func(int64) bool { return true }); err != nil {
		return 0, err
	}
	l.producers.Load(nil, 0, never)
	l.firstUnstable.Store(-1)
	return offset, nil
}

// createSegmentBeside removes the files of old and makes those of a segment at offset.
func (l *Log) createSegmentBeside(old []*segment, offset int64) (*segment, error) {
	bases := make([]int64, len(old))
	for i, o := range old {
		bases[i] = o.base
	}
	if err := l.removeSegments(bases); err != nil {
		return nil, err
	}
	return l.createSegment(offset, l.now())
}

// truncateLocked cuts within or behind the first segment, which begins below offset.
func (l *Log) truncateLocked(offset int64) error {
	segs := *l.segments.Load()
	i := sort.Search(len(segs), func(i int) bool { return segs[i].base >= offset }) - 1
	old := segs[i]
	h, err := l.openFile(old.base, logFile)
	if err != nil {
		return err
	}
	s := newSegment(old.base)
	s.size.Store(old.size.Load())
	s.active = &active{file: h, created: l.now(), firstTime: -1, jitter: l.jitter()}
	size, err := l.cutPosition(s, offset)
	if err != nil {
		h.release()
		return err
	}
	s.size.Store(size)
	l.logEnd.Store(offset)
	if err := l.cutSegment(s, old, offset); err != nil {
		h.release()
		return err
	}
	left := append(slices.Clone(segs[:i]), s)
	l.segments.Store(&left)
	bases := make([]int64, 0, len(segs)-i)
	for _, o := range segs[i:] {
		if o.active != nil {
			o.active.file.release()
		}
		l.forget(o)
		if o.base != s.base {
			bases = append(bases, o.base)
		}
	}
	if err := l.removeSegments(bases); err != nil {
		return err
	}
	if err := l.dropSnapshotsLocked(func(at int64) bool { return at > offset }); err != nil {
		return err
	}
	if l.looseSnapshot > offset {
		l.looseSnapshot = -1
	}
	if err := l.reloadProducersLocked(offset); err != nil {
		return err
	}
	l.producers.Decide(l.hw.Load())
	l.firstUnstable.Store(l.producers.FirstUnstable())
	return nil
}

// cutPosition is where the first batch of s begins that reaches offset.
func (l *Log) cutPosition(s *segment, offset int64) (int64, error) {
	sc := lookupScanner(s.active.file, s.size.Load())
	defer sc.done()
	at, _, _, err := sc.find(0, offset)
	return at, err
}

// cutSegment cuts the file of s to its size and builds its indexes from what is left, durably: old entries that came back after a
// power cut would lead to records that are others by then.
func (l *Log) cutSegment(s, old *segment, offset int64) error {
	if err := s.active.file.file.Truncate(s.size.Load()); err != nil {
		return err
	}
	txns, err := l.aborted(old)
	if err != nil {
		return err
	}
	for _, t := range txns {
		if t.LastOffset < offset {
			s.active.ix.txns.add(t)
		}
	}
	if len(txns) > s.active.ix.txns.len() && s.active.ix.txns.len() == 0 {
		if err := l.o.FS.Remove(name(l.dir, s.base, suffixes[txnIndexFile])); err != nil && !gone(err) {
			return err
		}
	}
	interval := l.settings.Load().IndexIntervalBytes
	size, err := l.entries(s, 0, func(pos int64, e record.EntryInfo, _ *scanner) error {
		s.note(pos, e.LastOffset, e.MaxTimestamp, interval)
		return nil
	})
	if err != nil {
		return err
	}
	s.active.tail.add(offset, size)
	if err := l.writeIndexes(s); err != nil {
		return err
	}
	if err := s.active.file.file.Datasync(); err != nil {
		return err
	}
	return l.syncIndexes(s)
}

// reloadProducersLocked builds the producers' state anew as of end, from the newest snapshot that is not beyond it.
func (l *Log) reloadProducersLocked(end int64) error {
	from := l.loadProducersLocked(end)
	for _, s := range *l.segments.Load() {
		if s.next > from {
			if err := l.replaySealed(&l.producers, s, from); err != nil {
				return err
			}
		}
	}
	return nil
}
