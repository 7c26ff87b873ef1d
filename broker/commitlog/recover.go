package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"sync"

	"ottla/broker/producer"
	"ottla/broker/record"
)

// walkers are scanners with a large window.
var walkers = sync.Pool{New: func() any { return &scanner{buf: make([]byte, walkWindow)} }}

// walk is how far the entries of a segment are trusted.
type walk struct {
	note   int64 // position from which they are entered into the indexes
	check  int64 // offset from which checksums are compared
	replay int64 // offset from which the producers' state is built
}

const never = math.MaxInt64

// loadSegments opens the segments with these bases and returns the log's end. removed says that files were taken away.
func (l *Log) loadSegments(bases []int64) (end int64, removed bool, err error) {
	now := l.now()
	if len(bases) == 0 {
		s, err := l.createSegment(l.logStart.Load(), now)
		if err != nil {
			return 0, false, err
		}
		l.segments.Store(&[]*segment{s})
		removed := len(l.snapshots) > 0
		return s.base, removed, l.dropSnapshotsLocked(func(int64) bool { return true })
	}
	w := walk{check: never, replay: never}
	first := len(bases) - 1 // of those that are read
	if l.o.CleanShutdown {
		// Snapshots are taken at every clean stop; where there is none at all, a broker of old stopped, or one without producers.
		if len(l.snapshots) > 0 {
			w.replay = l.loadProducersLocked(never)
		}
	} else {
		w.check = max(l.o.RecoveryPoint, 0)
		first = max(sort.Search(len(bases), func(i int) bool { return bases[i] > w.check })-1, 0)
		w.replay = l.loadProducersLocked(w.check)
	}
	for i := range first {
		s, err := l.loadSealed(bases[i], bases[i+1])
		if err != nil {
			return 0, false, err
		}
		l.pushSegment(s)
		if w.replay < s.next {
			if err := l.replaySealed(&l.producers, s, w.replay); err != nil {
				return 0, false, err
			}
		}
	}
	for i := first; i < len(bases); i++ {
		s, err := l.openActive(bases[i], now)
		if err != nil {
			return 0, false, err
		}
		l.pushSegment(s)
		var cut error
		if end, cut, err = l.recoverSegment(s, w, i == first); err != nil {
			return 0, false, err
		}
		if i < len(bases)-1 && end < bases[i+1] && cut == nil && !l.o.Cleaned && !l.settings.Load().Compact {
			cut = fmt.Errorf("%w: offsets %d to %d are missing before the next segment", errTorn, end, bases[i+1]-1)
		}
		if cut != nil || i == len(bases)-1 {
			later := bases[i+1:]
			if cut != nil {
				l.o.Logger.Warn().Err(cut).Str("log", l.o.Partition.String()).Int64("end", end).Int("laterSegments", len(later)).Msg("log is cut back to its last whole batch")
			}
			return end, len(later) > 0, l.removeSegments(later)
		}
		s.endTimeIndex()
		if err := l.writeIndexes(s); err != nil {
			return 0, false, err
		}
		segs := *l.segments.Load()
		segs[len(segs)-1] = s.sealed(bases[i+1], now)
		s.active.file.release()
	}
	return end, false, nil
}

// pushSegment adds a segment while nobody reads yet.
func (l *Log) pushSegment(s *segment) {
	segs := append(*l.segments.Load(), s)
	l.segments.Store(&segs)
}

// removeSegments deletes the files of segments that begin behind the log's end.
func (l *Log) removeSegments(bases []int64) error {
	for _, base := range bases {
		for _, suffix := range suffixes {
			if err := l.o.FS.Remove(name(l.dir, base, suffix)); err != nil && !gone(err) {
				return err
			}
		}
	}
	return nil
}

// restart drops all segments and begins an empty one at offset.
func (l *Log) restart(offset int64) (int64, error) {
	var bases []int64
	for _, s := range *l.segments.Load() {
		bases = append(bases, s.base)
		if s.active != nil {
			s.active.file.release()
		}
		l.forget(s)
	}
	l.segments.Store(&[]*segment{})
	if err := l.removeSegments(bases); err != nil {
		return 0, err
	}
	if err := l.dropSnapshotsLocked(func(int64) bool { return true }); err != nil {
		return 0, err
	}
	l.producers.Load(nil, 0, never)
	s, err := l.createSegment(offset, l.now())
	if err != nil {
		return 0, err
	}
	l.segments.Store(&[]*segment{s})
	return offset, nil
}

// openActive opens a .log file to be read through and written on.
func (l *Log) openActive(base, now int64) (*segment, error) {
	h, err := l.openFile(base, logFile)
	if err != nil {
		return nil, err
	}
	st, err := h.file.Stat()
	if err == nil && st.Size() > math.MaxInt32 {
		err = fmt.Errorf("%s has %d bytes, more than any segment may have", h.file.Name(), st.Size())
	}
	if err != nil {
		h.release()
		return nil, err
	}
	s := newSegment(base)
	s.size.Store(st.Size())
	s.active = &active{file: h, created: now, firstTime: -1, jitter: l.jitter()}
	return s, nil
}

// replaySealed takes the segment's batches from offset on into a state.
func (l *Log) replaySealed(state *producer.State, s *segment, offset int64) error {
	h, err := l.open(s, logFile)
	if err != nil {
		return err
	}
	defer h.release()
	reading := &segment{base: s.base, active: &active{file: h}}
	reading.size.Store(s.size.Load())
	_, err = l.entries(reading, l.start(s, offset), func(pos int64, e record.EntryInfo, sc *scanner) error {
		if !reaches(e, offset) {
			return nil
		}
		return replay(state, pos, e, sc, l.seen(s.modified), nil)
	})
	if errors.Is(err, errTorn) {
		l.o.Logger.Error().Err(err).Str("log", l.o.Partition.String()).Int64("segment", s.base).Msg("segment is damaged")
		return nil
	}
	return err
}

// seen is when producers whose batches are replayed count as heard of: when their file was last written.
func (l *Log) seen(modified int64) int64 { return min(modified, l.now()) }

// recoverSegment loads the indexes of s as far as they can be trusted, reads what they do not cover, and cuts the file behind its last
// whole batch. trusted: records below w.check are durable, and index entries for them are those that were written for them.
func (l *Log) recoverSegment(s *segment, w walk, trusted bool) (end int64, cut, err error) {
	from := int64(0)
	if trusted {
		if from, err = l.loadIndexes(s, w.check, w.replay); err != nil {
			return 0, nil, err
		}
	}
	if s.size.Load() > 0 {
		sc := lookupScanner(s.active.file, s.size.Load())
		if e, err := sc.entry(0); err == nil {
			s.active.firstTime = e.MaxTimestamp
		}
		sc.done()
	}
	w.note = from
	if w.replay < never {
		from = min(from, s.active.ix.lookup(w.replay-s.base))
	}
	end, size, cut, err := l.walkSegment(s, from, w)
	if err == nil && cut != nil && size <= s.active.indexedAt && from > 0 {
		// What the indexes told of is not there. Without them, then.
		s.active = &active{file: s.active.file, created: s.active.created, firstTime: s.active.firstTime, jitter: s.active.jitter}
		s.maxTime.Store(-1)
		w.note = 0
		l.reload = true
		end, size, cut, err = l.walkSegment(s, 0, w)
	}
	if err != nil {
		return 0, nil, err
	}
	if cut != nil {
		if err := s.active.file.file.Truncate(size); err != nil {
			return 0, nil, err
		}
		s.size.Store(size)
	}
	if w.replay < never && w.replay > end {
		l.reload = true // the snapshot tells of records that are not there
	}
	s.active.snapshotAt = size
	s.active.tail.add(end, size)
	return end, cut, nil
}

// walkSegment reads the entries of s from a position on. end is the offset behind the last whole one and size where it ends; cut says
// what is wrong behind it.
func (l *Log) walkSegment(s *segment, from int64, w walk) (end, size int64, cut, err error) {
	interval := l.settings.Load().IndexIntervalBytes
	end = s.base
	seen := l.now()
	if st, err := s.active.file.file.Stat(); err == nil {
		seen = l.seen(st.ModTime().UnixMilli())
	}
	// No checksum covers offset and epoch, and a power cut may take just the sector that they are in: neither goes back. An offset
	// that jumps ahead is kept, as Kafka does; so the measure is the last batch that directly followed the one before it.
	firm, epoch := s.base, int32(-1)
	size, err = l.entries(s, from, func(pos int64, e record.EntryInfo, sc *scanner) error {
		if !s.fits(e.LastOffset) || e.BaseOffset < firm || e.Magic == 2 && e.LeaderEpoch < epoch {
			return fmt.Errorf("%w at byte %d: offset %d of epoch %d cannot be in the segment of %d behind offset %d of epoch %d", errTorn, pos, e.LastOffset, e.LeaderEpoch, s.base, firm, epoch)
		}
		if e.BaseOffset == firm || pos == from {
			firm = e.NextOffset()
		}
		epoch = max(epoch, e.LeaderEpoch)
		if reaches(e, w.check) {
			if err := sc.check(pos, e); err != nil {
				return err
			}
		}
		if pos >= w.note {
			s.note(pos, e.LastOffset, e.MaxTimestamp, interval)
		}
		if latest, ok := l.epochs.latest(); e.LeaderEpoch >= 0 && (!ok || e.LeaderEpoch > latest) {
			l.epochs.assign(e.LeaderEpoch, e.BaseOffset)
		}
		end = e.NextOffset()
		if !reaches(e, w.replay) {
			return nil
		}
		return replay(&l.producers, pos, e, sc, seen, func(t producer.Txn, lastStable int64) {
			s.active.ix.txns.add(AbortedTxn{t.ProducerID, t.First, t.Last, lastStable})
		})
	})
	if errors.Is(err, errTorn) {
		cut, err = err, nil
	}
	return end, size, cut, err
}

// entries calls fn for each entry of s from a position on. size is where the last one ends that fn took.
func (l *Log) entries(s *segment, from int64, fn func(pos int64, e record.EntryInfo, sc *scanner) error) (size int64, err error) {
	sc := walkers.Get().(*scanner)
	defer walkers.Put(sc)
	sc.r, sc.size, sc.at, sc.n, sc.step = s.active.file, s.size.Load(), 0, 0, 0
	defer func() { sc.r = nil }()
	for pos := from; ; {
		e, err := sc.entry(pos)
		if err == io.EOF {
			return pos, nil
		}
		if err == nil {
			err = fn(pos, e, sc)
		}
		if err != nil {
			return pos, err
		}
		pos += int64(e.Size)
	}
}

// markerBytesMax is more than any marker has; a control batch beyond it is none.
const markerBytesMax = 4096

// replay takes one entry into a state.
func replay(state *producer.State, pos int64, e record.EntryInfo, sc *scanner, seen int64, aborted func(producer.Txn, int64)) error {
	if e.Magic < 2 || !e.Header.HasProducerID() {
		return nil
	}
	var m *record.Marker
	if e.Header.IsControl() {
		b, err := sc.bytes(pos, e, markerBytesMax)
		if err != nil {
			return err
		}
		if parsed, ok := producer.ReadMarker(b); ok {
			m = &parsed
		}
	}
	state.Replay(&e.Header, m, seen, aborted)
	return nil
}
