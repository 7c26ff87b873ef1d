package commitlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/record"
)

// OffsetForTimestamp finds the first record below maxOffset whose timestamp is at least ts; false when there is none. Old messages
// without timestamps are never found.
func (l *Log) OffsetForTimestamp(ts, maxOffset int64) (TimestampOffset, bool, error) {
	return l.search(func(segs []*segment) (TimestampOffset, bool, error) {
		for _, s := range segs {
			if s.maxTime.Load() < ts || s.next <= l.logStart.Load() {
				continue
			}
			from, err := l.timeStart(s, ts)
			if err != nil {
				return TimestampOffset{}, false, err
			}
			found, ok, err := l.firstAt(s, from, ts)
			if err != nil || ok {
				return found, ok && found.Offset < maxOffset, err
			}
		}
		return TimestampOffset{}, false, nil
	})
}

// MaxTimestamp finds the first record with the greatest timestamp of the log (ListOffsets -3); false when no record has one.
func (l *Log) MaxTimestamp() (TimestampOffset, bool, error) {
	return l.search(func(segs []*segment) (TimestampOffset, bool, error) {
		var best *segment
		for _, s := range segs {
			if t := s.maxTime.Load(); t >= 0 && (best == nil || t > best.maxTime.Load()) {
				best = s
			}
		}
		if best == nil {
			return TimestampOffset{}, false, nil
		}
		ts := best.maxTime.Load()
		from, err := l.timeStart(best, ts-1)
		if err != nil {
			return TimestampOffset{}, false, err
		}
		return l.firstAt(best, from, ts)
	})
}

// search runs fn on the segments, again when one of them was deleted meanwhile.
func (l *Log) search(fn func([]*segment) (TimestampOffset, bool, error)) (TimestampOffset, bool, error) {
	defer l.report()
	for {
		generation, list := l.settled(), l.segments.Load()
		if err := l.Err(); err != nil {
			return TimestampOffset{}, false, err
		}
		found, ok, err := fn(*list)
		switch {
		case err == nil:
			return found, ok, nil
		case l.Err() != nil:
			return TimestampOffset{}, false, l.Err()
		case l.segments.Load() != list || l.generation.Load() != generation:
			continue
		case errors.Is(err, errTorn) || errors.Is(err, kerr.CorruptMessage):
			return TimestampOffset{}, false, fmt.Errorf("%w: %s: %w", kerr.CorruptMessage, l.o.Partition, err)
		case errors.As(err, new(*kerr.Error)):
			return TimestampOffset{}, false, err
		}
		return TimestampOffset{}, false, l.fileError(err)
	}
}

// firstAt finds the first record of s whose timestamp is at least ts, in the batch that holds the offset from or behind it.
func (l *Log) firstAt(s *segment, from, ts int64) (TimestampOffset, bool, error) {
	start := l.logStart.Load()
	from = max(from, start)
	h, err := l.open(s, logFile)
	if err != nil {
		return TimestampOffset{}, false, err
	}
	defer h.release()
	sc := lookupScanner(h, s.size.Load())
	defer sc.done()
	pos, _, ok, err := sc.find(l.start(s, from), from)
	for ok && err == nil {
		var e record.EntryInfo
		if e, err = sc.entry(pos); err != nil {
			break
		}
		if e.MaxTimestamp >= ts {
			found, ok, err := l.firstIn(sc, pos, e, start, ts)
			if err != nil || ok {
				return found, ok, err
			}
		}
		pos += int64(e.Size)
	}
	if err == io.EOF {
		err = nil
	}
	return TimestampOffset{}, false, err
}

// entryBytesMax bounds what a search reads into memory at once.
const entryBytesMax = 128 << 20

// firstIn looks into one entry, of which the records from start on count.
func (l *Log) firstIn(sc *scanner, pos int64, e record.EntryInfo, start, ts int64) (TimestampOffset, bool, error) {
	b, err := sc.bytes(pos, e, entryBytesMax)
	if err != nil || b == nil {
		return TimestampOffset{}, false, err
	}
	for rec, err := range record.All(b) {
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if rec.Offset >= start && rec.Timestamp >= ts {
			epoch := e.LeaderEpoch
			if epoch < 0 {
				epoch = l.EpochAt(rec.Offset)
			}
			return TimestampOffset{rec.Timestamp, rec.Offset, epoch}, true, nil
		}
	}
	return TimestampOffset{}, false, nil
}

// The two targets of ListOffsets v0 that are no time.
const (
	Latest   = -1
	Earliest = -2
)

// OffsetsBefore answers ListOffsets v0: the starts of the segments that were last written at ts (ms) or before, and the log's end if
// that was by then, newest first, at most n. ts may be Latest or Earliest.
func (l *Log) OffsetsBefore(ts int64, n int) []int64 {
	type start struct{ offset, time int64 }
	var starts []start
	now, logStart := l.now(), l.logStart.Load()
	segs := *l.segments.Load()
	for _, s := range segs {
		starts = append(starts, start{max(s.base, logStart), l.modified(s)})
	}
	if last := segs[len(segs)-1]; last.size.Load() > 0 {
		starts = append(starts, start{l.logEnd.Load(), now})
	}
	last := len(starts) - 1
	switch ts {
	case Latest:
	case Earliest:
		last = 0
	default:
		for last >= 0 && starts[last].time > ts {
			last--
		}
	}
	var offsets []int64
	for ; last >= 0 && len(offsets) < n; last-- {
		offsets = append(offsets, starts[last].offset)
	}
	return offsets
}

// modified is when a segment was last written, in ms.
func (l *Log) modified(s *segment) int64 {
	if s.active == nil {
		return s.modified
	}
	if st, err := s.active.file.file.Stat(); err == nil {
		return st.ModTime().UnixMilli()
	}
	return l.now()
}

// AbortedTxns lists the aborted transactions that overlap [from, to), by last offset; to is Slice.Upper of what was read from from on.
func (l *Log) AbortedTxns(from, to int64) ([]AbortedTxn, error) {
	defer l.report()
	for {
		generation, list := l.settled(), l.segments.Load()
		found, err := l.abortedIn(*list, from, to)
		switch {
		case err == nil:
			return found, nil
		case l.Err() != nil:
			return nil, l.Err()
		case l.segments.Load() == list && l.generation.Load() == generation:
			return nil, l.fileError(err)
		case from < l.logStart.Load():
			return nil, fmt.Errorf("%w: %s was deleted up to %d", kerr.OffsetOutOfRange, l.o.Partition, l.logStart.Load())
		}
	}
}

func (l *Log) abortedIn(segs []*segment, from, to int64) ([]AbortedTxn, error) {
	var found []AbortedTxn
	for _, s := range segs {
		if s.next <= from {
			continue
		}
		txns, err := l.aborted(s)
		if err != nil {
			return nil, err
		}
		for _, t := range txns {
			if t.LastOffset >= from && t.FirstOffset < to {
				found = append(found, t)
			}
			if t.LastStable >= to {
				return found, nil // what ended later began later
			}
		}
	}
	return found, nil
}
