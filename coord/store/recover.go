package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DamageError refuses a start: something that was durable cannot be read any more.
type DamageError struct {
	File   string
	Offset int64 // of the first byte in doubt; -1 if the whole file is
	Reason string
	Way    string // what the operator can do, a sentence
}

func (e *DamageError) Error() string {
	s := e.File
	if e.Offset >= 0 {
		s += fmt.Sprintf(" is damaged at offset %d", e.Offset)
	}
	s += ": " + e.Reason
	if e.Way != "" {
		s += ". " + e.Way
	}
	return s
}

// restartMark in the log directory tells the next start to go on from the checkpoint alone. It is what an operator creates who
// restored a backup of state.db, or gives up what a damaged log holds.
const restartMark = "start-from-checkpoint"

// OpenLog reads the log behind the checkpoint, cuts an unfinished group off its end and makes it ready for Append. It returns a
// *DamageError if entries that were acknowledged cannot be read.
func OpenLog(o LogOptions) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	l := &Log{o: o, base: termRun{o.Index, o.Term}, last: o.Index}
	if err := o.FS.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	firsts, err := l.list()
	if err != nil {
		return nil, err
	}
	if firsts, err = l.dropUnfinished(firsts); err != nil {
		return nil, err
	}
	if len(firsts) == 0 {
		err = l.begin()
	} else {
		err = l.recover(firsts)
	}
	if err != nil {
		return nil, err
	}
	// An operator may have cut the log by hand; terms never go back all the same.
	lastTerm, _ := l.Term(l.last)
	l.hs.Term = max(l.hs.Term, lastTerm)
	l.hs.Commit = min(max(l.hs.Commit, l.base.index), l.last)
	l.recovered.Segments = len(l.sealed) + 1
	l.recovered.Entries = l.last - l.base.index
	l.recovered.Bytes = l.Bytes()
	return l, nil
}

// list returns the first indexes of the segments in the directory. If the operator asked for it, it puts them aside instead.
func (l *Log) list() ([]uint64, error) {
	entries, err := l.o.FS.ReadDir(l.o.Dir)
	if err != nil {
		return nil, err
	}
	restart := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == restartMark })
	var firsts []uint64
	for _, e := range entries {
		first, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		if !restart {
			firsts = append(firsts, first)
			continue
		}
		path := filepath.Join(l.o.Dir, e.Name())
		if err := l.o.FS.Rename(path, path+".discarded"); err != nil {
			return nil, err
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// begin opens the first segment of a log without any.
func (l *Log) begin() error {
	mark := filepath.Join(l.o.Dir, restartMark)
	_, err := l.o.FS.Stat(mark)
	restart := err == nil
	if !l.o.Fresh && !restart {
		since := "the first start"
		if l.o.Index > 0 {
			since = fmt.Sprintf("the checkpoint at entry %d", l.o.Index)
		}
		return &DamageError{
			File: l.o.Dir, Offset: -1,
			Reason: "the log is missing: every write acknowledged since " + since + " would be lost",
			Way: "If the log is on another disk, mount it there. If state.db was restored from a backup, accept the loss of what came after it: touch " +
				quote(mark),
		}
	}
	l.hs.Term = l.o.Term
	if restart { // the discarded segments must not come back beside the new one
		if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
			return err
		}
	}
	if err := l.create(); err != nil {
		return err
	}
	if !restart {
		return nil
	}
	l.o.Logger.Warn().Str("dir", l.o.Dir).Uint64("index", l.o.Index).Msg("log discarded on request, going on from the checkpoint")
	if err := l.o.FS.Remove(mark); err != nil {
		return err
	}
	return l.o.FS.SyncDir(l.o.Dir) // the mark must not come back either: it would discard what is written from now on
}

// recover reads the segments, oldest first.
func (l *Log) recover(firsts []uint64) error {
	start := 0
	for start+1 < len(firsts) && firsts[start+1] <= l.o.Index+1 {
		start++
	}
	if first := firsts[start]; first > l.o.Index+1 {
		return &DamageError{
			File: segmentPath(l.o.Dir, first), Offset: -1,
			Reason: fmt.Sprintf("the log begins with entry %d, but the checkpoint ends at %d: the entries between are missing", first, l.o.Index),
			Way:    "Put the missing segments or a newer state.db back from a copy, or give up every write after the checkpoint: touch " + quote(filepath.Join(l.o.Dir, restartMark)),
		}
	}
	for i := start; i < len(firsts); i++ {
		if err := l.readSegment(firsts, i, i == start); err != nil {
			return err
		}
	}
	if l.last < l.o.Index {
		return &DamageError{
			File: l.active.path, Offset: -1,
			Reason: fmt.Sprintf("the log ends with entry %d, before the checkpoint at %d: what was written after the checkpoint is missing", l.last, l.o.Index),
			Way:    "Put the missing segments back, or give up every write after the checkpoint: touch " + quote(filepath.Join(l.o.Dir, restartMark)),
		}
	}
	if err := l.reopen(); err != nil {
		return err
	}
	for _, first := range firsts[:start] { // left over from a Compact that was interrupted
		if err := l.o.FS.Remove(segmentPath(l.o.Dir, first)); err != nil {
			return err
		}
	}
	return nil
}

// dropUnfinished removes the last segment if its creation was not finished: then it holds nothing, and the entries before it
// are in the segment before it. The only segment of a log with a checkpoint was finished before its predecessors went.
func (l *Log) dropUnfinished(firsts []uint64) ([]uint64, error) {
	n := len(firsts)
	if n == 0 || n == 1 && l.o.Index > 0 {
		return firsts, nil
	}
	unfinished, err := l.unfinished(firsts[n-1])
	if err != nil || !unfinished {
		return firsts, err
	}
	if n == 1 {
		l.o.Fresh = true
	}
	return firsts[:n-1], l.o.FS.Remove(segmentPath(l.o.Dir, firsts[n-1]))
}

// unfinished reports whether the segment was never used: no valid header, and no sign that it ever had one.
func (l *Log) unfinished(first uint64) (bool, error) {
	f, err := l.o.FS.OpenFile(segmentPath(l.o.Dir, first), os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r, err := newReader(f)
	if err != nil {
		return false, err
	}
	if _, ok, err := r.next(); ok || err != nil {
		return false, err
	}
	t, err := r.tail()
	return !t.proof, err
}

// readSegment reads firsts[i] and makes it the active segment; the one before it is sealed.
func (l *Log) readSegment(firsts []uint64, i int, start bool) error {
	path := segmentPath(l.o.Dir, firsts[i])
	f, err := l.o.FS.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := newReader(f)
	if err != nil {
		return err
	}
	damage := func(off int64, format string, args ...any) error {
		way := "Restore the file from a copy, or give up every write from there on: truncate -s " + fmt.Sprint(off) + " " + quote(path)
		for _, later := range firsts[i+1:] {
			way += " && rm " + quote(segmentPath(l.o.Dir, later))
		}
		if off == 0 { // an empty file would be as bad
			way = strings.Replace(way, "truncate -s 0", "rm", 1)
		}
		return &DamageError{File: path, Offset: off, Reason: fmt.Sprintf(format, args...), Way: way}
	}

	rec, ok, err := r.next()
	if err != nil {
		return err
	}
	info, isHeader := parseSegmentInfo(rec.payload)
	switch {
	case !ok || rec.kind != kindSegment || !isHeader:
		return damage(0, "the segment's header is not valid")
	case info.version != formatVersion:
		return fmt.Errorf("%s: %w", path, versionError(uint64(info.version), formatVersion))
	case info.cluster != l.o.Cluster:
		return fmt.Errorf("%s belongs to the cluster %016x, but this data directory to %016x: a directory was mixed up", path, info.cluster, l.o.Cluster)
	case rec.index != firsts[i]:
		return damage(0, "the segment is named for entry %d but begins with %d: the file was renamed", firsts[i], rec.index)
	case !start && (rec.index != l.last+1 || info.prevCRC != l.crc):
		prev, at := l.active.path, l.active.end
		return &DamageError{
			File: prev, Offset: at,
			Reason: fmt.Sprintf("it ends with entry %d, but the next segment, %s, continues with %d: records at its end are missing", l.last, path, rec.index),
			Way:    "Restore the file from a copy, or give up every write from there on: rm " + quote(path),
		}
	}
	if start {
		l.last = rec.index - 1
		l.terms.add(l.last, rec.term)
	} else {
		l.sealed = append(l.sealed, l.active)
	}
	l.hs, l.crc = info.hs, rec.crc
	l.active = segment{path: path, first: rec.index}

	for {
		at := r.off
		if rec, ok, err = r.next(); err != nil {
			return err
		} else if !ok {
			break
		}
		l.crc = rec.crc
		switch rec.kind {
		case kindHardState:
			l.hs = HardState{Term: rec.term, Vote: binary.LittleEndian.Uint64(rec.payload), Commit: rec.index}
		case kindEntry, kindMembership:
			lastTerm, _ := l.terms.at(l.last)
			if rec.index != l.last+1 || rec.term < lastTerm {
				return damage(at, "entry %d of term %d follows entry %d of term %d", rec.index, rec.term, l.last, lastTerm)
			}
			if rec.index == l.o.Index && rec.term != l.o.Term {
				return fmt.Errorf("entry %d in %s has term %d, but the checkpoint took it with term %d: log and state.db do not belong together", rec.index, path, rec.term, l.o.Term)
			}
			l.active.note(rec.index, at)
			l.terms.add(rec.index, rec.term)
			l.last = rec.index
		default:
			return damage(at, "a second header within the segment")
		}
	}
	l.active.end = r.off

	t, err := r.tail()
	switch {
	case err != nil:
		return err
	case t.empty:
		return nil
	case i+1 < len(firsts):
		return damage(r.off, "a record is not valid, and the segment after it shows that it was complete once")
	case t.proof:
		return damage(r.off, "a record is not valid, and the one at offset %d shows that it was durable once", t.proofA)
	}
	l.recovered.TornFile, l.recovered.TornAt = path, r.off
	l.o.Logger.Warn().Str("file", path).Int64("offset", r.off).Uint64("lastEntry", l.last).
		Msg("an unfinished group at the end of the log was cut off; it was never acknowledged")
	return nil
}

// reopen makes the last segment ready for writing. What was read from it may so far be only in the page cache of a process that
// died: it becomes durable here, before anybody sees it.
func (l *Log) reopen() error {
	f, err := l.o.FS.OpenFile(l.active.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if l.recovered.TornFile != "" {
		// Otherwise a shorter record written over the torn ones could make a whole one behind it valid again.
		err = f.Truncate(l.active.end)
	}
	if err == nil {
		err = f.Preallocate(l.o.SegmentBytes)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.synced = f, l.active.end
	return nil
}

// quote makes a path safe to paste into a shell.
func quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
