package compact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/commitlog"
	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// rec is a record as a test knows it. A value of "" is a mark of deletion.
type rec struct {
	key, value string
	ts         int64
	producer   int64 // of the transaction that it is in, 0 without one
}

// world is a log, its clock, and everything that was ever appended to it.
type world struct {
	t    testing.TB
	fs   fs.FS
	dir  string
	now  time.Time
	st   commitlog.Settings
	log  *commitlog.Log
	sent map[int64]rec   // by offset; markers are not in it
	ends map[int64]int64 // of aborted transactions: first offset -> offset of the marker
	open map[int64]int64 // producer -> first offset of its open transaction
	seq  map[int64]int32
	w    *worker
	// broken: a round ended early, so that some of its groups are swapped in and the checkpoint does not say so.
	broken bool
	// unsure are the records of the last call, which did not return: they may be there, and count, or not.
	unsure map[int64]rec
}

func newWorld(t testing.TB, fsys fs.FS, dir string) *world {
	st := commitlog.DefaultSettings()
	st.SegmentBytes, st.IndexIntervalBytes, st.Compact, st.Delete, st.DeleteRetentionMs, st.MinDirtyRatio, st.FlushMessages = 900, 120, true, false, 1000, 0.01, 1
	return &world{
		t: t, fs: fsys, dir: dir, now: time.UnixMilli(1e12), st: st, sent: map[int64]rec{}, ends: map[int64]int64{}, open: map[int64]int64{}, seq: map[int64]int32{},
		w: &worker{memory: 1 << 20, load: 0.9, room: 4096, pace: &pace{perSecond: 1e300}, now: func() time.Time { return time.UnixMilli(1e12) }, checkpoint: func(*commitlog.Log) error { return nil }},
	}
}

func (w *world) clock() time.Time { return w.now }

// start opens the log, as after a crash unless clean.
func (w *world) start(clean bool, cleanedTo, recoveryPoint int64) error {
	w.w.now = w.clock
	var err error
	w.log, err = commitlog.Open(commitlog.Options{
		FS: w.fs, Dir: w.dir, Partition: topic.Partition{Topic: "t"}, Settings: w.st, CleanShutdown: clean, CleanedTo: cleanedTo, Cleaned: cleanedTo > 0,
		RecoveryPoint: recoveryPoint, Now: w.clock, Logger: zerolog.Nop(),
	})
	if err == nil {
		w.log.SetHighWatermark(w.log.LogEnd())
	}
	return err
}

func (w *world) append(client bool, batch []byte) (int64, error) {
	h, err := record.ParseHeader(batch)
	if err != nil {
		panic(err)
	}
	set := &commitlog.AppendSet{Records: batch, Batches: []record.Header{h}, ClientOrigin: client, LogAppendTime: -1}
	if err := w.log.Append(0, []*commitlog.AppendSet{set}); err != nil {
		return 0, err
	}
	if set.Err != nil {
		return 0, set.Err
	}
	if err := w.log.Sync(set.SyncTo); err != nil {
		return 0, err
	}
	w.log.SetHighWatermark(w.log.LogEnd())
	return set.FirstOffset, nil
}

// send appends one batch. producer 0 is none; a transactional one opens a transaction.
func (w *world) send(producer int64, transactional bool, codec record.Codec, recs ...rec) error {
	b := record.NewBuilder(record.BuilderOptions{Codec: codec})
	if producer != 0 {
		b.SetProducer(producer, 0, w.seq[producer], transactional)
	}
	for i, r := range recs {
		recs[i].ts = w.now.UnixMilli()
		var value []byte
		if r.value != "" {
			value = []byte(r.value)
		}
		b.Append([]byte(r.key), value, nil, w.now.UnixMilli())
	}
	bytes, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	w.unsure = map[int64]rec{}
	for i, r := range recs {
		w.unsure[w.log.LogEnd()+int64(i)] = r
	}
	first, err := w.append(true, bytes)
	if err != nil {
		return err
	}
	w.unsure = nil
	w.seq[producer] += int32(len(recs))
	for i, r := range recs {
		if transactional {
			r.producer = producer
			if _, ok := w.open[producer]; !ok {
				w.open[producer] = first
			}
		}
		w.sent[first+int64(i)] = r
	}
	return nil
}

// end ends the producer's transaction.
func (w *world) end(producer int64, kind record.ControlType) error {
	first, ok := w.open[producer]
	if !ok {
		return nil
	}
	w.unsure = map[int64]rec{}
	for offset, r := range w.sent {
		if r.producer == producer && offset >= first {
			w.unsure[offset] = r
		}
	}
	at, err := w.append(false, record.NewControlBatch(record.Marker{Type: kind}, producer, 0, 0, w.now.UnixMilli()))
	if err != nil {
		return err
	}
	w.unsure = nil
	delete(w.open, producer)
	if kind == record.Abort {
		w.ends[first] = at
		for offset, r := range w.sent {
			if r.producer == producer && offset >= first && offset < at {
				r.producer = -producer // aborted
				w.sent[offset] = r
			}
		}
	}
	return nil
}

// clean runs a round, if there is anything to clean, and says whether it did.
func (w *world) clean() (bool, error) {
	v, st := w.log.Sections(), w.log.Settings()
	p, err := judge(&v, &st, w.log.FirstTimestamp, w.now.UnixMilli())
	if err != nil || !p.wanted(&st) {
		return false, err
	}
	r, err := w.w.clean(context.Background(), w.log, p)
	if err != nil {
		return false, err
	}
	return r.to > r.from, nil
}

// found is what a reader of everything sees: records by offset, and the offsets of the batches' ends.
func (w *world) found() (map[int64]rec, error) {
	all := map[int64]rec{}
	last := int64(-1)
	for offset := w.log.LogStart(); offset < w.log.LogEnd(); {
		s, err := w.log.Read(offset, w.log.LogEnd(), 700, true)
		if err != nil {
			return nil, err
		}
		b := make([]byte, s.Len)
		if _, err := s.ReadAt(b, 0); err != nil && !(errors.Is(err, io.EOF) && s.Len == 0) {
			return nil, err
		}
		s.Release()
		before := offset
		for len(b) > 0 {
			e, err := record.NextEntry(b)
			if errors.Is(err, record.ErrShort) || err == nil && e.Size > len(b) {
				break
			}
			if err == nil {
				err = record.CheckEntryCRC(b)
			}
			if err != nil {
				return nil, err
			}
			if e.BaseOffset <= last {
				return nil, fmt.Errorf("batch [%d, %d] behind offset %d", e.BaseOffset, e.LastOffset, last)
			}
			last = e.LastOffset
			if !e.Header.IsControl() {
				for r, err := range record.All(b[:e.Size]) {
					if err != nil {
						return nil, err
					}
					all[r.Offset] = rec{key: string(r.Key), value: string(r.Value), ts: r.Timestamp}
				}
			}
			offset = max(offset, e.NextOffset())
			b = b[e.Size:]
		}
		if offset == before {
			return nil, fmt.Errorf("a reader does not get beyond %d of %d", offset, w.log.LogEnd())
		}
	}
	return all, nil
}

// check compares what is there with what was appended. Every record that is there is as it was sent; the last one of each key is
// there, unless it marks a deletion; and what the cleaner has not been at is there whole.
func (w *world) check() error {
	all, err := w.found()
	if err != nil {
		return err
	}
	for offset, got := range all {
		want, ok := w.sent[offset]
		if r, maybe := w.unsure[offset]; maybe {
			want, ok = r, true
		}
		if want.producer = 0; !ok || got != want {
			return fmt.Errorf("at %d is %+v, sent was %+v", offset, got, want)
		}
	}
	last := map[string]int64{}
	for offset, r := range w.sent {
		if r.producer >= 0 && offset < w.log.LogEnd() {
			last[r.key] = max(last[r.key], offset)
		}
	}
	for _, r := range w.unsure {
		last[r.key] = w.log.LogEnd() // nothing is known of what is there of its key
	}
	for offset, r := range w.sent {
		if _, there := all[offset]; there || offset >= w.log.LogEnd() {
			continue
		}
		switch {
		case offset >= w.log.Sections().Active, offset >= cleanedTo(w.log) && r.producer >= 0 && !w.broken:
			return fmt.Errorf("%+v at %d is gone, cleaned was up to %d", r, offset, cleanedTo(w.log))
		case r.producer >= 0 && last[r.key] == offset && r.value != "":
			return fmt.Errorf("%+v at %d is gone, the last of its key", r, offset)
		}
	}
	return nil
}

// checkClean is check, for a log in which all that could be cleaned was: no key twice below the end of that, nothing aborted.
func (w *world) checkClean() error {
	if err := w.check(); err != nil {
		return err
	}
	all, err := w.found()
	if err != nil {
		return err
	}
	seen := map[string]int64{}
	offsets := make([]int64, 0, len(all))
	for offset := range all {
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	for _, offset := range offsets {
		if offset >= cleanedTo(w.log) {
			break
		}
		r, known := w.sent[offset]
		if _, maybe := w.unsure[offset]; maybe || !known {
			continue
		}
		if r.producer < 0 {
			return fmt.Errorf("%+v at %d was aborted and is still there", r, offset)
		}
		if before, twice := seen[r.key]; twice {
			return fmt.Errorf("key %s is at %d and at %d, cleaned up to %d", r.key, before, offset, cleanedTo(w.log))
		}
		seen[r.key] = offset
	}
	return nil
}

func cleanedTo(l *commitlog.Log) int64 {
	to, _ := l.CleanedTo()
	return to
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
