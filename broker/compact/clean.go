package compact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ottla/broker/commitlog"
	"ottla/broker/record"
)

// errStopped says that the cleaner is being stopped or reconfigured.
var errStopped = errors.New("cleaner was stopped")

// worker is what one thread cleans with. For one goroutine.
type worker struct {
	memory int64   // bytes of the map at most
	load   float64 // share of the map that is filled
	room   int     // bytes of a read, and of a write
	pace   *pace
	now    func() time.Time
	// checkpoint writes the cleaner-offset-checkpoint.
	checkpoint func(*commitlog.Log) error

	keys   *OffsetMap // nil until it is needed
	buf    []byte
	reader record.Reader
}

// result is what a round did.
type result struct {
	from, to        int64 // the offsets that are clean now
	mapped          int64 // bytes read into the map
	before, after   int64 // bytes of what was rewritten
	read, written   int64 // records
	keyless         int64
	utilization     float64 // of the map
	indexed, cleant time.Duration
}

// clean runs a round over the part of a log.
func (w *worker) clean(ctx context.Context, log *commitlog.Log, p part) (r result, err error) {
	c, err := log.BeginCleaning(p.generation)
	if err != nil {
		return r, err
	}
	defer c.End()
	st := log.Settings()
	list := log.Sections().Sealed
	begin := w.now()
	r = result{from: p.dirty, to: p.dirty}
	w.prepare(p)
	if r.mapped, err = w.index(ctx, c, list, p); err != nil {
		return r, err
	}
	r.utilization = float64(w.keys.Len()) / float64(len(w.keys.slots))
	r.indexed = w.now().Sub(begin)
	end := w.keys.Latest() + 1
	if end <= p.dirty {
		return r, c.Done(r.to)
	}
	// Offsets will be missing from the first swap on. A log of which no checkpoint says that it was cleaned would pass for damaged, should
	// the broker be killed in this round and the topic no longer be compacted when it starts.
	if _, known := log.CleanedTo(); !known {
		if err := c.Done(p.dirty); err != nil {
			return r, err
		}
		if err := w.checkpoint(log); err != nil {
			return r, err
		}
	}
	f := &filter{
		keys: w.keys, txns: newTransactions(), producers: c.Producers(), until: p.until, now: begin.UnixMilli(), retention: st.DeleteRetentionMs,
	}
	// In formats 0 and 1 marks of deletion go once they are older than the last clean segment by delete.retention.ms.
	horizon := int64(0)
	n := 0
	for ; n < len(list) && list[n].Base < end; n++ {
		if list[n].Base < p.dirty {
			horizon = list[n].Modified - st.DeleteRetentionMs
		}
	}
	for _, group := range groups(list[:n], &st) {
		before, after, err := w.rewrite(ctx, c, group, f, horizon)
		if err != nil {
			return r, err
		}
		r.before, r.after = r.before+before, r.after+after
	}
	r.to, r.read, r.written, r.keyless = end, f.read, f.written, f.keyless
	r.cleant = w.now().Sub(begin) - r.indexed
	return r, c.Done(r.to)
}

// prepare makes the buffer, and a map that holds the part's keys as far as memory allows.
func (w *worker) prepare(p part) {
	if w.buf == nil {
		w.buf = make([]byte, w.room)
	}
	want := keysIn(w.memory, w.load)
	if span := p.until - p.dirty; span < int64(want) {
		want = int(max(span, 1))
	}
	if w.keys != nil && w.keys.Max() >= want {
		w.keys.Clear()
		return
	}
	w.keys = NewOffsetMap(want, w.load)
}

// rest lets go of the memory.
func (w *worker) rest() { w.keys, w.buf = nil, nil }

// errFull ends the reading of the dirty part.
var errFull = errors.New("map is full")

// index takes the dirty part into the map, until that is full. It returns the bytes read.
func (w *worker) index(ctx context.Context, c *commitlog.Cleaning, list []commitlog.Section, p part) (read int64, err error) {
	txns := newTransactions()
	aborted, err := c.Aborted(p.dirty, p.until)
	if err != nil {
		return 0, err
	}
	txns.add(aborted)
	defer w.reader.Close()
	for _, s := range list {
		if s.Next <= p.dirty || s.Base >= p.until {
			continue
		}
		err := c.Entries(s, p.dirty, &w.buf, func(e record.EntryInfo, b []byte) error {
			read += int64(len(b))
			if err := w.pace.wait(ctx, len(b), c.Check); err != nil {
				return err
			}
			if e.Magic == 2 && e.Header.IsControl() {
				txns.control(&e, b)
			} else if !txns.batch(&e) {
				if err := w.indexBatch(b, p.dirty); err != nil {
					return err
				}
			}
			w.keys.Reached(e.LastOffset)
			return nil
		})
		if err == errFull {
			return read, nil
		}
		if err != nil {
			return read, err
		}
		w.keys.Reached(min(s.Next, p.until) - 1) // offsets may be missing at its end
		w.shrink()
	}
	return read, nil
}

// indexBatch takes the keys of one entry into the map, of records from an offset on.
func (w *worker) indexBatch(b []byte, from int64) error {
	w.reader.Reset(b, record.DecompressMaxHard)
	for {
		rec, err := w.reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", commitlog.ErrDamaged, err)
		}
		if rec.Key != nil && rec.Offset >= from && !w.keys.Put(rec.Key, rec.Offset) {
			return errFull
		}
	}
}

// rewrite makes one segment of a group of sections and puts it in their place. It returns the bytes before and after.
func (w *worker) rewrite(ctx context.Context, c *commitlog.Cleaning, group []commitlog.Section, f *filter, horizon int64) (before, after int64, err error) {
	out, err := c.Replace(group[0].Base, w.room)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range group {
		before += s.Size
		if err = w.rewriteSection(ctx, c, s, out, f, horizon); err != nil {
			out.Discard()
			return 0, 0, err
		}
		w.shrink()
	}
	after = out.Size()
	return before, after, out.Swap(group)
}

func (w *worker) rewriteSection(ctx context.Context, c *commitlog.Cleaning, s commitlog.Section, out *commitlog.Replacement, f *filter, horizon int64) error {
	aborted, err := c.Aborted(s.Base, s.Next)
	if err != nil {
		return err
	}
	f.txns.add(aborted)
	f.keepMarks = s.Modified > horizon
	return c.Entries(s, s.Base, &w.buf, func(e record.EntryInfo, b []byte) error {
		if err := w.pace.wait(ctx, len(b), c.Check); err != nil {
			return err
		}
		left, txn, err := f.entry(&e, b)
		if err != nil {
			return fmt.Errorf("%w: %w", commitlog.ErrDamaged, err)
		}
		if txn != nil {
			out.AddAborted(*txn)
		}
		if left == nil {
			return nil
		}
		if err := w.pace.wait(ctx, len(left), c.Check); err != nil {
			return err
		}
		return out.Append(left)
	})
}

// shrink gives up a buffer that a large entry made grow.
func (w *worker) shrink() {
	if len(w.buf) > w.room {
		w.buf = make([]byte, w.room)
	}
}
