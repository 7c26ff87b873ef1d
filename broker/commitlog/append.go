package commitlog

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/producer"
	"ottla/broker/record"
)

// appending is what one Append gathers for one write. Reused under the mutex.
type appending struct {
	stage *producer.Stage
	sets  []*AppendSet // accepted and not yet written, duplicates among them
	bufs  [][]byte
	pos   int64 // where the next buffer goes
	next  int64 // the offset that the next record gets
	first int64 // greatest timestamp of the first batch of the segment if that is among bufs, -1 otherwise
}

// Append gives the sets offsets from LogEnd on, stamps these and leaderEpoch into their batches, and writes them with one call. Each
// set is judged on what those before it in the call leave behind, and fails alone (its Err); when the write fails, the file is cut
// back and all that had been accepted for it fail. The error says that all sets failed, for the same reason. On return the records
// are in the operating system and can be read; SyncTo says who must wait for Sync. Records are not kept.
func (l *Log) Append(leaderEpoch int32, sets []*AppendSet) error {
	defer l.report()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writableLocked(); err != nil {
		for _, set := range sets {
			set.Err = err
		}
		return err
	}
	st := l.settings.Load()
	now := l.now()
	a := &l.append
	l.beginLocked(a)
	var failure error
	for _, set := range sets {
		set.FirstOffset, set.LastOffset, set.LogStartOffset, set.SyncTo, set.Duplicate, set.Err = -1, -1, l.logStart.Load(), 0, false, nil
		if failure != nil {
			set.Err = failure
			continue
		}
		if len(set.Records) == 0 && len(set.Batches) == 0 {
			continue // nothing is asked for
		}
		if set.Err = check(set, st); set.Err != nil {
			continue
		}
		if l.fullLocked(a, set, st, now) {
			if failure = l.writeLocked(a, leaderEpoch, st); failure == nil {
				l.beginLocked(a)
				if l.fullLocked(a, set, st, now) {
					failure = l.rollLocked(a.next, now)
				}
			}
			l.beginLocked(a)
			if set.Err = failure; failure != nil {
				continue
			}
		}
		if set.Err = l.stageLocked(a, set, leaderEpoch, now); set.Err == nil {
			a.sets = append(a.sets, set)
		}
	}
	if failure == nil {
		failure = l.writeLocked(a, leaderEpoch, st)
	}
	for _, set := range sets {
		if set.Err == nil || set.Err != failure { //nolint:errorlint // the very same value
			return nil
		}
	}
	return failure
}

// writableLocked is why nothing can be appended, or nil.
func (l *Log) writableLocked() error {
	if err := l.Err(); err != nil || !l.closing {
		return err
	}
	return fmt.Errorf("%w: %s: %w", kerr.NotLeaderForPartition, l.o.Partition, ErrClosed)
}

// check says what is wrong with a set whatever the log holds.
func check(set *AppendSet, st *Settings) error {
	n := 0
	for i := range set.Batches {
		n += set.Batches[i].Size()
	}
	switch {
	case len(set.Batches) == 0 || n != len(set.Records):
		return fmt.Errorf("%w: %d batches of %d bytes in a set of %d", kerr.InvalidRecord, len(set.Batches), n, len(set.Records))
	case int64(n) > st.SegmentBytes:
		return fmt.Errorf("%w: %d bytes do not fit in segment.bytes = %d", kerr.RecordListTooLarge, n, st.SegmentBytes)
	}
	return nil
}

// beginLocked prepares a for another write to the active segment.
func (l *Log) beginLocked(a *appending) {
	clear(a.sets)
	clear(a.bufs)
	a.sets, a.bufs = a.sets[:0], a.bufs[:0]
	a.stage = l.producers.Stage()
	a.pos, a.next, a.first = l.activeSegment().size.Load(), l.logEnd.Load(), -1
}

// fullLocked says whether the active segment, with what a has gathered, cannot take the set any more.
func (l *Log) fullLocked(a *appending, set *AppendSet, st *Settings, now int64) bool {
	if a.pos == 0 {
		return false
	}
	s := l.activeSegment()
	last, maxTime := a.next-1, int64(-1)
	for i := range set.Batches {
		last += int64(set.Batches[i].LastOffsetDelta) + 1
		maxTime = max(maxTime, set.Batches[i].MaxTimestamp)
	}
	first := a.first
	if s.size.Load() > 0 {
		first = s.active.firstTime
	}
	waited := now - s.active.created
	if first >= 0 {
		waited = maxTime - first
	}
	batches := len(set.Batches)
	for _, other := range a.sets {
		batches += len(other.Batches)
	}
	return a.pos+int64(len(set.Records)) > st.SegmentBytes ||
		waited > st.rollMs()-s.active.jitter ||
		int64(s.active.ix.offsets.len()+batches)*offsetEntrySize > st.SegmentIndexBytes ||
		int64(s.active.ix.times.len()+batches+1)*timeEntrySize > st.SegmentIndexBytes ||
		!s.fits(last)
}

// stageLocked judges the set's producers, stamps its batches and puts it into a; a duplicate is answered from what is remembered.
func (l *Log) stageLocked(a *appending, set *AppendSet, leaderEpoch int32, now int64) error {
	if h := &set.Batches[0]; set.ClientOrigin && h.HasProducerID() {
		if b, ok := a.stage.Duplicate(h); ok {
			set.Duplicate, set.FirstOffset, set.LastOffset, set.LogAppendTime = true, b.FirstOffset(), b.LastOffset, b.Timestamp
			return nil
		}
	}
	a.stage.Begin()
	next, rest := a.next, set.Records
	for i := range set.Batches {
		h := &set.Batches[i]
		if h.HasProducerID() {
			if err := stageBatch(a.stage, h, rest[:h.Size()], next, set.ClientOrigin, now); err != nil {
				a.stage.Undo()
				return err
			}
		}
		h.BaseOffset, h.LeaderEpoch = next, leaderEpoch
		record.SetBaseOffset(rest, next)
		record.SetLeaderEpoch(rest, leaderEpoch)
		next, rest = h.NextOffset(), rest[h.Size():]
	}
	set.FirstOffset, set.LastOffset = a.next, next-1
	if a.pos == 0 {
		a.first = set.Batches[0].MaxTimestamp
	}
	a.bufs = append(a.bufs, set.Records)
	a.pos += int64(len(set.Records))
	a.next = next
	return nil
}

func stageBatch(g *producer.Stage, h *record.Header, batch []byte, base int64, client bool, now int64) error {
	if !h.IsControl() {
		return g.Append(h, base, client, now)
	}
	if m, ok := producer.ReadMarker(batch); ok {
		return g.EndTransaction(h, m, base, true, now)
	}
	return nil
}

// writeLocked writes what a has gathered and publishes it: bytes, indexes, producer state, log end. On an error nothing is.
func (l *Log) writeLocked(a *appending, leaderEpoch int32, st *Settings) error {
	defer a.stage.Discard()
	if len(a.bufs) > 0 {
		if err := l.writeBytesLocked(a); err != nil {
			for _, set := range a.sets {
				set.Err, set.FirstOffset, set.LastOffset, set.Duplicate = err, -1, -1, false
			}
			return err
		}
		l.publishLocked(a, leaderEpoch, st)
	}
	for _, set := range a.sets {
		// A duplicate too: the first of its kind may still wait for the disk.
		if end := set.LastOffset + 1; st.FlushMessages <= 1 || a.next-l.sync.end.Load() >= st.FlushMessages {
			set.SyncTo = end
		}
	}
	return nil
}

// writeBytesLocked writes behind the active segment's end. A failure leaves the file as it was, or stops the log.
func (l *Log) writeBytesLocked(a *appending) error {
	s := l.activeSegment()
	at := s.size.Load()
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	n, err := s.active.file.file.WriteVAt(a.bufs, at)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("append of %d bytes, %d written: %w", a.pos-at, n, err)
	if !Passes(err) {
		return l.failed(err)
	}
	if cut := s.active.file.file.Truncate(at); cut != nil {
		return l.failed(fmt.Errorf("%w; cutting it back: %w", err, cut))
	}
	return l.fileError(err)
}

// publishLocked makes what was written visible, in the order that readers rely on.
func (l *Log) publishLocked(a *appending, leaderEpoch int32, st *Settings) {
	s := l.activeSegment()
	if epoch, ok := l.epochs.latest(); !ok || epoch < leaderEpoch {
		l.epochs.assign(leaderEpoch, l.logEnd.Load())
	}
	pos := s.size.Load()
	s.size.Store(a.pos)
	for _, set := range a.sets {
		if set.Duplicate {
			continue
		}
		for i := range set.Batches {
			h := &set.Batches[i]
			s.note(pos, h.LastOffset(), h.MaxTimestamp, st.IndexIntervalBytes)
			pos += int64(h.Size())
			s.active.tail.add(h.NextOffset(), pos)
		}
	}
	l.unstable.Lock()
	a.stage.Commit(func(t producer.Txn, lastStable int64) {
		s.active.ix.txns.add(AbortedTxn{t.ProducerID, t.First, t.Last, lastStable})
	})
	l.firstUnstable.Store(l.producers.FirstUnstable())
	l.unstable.Unlock()
	l.logEnd.Store(a.next)
}
