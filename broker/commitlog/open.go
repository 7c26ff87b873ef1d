package commitlog

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"ottla/internal/fs"
)

// Open loads the log in o.Dir, or makes an empty one. Without CleanShutdown everything from the recovery point on is checked and
// what is no whole batch is cut off, with all segments behind it. After Open all of the log is durable: SyncedEnd() == LogEnd().
func Open(o Options) (*Log, error) {
	o.defaults()
	l := &Log{o: o, dir: o.Dir, looseSnapshot: -1}
	l.settings.Store(&o.Settings)
	l.firstUnstable.Store(-1)
	l.cleanedTo.Store(-1)
	err := l.load()
	if err != nil {
		if segs := l.segments.Load(); segs != nil {
			for _, s := range *segs {
				if s.active != nil {
					s.active.file.release()
				}
				l.forget(s)
			}
		}
		return nil, fmt.Errorf("open log %s: %w", l.dir, err)
	}
	return l, nil
}

func (l *Log) load() error {
	l.segments.Store(&[]*segment{})
	files, err := l.list()
	if err != nil {
		return err
	}
	l.loadMetadata(files)
	l.loadEpochs()
	if files, err = l.finishSwaps(files); err != nil {
		return err
	}
	bases, err := l.tidy(files)
	if err != nil {
		return err
	}
	l.logStart.Store(max(l.o.LogStartOffset, 0))
	if len(bases) > 0 {
		l.logStart.Store(max(l.o.LogStartOffset, bases[0]))
	}
	end, removed, err := l.loadSegments(bases)
	if err != nil {
		return err
	}
	if end < l.logStart.Load() {
		// Nothing of what is here may be read any more.
		if end, err = l.restart(l.logStart.Load()); err != nil {
			return err
		}
		removed = true
	}
	l.logEnd.Store(end)
	if l.o.Cleaned {
		// Beyond the end it speaks of records that are gone: those that get their offsets will not have been cleaned.
		if l.cleanedTo.Store(l.o.CleanedTo); l.o.CleanedTo > end {
			l.o.Logger.Warn().Str("log", l.o.Partition.String()).Int64("cleanedTo", l.o.CleanedTo).Int64("end", end).
				Msg("the cleaner's checkpoint is beyond the log's end; the whole log is cleaned again")
			l.cleanedTo.Store(l.logStart.Load())
		}
	}
	if l.reload {
		if err := l.reloadProducersLocked(end); err != nil {
			return err
		}
		l.reload = false
	}
	l.hw.Store(l.logStart.Load())
	l.epochs.cutEnd(end)
	l.epochs.cutStart(l.logStart.Load())
	if err := l.keepSnapshots(end); err != nil {
		return err
	}
	l.firstUnstable.Store(l.producers.FirstUnstable())
	l.recoveryPoint.Store(end)
	l.sync.init(end)
	l.settledEnd = -1
	if l.o.CleanShutdown && !removed && l.activeSegment().complete() && l.lastSnapshotLocked() == end {
		l.settledEnd = end
	}
	if !l.o.CleanShutdown && l.o.RecoveryPoint < end {
		// What survived the process may not survive the machine: it is shown and acknowledged only once it does.
		from := max(0, l.o.RecoveryPoint)
		l.recoveryPoint.Store(from)
		l.sync.init(from)
		l.newNames.Store(true)
		l.newDir.Store(true)
		err := l.flushLocked()
		if Passes(err) && l.Err() == nil {
			// The disk is too full for indexes. What is there can be read without, and the recovery point waits.
			return l.Sync(end)
		}
		return err
	}
	if removed {
		l.newNames.Store(true)
		return l.syncNames()
	}
	return nil
}

// list reads the directory, making it if it is missing.
func (l *Log) list() ([]string, error) {
	entries, err := l.o.FS.ReadDir(l.dir)
	if gone(err) {
		l.newDir.Store(true)
		l.newNames.Store(true)
		return nil, l.o.FS.MkdirAll(l.dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	files := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			files = append(files, e.Name())
		}
	}
	return files, nil
}

func (l *Log) remove(file string) error { return l.o.FS.Remove(filepath.Join(l.dir, file)) }

// finishSwaps removes what a deletion or the cleaner of some broker left unfinished, and completes a swap that had all its files:
// they take the place of every segment in their range. It returns the files that are there then.
func (l *Log) finishSwaps(files []string) ([]string, error) {
	var swaps []string
	cleaned := int64(math.MaxInt64)
	changed := false
	for _, f := range files {
		base, suffix, ok := parseName(f)
		switch {
		case filepath.Ext(f) == ".deleted":
			changed = true
			if err := l.remove(f); err != nil {
				return nil, err
			}
		case ok && filepath.Ext(suffix) == ".cleaned":
			changed = true
			cleaned = min(cleaned, base)
			if err := l.remove(f); err != nil {
				return nil, err
			}
		case ok && filepath.Ext(suffix) == ".swap":
			swaps = append(swaps, f)
		}
	}
	from, to := int64(math.MaxInt64), int64(-1)
	var whole []string
	for _, f := range swaps {
		base, suffix, _ := parseName(f)
		changed = true
		// A segment was being split: with files still unfinished, those from there on are not to be used.
		if base >= cleaned {
			if err := l.remove(f); err != nil {
				return nil, err
			}
			continue
		}
		whole = append(whole, f)
		if suffix == ".log.swap" {
			end, err := l.swapEnd(f, base)
			if err != nil {
				return nil, err
			}
			from, to = min(from, base), max(to, end)
		}
	}
	for _, f := range files {
		base, suffix, ok := parseName(f)
		if ext := filepath.Ext(suffix); ok && base >= from && base < to && ext != ".swap" && ext != ".cleaned" && ext != ".deleted" {
			if err := l.remove(f); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range whole {
		if err := l.o.FS.Rename(filepath.Join(l.dir, f), filepath.Join(l.dir, f[:len(f)-len(".swap")])); err != nil {
			return nil, err
		}
	}
	if !changed {
		return files, nil
	}
	if err := l.o.FS.SyncDir(l.dir); err != nil {
		return nil, err
	}
	return l.list()
}

// swapEnd is the offset behind the last batch of a segment that waits to be swapped in.
func (l *Log) swapEnd(file string, base int64) (int64, error) {
	f, err := l.o.FS.OpenFile(filepath.Join(l.dir, file), os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	sc := lookupScanner(f, st.Size())
	defer sc.done()
	end := base
	for pos := int64(0); ; {
		e, err := sc.entry(pos)
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		end = e.NextOffset()
		pos += int64(e.Size)
	}
}

// tidy removes indexes whose segment is gone, and finds segments and snapshots.
func (l *Log) tidy(files []string) (bases []int64, err error) {
	for _, f := range files {
		base, suffix, ok := parseName(f)
		switch {
		case !ok:
		case suffix == ".log":
			bases = append(bases, base)
		case suffix == snapshotSuffix:
			l.addSnapshotLocked(base)
		}
	}
	slices.Sort(bases)
	for _, f := range files {
		base, suffix, ok := parseName(f)
		if !ok || !slices.Contains(suffixes[indexFile:], suffix) {
			continue
		}
		if _, found := slices.BinarySearch(bases, base); !found {
			l.o.Logger.Warn().Str("file", filepath.Join(l.dir, f)).Msg("index without a log file is removed")
			if err := l.remove(f); err != nil {
				return nil, err
			}
		}
	}
	return bases, nil
}

// keepSnapshots removes the snapshots that the log does not reach, and those between segment starts but the newest.
func (l *Log) keepSnapshots(end int64) error {
	starts := map[int64]bool{}
	last := int64(-1)
	for _, s := range *l.segments.Load() {
		starts[s.base] = true
		last = s.base
	}
	for _, offset := range l.snapshots {
		if offset <= end && offset > last && !starts[offset] {
			l.looseSnapshot = offset
		}
	}
	before := len(l.snapshots)
	err := l.dropSnapshotsLocked(func(offset int64) bool {
		return offset > end || !starts[offset] && offset != l.looseSnapshot
	})
	if len(l.snapshots) < before {
		// One that came back after a power cut would tell of records that are not those of the log by then.
		l.newNames.Store(true)
		if err == nil {
			err = l.syncNames()
		}
	}
	return err
}

// loadEpochs reads leader-epoch-checkpoint. A bad file is no reason to refuse: the epochs of batches that are scanned are found anew.
func (l *Log) loadEpochs() {
	b, err := fs.ReadFile(l.o.FS, filepath.Join(l.dir, epochFile), 1<<20)
	if gone(err) {
		return
	}
	var list []epochStart
	if err == nil {
		list, err = decodeEpochs(b)
	}
	if err != nil {
		l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Msg("leader epochs cannot be read and are dropped")
		return
	}
	l.epochs.store(list)
	l.savedEpochs = list
}
