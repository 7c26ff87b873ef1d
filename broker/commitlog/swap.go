package commitlog

import (
	"fmt"
	"os"
	"time"
)

// A swap of segments, each step durable before the next:
//
//  1. NNN.*.cleaned   the new segment, synced with its names
//  2. NNN.*.swap      renamed: from here on a start completes the swap (finishSwaps)
//  3. *.deleted       the old segments, renamed
//  4. NNN.*           the new one, renamed, and in the log's list
//
// A power cut before 2 is complete leaves a file that ends in .cleaned: the start removes the new segment. After 2 the start removes
// whatever segments there are in the range of the new one, and puts that there.
const (
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"
	deletedSuffix = ".deleted"
)

func millis(ms int64) time.Time { return time.UnixMilli(ms) }

// createFile makes an empty file that is written and read.
func (l *Log) createFile(path string) (*handle, error) {
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	f, err := l.o.FS.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	return newHandle(f, l.o.IO), nil
}

// writeCleanedIndexes writes and syncs the indexes of a segment under construction.
func (l *Log) writeCleanedIndexes(s *segment) error {
	ix := &s.active.ix
	for _, f := range []struct {
		kind fileKind
		b    []byte
	}{
		{indexFile, encodeOffsets(&ix.offsets, 0, ix.offsets.len())},
		{timeIndexFile, encodeTimes(&ix.times, 0, ix.times.len())},
		{txnIndexFile, encodeTxns(&ix.txns, 0, ix.txns.len())},
	} {
		if f.kind == txnIndexFile && len(f.b) == 0 {
			continue
		}
		h, err := l.createFile(name(l.dir, s.base, suffixes[f.kind]+cleanedSuffix))
		if err != nil {
			return err
		}
		if len(f.b) > 0 {
			_, err = h.file.WriteAt(f.b, 0)
		}
		if err == nil {
			if err = h.file.Sync(); err != nil {
				err = l.failed(fmt.Errorf("sync of an index: %w", err))
			}
		}
		h.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// removeKinds removes a segment's files that end in suffix.
func (l *Log) removeKinds(base int64, suffix string) error {
	var err error
	for _, kind := range suffixes {
		if rerr := l.o.FS.Remove(name(l.dir, base, kind+suffix)); rerr != nil && !gone(rerr) {
			err = rerr
		}
	}
	return err
}

// discard removes the files of a segment under construction. Those that stay are removed before there is another one (removeUnfinished):
// beside a later swap, a start would take them for a sign that it was not to be completed, and one of their indexes could become
// part of another segment. Needs cleaning.
func (l *Log) discard(base int64) {
	if err := l.removeKinds(base, cleanedSuffix); err != nil {
		l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Int64("segment", base).Msg("cleaned segment that is not needed cannot be removed; it is tried again")
		l.unfinished = append(l.unfinished, base)
	}
}

// removeUnfinished removes what discard left. Needs cleaning.
func (l *Log) removeUnfinished() error {
	for len(l.unfinished) > 0 {
		if err := l.removeKinds(l.unfinished[0], cleanedSuffix); err != nil {
			return l.fileError(fmt.Errorf("cleaned segment that is not needed: %w", err))
		}
		l.unfinished = l.unfinished[1:]
	}
	return nil
}

// renameKinds renames a segment's files, those that there are. undo renames back what was renamed.
func (l *Log) renameKinds(base int64, from, to string) (undo func() error, paths []string, err error) {
	var done []string
	undo = func() error {
		for _, kind := range done {
			if err := l.o.FS.Rename(name(l.dir, base, kind+to), name(l.dir, base, kind+from)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, kind := range suffixes {
		err := l.o.FS.Rename(name(l.dir, base, kind+from), name(l.dir, base, kind+to))
		if gone(err) {
			continue
		}
		if err != nil {
			return undo, paths, err
		}
		done = append(done, kind)
		paths = append(paths, name(l.dir, base, kind+to))
	}
	return undo, paths, nil
}

// swap puts s, whose files are durable and end in .cleaned, in the place of old. Needs flushing. When something fails before the point
// of no return the log is as it was; behind it the log stops, and the next start completes the swap.
func (l *Log) swap(s *segment, old []*segment) error {
	// The names, too, before one of them changes: an index on its way, without its log file, would pass for one of the old segment.
	if err := l.o.FS.SyncDir(l.dir); err != nil {
		return l.failed(fmt.Errorf("sync of a directory: %w", err))
	}
	undo, _, err := l.renameKinds(s.base, cleanedSuffix, swapSuffix)
	if err == nil {
		err = l.o.FS.SyncDir(l.dir)
		if err != nil {
			return l.failed(fmt.Errorf("sync of a directory: %w", err))
		}
	} else if uerr := undo(); uerr != nil {
		return l.failed(fmt.Errorf("swap of segments: %w, %w", err, uerr))
	}
	if err != nil {
		l.discard(s.base)
		return l.fileError(fmt.Errorf("swap of segments: %w", err))
	}
	// Whoever opens one of the files by its name waits from here on.
	l.renames.Lock()
	defer l.renames.Unlock()
	d, err := l.moveAside(old)
	if err != nil {
		return err
	}
	if _, _, err := l.renameKinds(s.base, swapSuffix, ""); err != nil {
		return l.failed(fmt.Errorf("swap of segments: %w", err))
	}
	if err := l.o.FS.SyncDir(l.dir); err != nil {
		return l.failed(fmt.Errorf("sync of a directory: %w", err))
	}
	l.replaceInList(s, old, d)
	return nil
}

// moveAside renames the files of segments that are replaced, durably.
func (l *Log) moveAside(old []*segment) (doomed, error) {
	d := doomed{due: l.o.Now().Add(time.Duration(l.settings.Load().FileDeleteDelayMs) * time.Millisecond)}
	var undos []func() error
	for _, o := range old {
		undo, paths, err := l.renameKinds(o.base, "", deletedSuffix)
		undos = append(undos, undo)
		d.paths = append(d.paths, paths...)
		if err == nil {
			continue
		}
		for _, undo := range undos {
			if uerr := undo(); uerr != nil {
				return d, l.failed(fmt.Errorf("swap of segments: %w, %w", err, uerr))
			}
		}
		// A later start must not complete what was given up here, with segments that are others by then.
		rerr := l.removeKinds(old[0].base, swapSuffix)
		if rerr == nil {
			rerr = l.o.FS.SyncDir(l.dir)
		}
		if rerr != nil {
			return d, l.failed(fmt.Errorf("swap of segments: %w, %w", err, rerr))
		}
		return d, l.fileError(fmt.Errorf("swap of segments: %w", err))
	}
	if err := l.o.FS.SyncDir(l.dir); err != nil {
		return d, l.failed(fmt.Errorf("sync of a directory: %w", err))
	}
	return d, nil
}

// replaceInList shows s to readers. Needs renames.
func (l *Log) replaceInList(s *segment, old []*segment, d doomed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := make(map[*segment]bool, len(old))
	bases := map[int64]bool{}
	for i, o := range old {
		gone[o] = true
		bases[o.base] = i > 0
	}
	var list []*segment
	for _, o := range *l.segments.Load() {
		switch {
		case !gone[o]:
			list = append(list, o)
		case o == old[0]:
			list = append(list, s)
		}
	}
	l.segments.Store(&list)
	for _, o := range old {
		o.replaced.Store(true)
		l.forget(o)
	}
	l.doomed = append(l.doomed, d)
	if err := l.dropSnapshotsLocked(func(offset int64) bool { return bases[offset] && offset != l.looseSnapshot }); err != nil {
		l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Msg("producer snapshot cannot be removed; the next start will")
	}
}
