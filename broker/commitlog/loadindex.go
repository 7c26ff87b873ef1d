package commitlog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"

	"ottla/broker/producer"
	"ottla/broker/record"
	"ottla/internal/fs"
)

// loadSealed opens a segment that was synced with its indexes. Only when an index is missing or makes no sense is the log file read.
func (l *Log) loadSealed(base, next int64) (*segment, error) {
	st, err := l.o.FS.Stat(name(l.dir, base, ".log"))
	if err != nil {
		return nil, err
	}
	s := newSegment(base)
	s.next, s.modified = next, st.ModTime().UnixMilli()
	s.size.Store(st.Size())
	if err = l.loadIndexEnds(s); err == nil {
		return s, nil
	}
	if !errors.Is(err, errIndex) && !gone(err) {
		return nil, err
	}
	l.o.Logger.Warn().Err(err).Str("log", l.o.Partition.String()).Int64("segment", base).Msg("index is built anew")
	return l.rebuild(base, next)
}

// errIndex says that an index makes no sense.
var errIndex = errors.New("index is damaged")

// loadIndexEnds reads what must be known of a sealed segment's indexes, and checks their ends.
func (l *Log) loadIndexEnds(s *segment) error {
	size := s.size.Load()
	limit := min(s.next-s.base, math.MaxInt32)
	b, n, err := l.lastEntry(s.base, indexFile, offsetEntrySize)
	if err != nil {
		return err
	}
	if s.offsetEntries = n; n > 0 {
		if e := decodeOffset(b); e.rel < 0 || int64(e.rel) >= limit || e.pos < 0 || int64(e.pos) >= size || n > 1 && (e.rel == 0 || e.pos == 0) {
			return fmt.Errorf("%w: last entry %d at byte %d of %d", errIndex, e.rel, e.pos, size)
		}
	}
	if b, n, err = l.lastEntry(s.base, timeIndexFile, timeEntrySize); err != nil {
		return err
	}
	if s.timeEntries = n; n > 0 {
		e := decodeTime(b)
		if e.ts < 0 || e.rel < 0 || int64(e.rel) >= limit || n > 1 && e.ts == 0 {
			return fmt.Errorf("%w: last time %d at offset %d", errIndex, e.ts, e.rel)
		}
		s.maxTime.Store(e.ts)
	}
	switch st, err := l.o.FS.Stat(name(l.dir, s.base, suffixes[txnIndexFile])); {
	case err == nil && st.Size()%txnEntrySize != 0:
		return fmt.Errorf("%w: transaction index of %d bytes", errIndex, st.Size())
	case err == nil:
		s.txns = st.Size() > 0
	case !gone(err):
		return err
	}
	return nil
}

// lastEntry reads the last entry of an index file and says how many there are.
func (l *Log) lastEntry(base int64, kind fileKind, entrySize int64) ([]byte, int, error) {
	f, err := l.o.FS.OpenFile(name(l.dir, base, suffixes[kind]), os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	n := st.Size() / entrySize
	if n*entrySize != st.Size() || n > math.MaxInt32 {
		return nil, 0, fmt.Errorf("%w: %s of %d bytes", errIndex, filepath.Base(f.Name()), st.Size())
	}
	b := make([]byte, entrySize)
	if n > 0 {
		if got, err := f.ReadAt(b, (n-1)*entrySize); got < len(b) {
			return nil, 0, err
		}
	}
	return b, int(n), nil
}

// rebuild reads a sealed segment through and writes its indexes anew. It never cuts a segment that was synced: what cannot be read
// is reported, and stays an error for who reads it.
func (l *Log) rebuild(base, next int64) (*segment, error) {
	s, err := l.openActive(base, l.now())
	if err != nil {
		return nil, err
	}
	defer s.active.file.release()
	st, err := s.active.file.file.Stat()
	if err != nil {
		return nil, err
	}
	txns, err := l.rebuildTxns(s)
	if err != nil {
		return nil, err
	}
	for _, t := range txns {
		s.active.ix.txns.add(t)
	}
	_, _, cut, err := l.walkSegment(s, 0, walk{check: never, replay: never})
	if err != nil {
		return nil, err
	}
	if cut != nil {
		l.o.Logger.Error().Err(cut).Str("log", l.o.Partition.String()).Int64("segment", base).Msg("segment is damaged")
	}
	s.endTimeIndex()
	if err := l.writeIndexes(s); err != nil {
		return nil, err
	}
	if err := l.syncIndexes(s); err != nil {
		return nil, err
	}
	l.newNames.Store(true)
	return s.sealed(next, st.ModTime().UnixMilli()), nil
}

// rebuildTxns finds the aborted transactions of a segment: from its index if that is whole, else by replay.
func (l *Log) rebuildTxns(s *segment) ([]AbortedTxn, error) {
	b, err := fs.ReadFile(l.o.FS, name(l.dir, s.base, suffixes[txnIndexFile]), math.MaxInt32)
	if gone(err) {
		return l.lostTxns(s)
	}
	if err != nil {
		return nil, err
	}
	return l.wholeTxns(s, b)
}

// wholeTxns decodes a transaction index, b. If it is damaged the segment is replayed.
func (l *Log) wholeTxns(s *segment, b []byte) ([]AbortedTxn, error) {
	good := goodTxns(b)
	if len(good)*txnEntrySize == len(b) {
		return good, nil
	}
	l.o.Logger.Warn().Str("log", l.o.Partition.String()).Int64("segment", s.base).Msg("transaction index is damaged and is built anew")
	return l.replayTxns(s)
}

// lostTxns finds the aborted transactions of a segment without a transaction index that has lost its other indexes, too: most often
// there never was one, which the headers tell.
func (l *Log) lostTxns(s *segment) ([]AbortedTxn, error) {
	aborts := false
	_, err := l.entries(s, 0, func(pos int64, e record.EntryInfo, sc *scanner) error {
		if aborts || e.Magic < 2 || !e.Header.IsControl() {
			return nil
		}
		b, err := sc.bytes(pos, e, markerBytesMax)
		if err != nil {
			return err
		}
		m, ok := producer.ReadMarker(b)
		aborts = ok && m.Type == record.Abort
		return nil
	})
	if err != nil && !errors.Is(err, errTorn) {
		return nil, err
	}
	if !aborts {
		return nil, nil
	}
	return l.replayTxns(s)
}

// replayTxns finds the aborted transactions of a segment in its batches, on the state of the newest snapshot before it and the
// segments in between.
func (l *Log) replayTxns(s *segment) ([]AbortedTxn, error) {
	var state producer.State
	from := int64(0)
	for i := len(l.snapshots) - 1; i >= 0; i-- {
		if l.snapshots[i] > s.base {
			continue
		}
		if entries, err := l.readSnapshot(l.snapshots[i]); err == nil {
			state.Load(entries, 0, never)
			from = l.snapshots[i]
			break
		}
	}
	for _, before := range *l.segments.Load() {
		if before.next > from && before.base < s.base {
			if err := l.replaySealed(&state, before, from); err != nil {
				return nil, err
			}
		}
	}
	var found []AbortedTxn
	_, err := l.entries(s, 0, func(pos int64, e record.EntryInfo, sc *scanner) error {
		return replay(&state, pos, e, sc, 0, func(t producer.Txn, lastStable int64) {
			found = append(found, AbortedTxn{t.ProducerID, t.First, t.Last, lastStable})
		})
	})
	if errors.Is(err, errTorn) {
		err = nil
	}
	return found, err
}

// loadIndexes takes the entries of the index files for offsets below limit into the heap, as far as they are whole, and returns the
// position from which the log file must be read to know the rest. A transaction index counts up to replay, which a snapshot covers.
func (l *Log) loadIndexes(s *segment, limit, replay int64) (from int64, err error) {
	var b [txnIndexFile + 1][]byte
	for _, kind := range []fileKind{indexFile, timeIndexFile, txnIndexFile} {
		b[kind], err = fs.ReadFile(l.o.FS, name(l.dir, s.base, suffixes[kind]), math.MaxInt32)
		if err != nil && !gone(err) {
			return 0, err
		}
	}
	a := s.active
	f := &a.files.found
	f.both = b[indexFile] != nil && b[timeIndexFile] != nil
	f.offsets, f.times = len(b[indexFile])/offsetEntrySize, len(b[timeIndexFile])/timeEntrySize
	if f.times > 0 {
		f.last = decodeTime(b[timeIndexFile][(f.times-1)*timeEntrySize:])
	}
	txns, err := l.wholeTxns(s, b[txnIndexFile])
	if b[txnIndexFile] == nil && !f.both && replay > s.base {
		txns, err = l.lostTxns(s)
	}
	if err != nil {
		return 0, err
	}
	for _, t := range txns {
		if t.LastOffset < replay && s.fits(t.LastOffset) {
			a.ix.txns.add(t)
		}
	}
	a.files.txns = 0 // written anew with the next entry
	if a.ix.txns.len()*txnEntrySize == len(b[txnIndexFile]) {
		a.files.txns = a.ix.txns.len()
	}
	offsets, times := goodOffsets(b[indexFile], s.size.Load()), goodTimes(b[timeIndexFile])
	offsets = offsets[:sort.Search(len(offsets), func(i int) bool { return int64(offsets[i].rel) >= limit-s.base })]
	times = times[:sort.Search(len(times), func(i int) bool { return int64(times[i].rel) >= limit-s.base })]
	if len(offsets) == 0 || len(times) == 0 && !l.timeless(s, offsets[len(offsets)-1]) {
		return 0, nil
	}
	// A time entry says nothing of batches behind its offset, so both indexes are kept up to the one that knows less. Only a clean
	// stop ends the time index with an entry for the whole segment.
	known := len(offsets)
	whole := l.o.CleanShutdown && f.times == len(times)
	if len(times) > 0 && !whole {
		last := times[len(times)-1]
		known = sort.Search(len(offsets), func(i int) bool { return offsets[i].rel > last.rel })
	}
	if known == 0 || !l.matches(s, offsets[known-1]) {
		return 0, nil
	}
	at := offsets[known-1]
	for _, e := range offsets[:known] {
		a.ix.offsets.add(e)
	}
	for _, e := range times {
		if e.rel <= at.rel || whole {
			a.ix.times.add(e)
			s.maxTime.Store(e.ts)
			a.maxTimeRel = e.rel
		}
	}
	a.indexedAt = int64(at.pos)
	a.files.offsets, a.files.times = known, a.ix.times.len()
	return int64(at.pos), nil
}

// timeless says whether the indexed batch is of a format without timestamps, whose segments have an empty time index.
func (l *Log) timeless(s *segment, at offsetEntry) bool {
	sc := lookupScanner(s.active.file, s.size.Load())
	defer sc.done()
	e, err := sc.entry(int64(at.pos))
	return err == nil && e.MaxTimestamp < 0
}

// matches says whether the index entry leads to the batch that it claims.
func (l *Log) matches(s *segment, at offsetEntry) bool {
	sc := lookupScanner(s.active.file, s.size.Load())
	defer sc.done()
	e, err := sc.entry(int64(at.pos))
	return err == nil && e.LastOffset == s.base+int64(at.rel)
}
