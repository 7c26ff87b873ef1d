package commitlog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// AdvanceLogStart moves the log start forward: what DeleteRecords asks for, and what a follower's leader did. Segments below it go
// with the next DeleteOldSegments. It never moves back; beyond the high watermark is OFFSET_OUT_OF_RANGE.
func (l *Log) AdvanceLogStart(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	if hw := l.hw.Load(); offset > hw {
		return fmt.Errorf("%w: %s cannot begin at %d, its high watermark is %d", kerr.OffsetOutOfRange, l.o.Partition, offset, hw)
	}
	if offset > l.logStart.Load() {
		l.logStart.Store(offset)
		l.epochs.cutStart(offset)
	}
	return nil
}

// DeleteOldSegments applies retention as of now: by time and by size if cleanup.policy has delete, and always what lies before the
// log start. Only segments wholly below the high watermark go. It returns how many did; their files are removed after
// file.delete.delay.ms, by Housekeep.
func (l *Log) DeleteOldSegments(now time.Time) (int, error) {
	defer l.report()
	l.flushing.Lock()
	defer l.flushing.Unlock()
	gone, err := l.dropOld(now)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	return len(gone), l.doom(gone, now)
}

// dropOld takes the segments that may go out of the log, and returns them.
func (l *Log) dropOld(now time.Time) ([]*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writableLocked(); err != nil {
		return nil, err
	}
	n := l.expiredLocked(l.settings.Load(), now.UnixMilli())
	if n == 0 {
		return nil, nil
	}
	if n == len(*l.segments.Load()) {
		if err := l.rollLocked(l.logEnd.Load(), now.UnixMilli()); err != nil {
			return nil, err
		}
	}
	segs := *l.segments.Load()
	left := slices.Clone(segs[n:])
	start := max(l.logStart.Load(), left[0].base)
	l.logStart.Store(start)
	l.segments.Store(&left)
	l.epochs.cutStart(start)
	l.o.Logger.Info().Str("log", l.o.Partition.String()).Int("segments", n).Int64("logStart", start).Msg("old segments are deleted")
	if err := l.dropSnapshotsLocked(func(offset int64) bool { return offset < left[0].base }); err != nil {
		// The segments have left the log, and their files must go, or they come back with the next start.
		l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Msg("producer snapshot cannot be removed; the next start will")
	}
	return segs[:n], nil
}

// expiredLocked is how many of the oldest segments may go.
func (l *Log) expiredLocked(st *Settings, now int64) int {
	segs := *l.segments.Load()
	end, hw, start := l.logEnd.Load(), l.hw.Load(), l.logStart.Load()
	// may says whether a segment is wholly committed; an empty active one is never worth the file that takes its place.
	may := func(s *segment) bool {
		if s.active != nil {
			return s.size.Load() > 0 && end <= hw
		}
		return s.next <= hw
	}
	n := 0
	if st.Delete && st.RetentionMs >= 0 {
		for n < len(segs) && may(segs[n]) && now-segs[n].largestTime(now) > st.RetentionMs {
			n++
		}
	}
	if st.Delete && st.RetentionBytes >= 0 {
		over := -st.RetentionBytes
		for _, s := range segs[n:] {
			over += s.size.Load()
		}
		for n < len(segs) && may(segs[n]) && over-segs[n].size.Load() >= 0 {
			over -= segs[n].size.Load()
			n++
		}
	}
	for n < len(segs)-1 && segs[n].next <= start && may(segs[n]) {
		n++
	}
	return n
}

// doom renames the files of segments that left the log, for Housekeep to remove. The log files go first, one after the other, each
// durably: one that came back after a power cut without its successor would leave a hole in the log, and one without its transaction
// index would show aborted records as committed.
func (l *Log) doom(segs []*segment, now time.Time) error {
	d := doomed{due: now.Add(time.Duration(l.settings.Load().FileDeleteDelayMs) * time.Millisecond)}
	for _, s := range segs {
		l.forget(s)
		if err := l.doomFile(&d, name(l.dir, s.base, suffixes[logFile])); err != nil {
			return l.fileError(err)
		}
		l.newNames.Store(true)
		if err := l.syncNames(); err != nil {
			return l.failed(fmt.Errorf("sync of a directory: %w", err))
		}
	}
	for _, s := range segs {
		for _, suffix := range suffixes[indexFile:] {
			if err := l.doomFile(&d, name(l.dir, s.base, suffix)); err != nil {
				return l.fileError(err)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doomed = append(l.doomed, d)
	return nil
}

func (l *Log) doomFile(d *doomed, path string) error {
	err := l.o.FS.Rename(path, path+".deleted")
	if gone(err) {
		return nil
	}
	d.paths = append(d.paths, path+".deleted")
	return err
}

// Housekeep removes files whose file.delete.delay.ms is over, and forgets producers that have been idle for
// producer.id.expiration.ms. To be called now and then. Appends do not wait for the removals.
func (l *Log) Housekeep(now time.Time) {
	for _, path := range l.due(now) {
		if err := l.o.FS.Remove(path); err != nil && !os.IsNotExist(err) {
			l.o.Logger.Warn().Err(err).Str("file", filepath.Base(path)).Msg("deleted segment cannot be removed; the next start will")
		}
	}
}

// due forgets idle producers, and takes out the files that are to be removed.
func (l *Log) due(now time.Time) (paths []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Err() != nil {
		return nil
	}
	if !now.Before(l.nextExpiry) {
		l.producers.Expire(now.UnixMilli(), l.settings.Load().ProducerExpirationMs)
		l.nextExpiry = now.Add(l.o.ExpireEvery)
	}
	l.doomed = slices.DeleteFunc(l.doomed, func(d doomed) bool {
		if now.Before(d.due) {
			return false
		}
		paths = append(paths, d.paths...)
		return true
	})
	return paths
}
