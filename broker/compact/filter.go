package compact

import (
	"io"

	"ottla/broker/commitlog"
	"ottla/broker/record"
)

// filter decides what is left of each entry of a log that is read from its begin. Pure, but for what it remembers.
type filter struct {
	keys      *OffsetMap
	txns      *transactions
	producers map[int64]commitlog.LastOfProducer
	until     int64 // the offset behind the part that could be cleaned
	now       int64 // ms
	retention int64 // delete.retention.ms
	keepMarks bool  // marks of deletion in formats 0 and 1 stay

	reader record.Reader
	kept   []bool

	read, written, keyless int64 // records
}

// entry returns what is left of the entry b, nil for nothing: b itself, or memory of its own. aborted is a transaction whose marker is
// left and whose batches were there.
func (f *filter) entry(e *record.EntryInfo, b []byte) (left []byte, aborted *commitlog.AbortedTxn, err error) {
	if e.Magic == 2 && e.Header.IsControl() {
		left, aborted = f.control(e, b)
		return left, aborted, nil
	}
	discard := f.txns.batch(e)
	marks, n := false, 0
	f.kept = f.kept[:0]
	f.reader.Reset(b, record.DecompressMaxHard)
	defer f.reader.Close()
	for {
		rec, err := f.reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		keep := !discard && f.survives(e, rec)
		f.kept = append(f.kept, keep)
		if keep {
			n++
			marks = marks || rec.Value == nil
		}
	}
	f.read += int64(len(f.kept))
	f.written += int64(n)
	horizon, has := e.Header.DeleteHorizon()
	sets := e.Magic == 2 && marks && !has
	switch {
	case n == 0 && e.Magic < 2 && f.ends(e) && len(f.kept) > 0:
		// The end of the part that was cleaned must be found again, and there are no empty entries in these formats.
		f.written++
		left, err = record.Retain(b, record.NoHorizon, func(i int) bool { return i == len(f.kept)-1 })
	case n == 0 && e.Magic == 2 && (f.lastOfProducer(&e.Header) || f.ends(e)):
		left = record.RetainNone(e.Header)
	case n == 0:
	case n == len(f.kept) && !sets:
		left = b
	default:
		if sets {
			horizon, has = f.now+f.retention, true
		}
		if !has {
			horizon = record.NoHorizon
		}
		left, err = record.Retain(b, horizon, func(i int) bool { return f.kept[i] })
	}
	return left, nil, err
}

// control is entry for a control batch.
func (f *filter) control(e *record.EntryInfo, b []byte) ([]byte, *commitlog.AbortedTxn) {
	needless, aborted := f.txns.control(e, b)
	f.read++
	horizon, has := e.Header.DeleteHorizon()
	switch {
	case e.Header.Count > 0 && (!needless || has && f.now < horizon):
	case e.Header.Count > 0 && !has:
		marked, err := record.Retain(b, f.now+f.retention, func(int) bool { return true })
		if err == nil { // one small record: it cannot fail
			b = marked
		}
	case f.lastOfProducer(&e.Header) || f.ends(e):
		return record.RetainNone(e.Header), nil
	default:
		return nil, nil
	}
	f.written++
	return b, aborted
}

// ends says whether the entry is the last one of the part that could be cleaned.
func (f *filter) ends(e *record.EntryInfo) bool { return e.NextOffset() == f.until }

// lastOfProducer says whether the batch is all that the log has of a producer's state.
func (f *filter) lastOfProducer(h *record.Header) bool {
	if !h.HasProducerID() {
		return false
	}
	last, active := f.producers[h.ProducerID]
	if !active {
		return false
	}
	if last.DataOffset >= 0 {
		return h.LastOffset() == last.DataOffset
	}
	return h.IsControl() && h.ProducerEpoch == last.Epoch
}

// survives decides a record of a batch that was not aborted.
func (f *filter) survives(e *record.EntryInfo, rec *record.Record) bool {
	if rec.Offset > f.keys.Latest() {
		return true
	}
	if rec.Key == nil {
		f.keyless++
		return false
	}
	if rec.Offset < f.keys.Get(rec.Key) {
		return false
	}
	if rec.Value != nil {
		return true
	}
	if e.Magic < 2 {
		return f.keepMarks
	}
	horizon, has := e.Header.DeleteHorizon()
	return !has || f.now < horizon
}
