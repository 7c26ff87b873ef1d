package record

import (
	"fmt"
	"io"
	"math"
)

// NoHorizon stands for a batch without a delete horizon.
const NoHorizon int64 = math.MinInt64

// Retain rewrites the entry that b begins with, keeping only those of its records that keep names by their place in the entry: what
// the cleaner of a compacted log does. Offsets, sequences, producer, leader epoch, codec and the range of offsets stay; horizon is
// the delete horizon in ms from then on, NoHorizon without one (a batch of magic 2 only). At least one record must be kept: see
// RetainNone. The result is memory of its own.
func Retain(b []byte, horizon int64, keep func(i int) bool) ([]byte, error) {
	e, err := NextEntry(b)
	if err != nil {
		return nil, err
	}
	if len(b) < e.Size {
		return nil, ErrShort
	}
	r := readers.Get().(*Reader)
	defer func() { r.Close(); readers.Put(r) }()
	r.Reset(b[:e.Size], DecompressMaxHard)
	var add func(rec *Record)
	var finish func() ([]byte, error)
	if e.Magic == 2 {
		build := retainBatch(&e.Header, horizon)
		defer build.Discard()
		base := e.Header.BaseOffset
		add = func(rec *Record) {
			build.append(int32(rec.Offset-base), rec.Key, rec.Value, rec.Headers, rec.Timestamp)
		}
		finish = func() ([]byte, error) {
			build.lastDelta = e.Header.LastOffsetDelta
			return build.Bytes()
		}
	} else {
		set := NewMessageSet(nil, e.Magic, e.Codec, 0)
		if e.TimestampType == LogAppendTime {
			set.SetAppendTime(e.MaxTimestamp)
		}
		add = func(rec *Record) { set.Append(rec.Offset, rec.Key, rec.Value, rec.Timestamp) }
		finish = set.Bytes
	}
	kept := 0
	for i := 0; ; i++ {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			_, _ = finish() // gives the compressor back
			return nil, err
		}
		if keep(i) {
			kept++
			add(rec)
		}
	}
	out, err := finish()
	if err == nil && kept == 0 {
		err = invalid("no record of the entry at offset %d is kept", e.BaseOffset)
	}
	if err != nil {
		return nil, fmt.Errorf("entry at offset %d: %w", e.BaseOffset, err)
	}
	return out, nil
}

// retainBatch begins the batch that takes the place of the one with header h.
func retainBatch(h *Header, horizon int64) *Builder {
	build := NewBuilder(BuilderOptions{BaseOffset: h.BaseOffset, LeaderEpoch: h.LeaderEpoch, Codec: h.Codec(), Control: h.IsControl()})
	build.SetProducer(h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.IsTransactional())
	if h.TimestampType() == LogAppendTime {
		build.SetAppendTime(h.MaxTimestamp)
	}
	if horizon != NoHorizon {
		build.horizon, build.baseTimestamp = true, horizon
	}
	return build
}

// RetainNone is the batch of magic 2 that is left of one whose records are all gone, when its last offset or the last sequence of its
// producer must still be known: its header.
func RetainNone(h Header) []byte {
	b := make([]byte, HeaderSize)
	h.Length, h.Magic, h.Count, h.BaseTimestamp = HeaderSize-LogOverhead, 2, 0, NoTimestamp
	h.Attributes &= attrLogAppendTime | attrTransactional | attrControl
	putHeader(b, h)
	setCRC(b)
	return b
}
