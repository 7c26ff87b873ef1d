package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/record"
)

// This file is what the cleaner of compacted logs (package compact) sees of a log. Which records survive is decided there; what the
// files look like, and that the swap survives a power cut, here.

// Section is one sealed segment, as the cleaner sees it.
type Section struct {
	Base, Next   int64 // it holds the offsets [Base, Next)
	Size         int64 // bytes
	MaxTimestamp int64 // ms, -1 without one
	Modified     int64 // ms: when its file was last written
	OffsetIndex  int64 // bytes of its offset index
	TimeIndex    int64 // bytes of its time index

	segment *segment
}

// Sections is a log at one moment.
type Sections struct {
	Sealed     []Section
	Active     int64 // base offset of the active segment
	LogStart   int64
	LogEnd     int64
	LastStable int64
	CleanedTo  int64
	Generation uint64 // Log.Generation: what was found out about the log holds while it is this
}

// Sections lists the log's sealed segments. It waits for no more than the end of a truncation.
func (l *Log) Sections() Sections {
	generation := l.settled()
	stable := l.LastStable(l.hw.Load())
	v := Sections{LogStart: l.logStart.Load(), LogEnd: l.logEnd.Load(), LastStable: stable, CleanedTo: max(l.cleanedTo.Load(), 0), Generation: generation}
	for _, s := range *l.segments.Load() {
		if s.active != nil {
			v.Active = s.base
			break
		}
		v.Sealed = append(v.Sealed, Section{
			Base: s.base, Next: s.next, Size: s.size.Load(), MaxTimestamp: s.maxTime.Load(), Modified: s.modified,
			OffsetIndex: int64(s.offsetEntries) * offsetEntrySize, TimeIndex: int64(s.timeEntries) * timeEntrySize, segment: s,
		})
	}
	return v
}

// CleanedTo is the offset below which the cleaner has been through the log: the value for cleaner-offset-checkpoint. false: it never
// was there.
func (l *Log) CleanedTo() (int64, bool) {
	to := l.cleanedTo.Load()
	return max(to, 0), to >= 0
}

// FirstTimestamp is the greatest timestamp in ms of the section's first batch, -1 without one.
func (l *Log) FirstTimestamp(s Section) (int64, error) {
	if t := s.segment.firstTime.Load(); t != timeUnknown {
		return t, nil
	}
	h, err := l.open(s.segment, logFile)
	if err != nil {
		return 0, err
	}
	defer h.release()
	sc := lookupScanner(h, s.Size)
	defer sc.done()
	e, err := sc.entry(0)
	if err == io.EOF {
		e.MaxTimestamp, err = -1, nil
	}
	if err == nil {
		s.segment.firstTime.Store(e.MaxTimestamp)
	}
	return e.MaxTimestamp, err
}

// ErrNotCleaned says that a cleaning was given up because the log is being closed or has changed: it may be tried again.
var ErrNotCleaned = errors.New("cleaning was given up")

// ErrDamaged says that a segment cannot be read as batches. It stays as it is.
var ErrDamaged = errors.New("segment is damaged")

// Cleaning is the cleaner's work on a log. One at a time; Close waits for its end. For one goroutine.
type Cleaning struct {
	l          *Log
	generation uint64
}

// BeginCleaning makes everything durable that will be replaced, and keeps the log from being closed until End. generation is that of the
// Sections that the work is planned by: with a truncation the work is given up, since a record that is gone may be why another one was
// to go.
func (l *Log) BeginCleaning(generation uint64) (*Cleaning, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}
	l.cleaning.Lock()
	c := &Cleaning{l, generation}
	err := c.Check()
	if err == nil {
		err = l.removeUnfinished()
	}
	if err != nil {
		l.cleaning.Unlock()
		return nil, err
	}
	return c, nil
}

// End lets go of the log.
func (c *Cleaning) End() { c.l.cleaning.Unlock() }

// Done records that the log is clean below offset. It lasts once it is checkpointed.
func (c *Cleaning) Done(offset int64) error {
	c.l.mu.Lock() // truncations hold it
	defer c.l.mu.Unlock()
	if err := c.Check(); err != nil {
		return err
	}
	c.l.cleanedTo.Store(offset)
	return nil
}

// Check says whether the work is to be given up: the log has stopped, is to be closed, or was truncated.
func (c *Cleaning) Check() error {
	if err := c.l.Err(); err != nil {
		return err
	}
	if c.l.leaving.Load() {
		return fmt.Errorf("%w: %s is being closed", ErrNotCleaned, c.l.o.Partition)
	}
	if c.l.generation.Load() != c.generation {
		return fmt.Errorf("%w: %s was truncated", ErrNotCleaned, c.l.o.Partition)
	}
	return nil
}

// Entries calls fn with the entries of a section from the one that reaches offset on, in order. The bytes are valid during the call.
// buf is read through; it is replaced by a larger one for a larger entry. A section that cannot be read as batches is ErrDamaged.
func (c *Cleaning) Entries(s Section, offset int64, buf *[]byte, fn func(e record.EntryInfo, b []byte) error) error {
	defer c.l.report()
	err := c.entries(s, offset, buf, fn)
	if errors.Is(err, ErrDamaged) && !c.l.holds([]*segment{s.segment}) {
		return fmt.Errorf("%w: a segment of %s changed", ErrNotCleaned, c.l.o.Partition)
	}
	return err
}

func (c *Cleaning) entries(s Section, offset int64, buf *[]byte, fn func(e record.EntryInfo, b []byte) error) error {
	h, err := c.l.open(s.segment, logFile)
	if gone(err) {
		return fmt.Errorf("%w: a segment of %s was deleted", ErrNotCleaned, c.l.o.Partition)
	}
	if err != nil {
		return c.l.fileError(err)
	}
	defer h.release()
	pos := int64(0)
	if offset > s.Base {
		pos = c.l.start(s.segment, offset)
	}
	for pos < s.Size {
		if err := c.Check(); err != nil {
			return err
		}
		b := (*buf)[:min(int64(len(*buf)), s.Size-pos)]
		if n, err := h.ReadAt(b, pos); n < len(b) {
			if err == io.EOF || err == nil {
				return fmt.Errorf("%w: %s: segment %d ends at byte %d of %d", ErrDamaged, c.l.o.Partition, s.Base, pos+int64(n), s.Size)
			}
			return c.l.fileError(err)
		}
		used := 0
		for used < len(b) {
			e, err := record.NextEntry(b[used:])
			if err == record.ErrShort || err == nil && e.Size > len(b)-used {
				break
			}
			if err == nil {
				err = record.CheckEntryCRC(b[used:])
			}
			if err != nil {
				return fmt.Errorf("%w: %s: segment %d at byte %d: %w", ErrDamaged, c.l.o.Partition, s.Base, pos+int64(used), err)
			}
			if reaches(e, offset) {
				if err := fn(e, b[used:used+e.Size]); err != nil {
					return err
				}
			}
			used += e.Size
		}
		if used == 0 {
			need := int64(record.EntryHeaderBytes)
			if e, err := record.NextEntry(b); err == nil {
				need = int64(e.Size)
			}
			if need > s.Size-pos || int64(len(*buf)) >= need {
				return fmt.Errorf("%w: %s: segment %d has no whole batch at byte %d", ErrDamaged, c.l.o.Partition, s.Base, pos)
			}
			*buf = make([]byte, need)
		}
		pos += int64(used)
	}
	return nil
}

// Aborted lists the aborted transactions that overlap [from, to), by last offset.
func (c *Cleaning) Aborted(from, to int64) ([]AbortedTxn, error) { return c.l.AbortedTxns(from, to) }

// LastOfProducer is what must be kept of a producer for its state to be found again in the log.
type LastOfProducer struct {
	Epoch      int16
	DataOffset int64 // of its last record, -1 when only markers are known
}

// Producers are the log's active producers, by id.
func (c *Cleaning) Producers() map[int64]LastOfProducer {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	last := make(map[int64]LastOfProducer, c.l.producers.Len())
	for _, e := range c.l.producers.Entries() {
		p := LastOfProducer{Epoch: e.Epoch, DataOffset: -1}
		if b, ok := e.Last(); ok {
			p.DataOffset = b.LastOffset
		}
		last[e.ID] = p
	}
	return last
}

// Replacement is a segment under construction, in files that end in ".cleaned". For one goroutine; Swap or Discard ends it.
type Replacement struct {
	c       *Cleaning
	s       *segment
	names   map[fileKind]string
	pending []byte // not yet in the file
	size    int64  // with what is pending
	room    int
}

// Replace begins a segment at base that takes the place of others. Up to room bytes are gathered for each write.
func (c *Cleaning) Replace(base int64, room int) (*Replacement, error) {
	l := c.l
	if err := c.Check(); err != nil {
		return nil, err
	}
	h, err := l.createFile(name(l.dir, base, suffixes[logFile]+cleanedSuffix))
	if err != nil {
		return nil, l.fileError(err)
	}
	s := newSegment(base)
	s.active = &active{file: h, firstTime: -1}
	return &Replacement{c: c, s: s, room: room}, nil
}

// Append adds one entry, which is copied. Offsets rise.
func (r *Replacement) Append(b []byte) error {
	e, err := record.NextEntry(b)
	if err != nil {
		return err
	}
	if !r.s.fits(e.LastOffset) || r.size+int64(len(b)) > math.MaxInt32 {
		return fmt.Errorf("%w: %s: offset %d does not fit in the segment %d of %d bytes", ErrDamaged, r.c.l.o.Partition, e.LastOffset, r.s.base, r.size)
	}
	r.s.note(r.size, e.LastOffset, e.MaxTimestamp, r.c.l.settings.Load().IndexIntervalBytes)
	r.pending = append(r.pending, b...)
	r.size += int64(len(b))
	if len(r.pending) >= r.room {
		return r.write()
	}
	return nil
}

func (r *Replacement) write() error {
	l := r.c.l
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	if _, err := r.s.active.file.file.WriteAt(r.pending, r.s.size.Load()); err != nil {
		return l.fileError(fmt.Errorf("cleaned segment: %w", err))
	}
	r.pending = r.pending[:0]
	r.s.size.Store(r.size)
	return nil
}

// AddAborted adds an aborted transaction whose marker the segment holds.
func (r *Replacement) AddAborted(t AbortedTxn) { r.s.active.ix.txns.add(t) }

// Size is the bytes so far.
func (r *Replacement) Size() int64 { return r.size }

// Discard removes what there is of the segment.
func (r *Replacement) Discard() {
	r.s.active.file.release()
	r.c.l.discard(r.s.base)
}

// Swap makes the segment durable and puts it in the place of the sections, which must still be the log's. ErrNotCleaned when they are
// not: something was deleted or truncated meanwhile. Readers go on; those who read on in what was replaced keep its files open.
func (r *Replacement) Swap(old []Section) error {
	l := r.c.l
	defer l.report()
	last := old[len(old)-1]
	err := r.finish(last)
	if err != nil {
		r.Discard()
		return err
	}
	r.s.active.file.release()
	l.flushing.Lock()
	defer l.flushing.Unlock()
	segs := make([]*segment, len(old))
	for i, s := range old {
		segs[i] = s.segment
	}
	if err := r.c.Check(); err != nil || !l.holds(segs) {
		l.discard(r.s.base)
		if err == nil {
			err = fmt.Errorf("%w: segments of %s changed", ErrNotCleaned, l.o.Partition)
		}
		return err
	}
	return l.swap(r.s.sealed(last.Next, last.Modified), segs)
}

// finish brings all files of the segment to the disk.
func (r *Replacement) finish(last Section) error {
	l := r.c.l
	if len(r.pending) > 0 {
		if err := r.write(); err != nil {
			return err
		}
	}
	r.s.endTimeIndex()
	if err := l.writeCleanedIndexes(r.s); err != nil {
		return l.fileError(fmt.Errorf("cleaned segment: %w", err))
	}
	// What is replaced keeps the time it was written: deadlines count from there.
	if err := l.o.FS.Chtimes(name(l.dir, r.s.base, suffixes[logFile]+cleanedSuffix), millis(last.Modified)); err != nil {
		return l.fileError(err)
	}
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	if err := r.s.active.file.file.Sync(); err != nil {
		return l.failed(fmt.Errorf("sync of a cleaned segment: %w", err))
	}
	return nil
}

// holds says whether the log still has these segments, side by side.
func (l *Log) holds(segs []*segment) bool {
	list := *l.segments.Load()
	i := slices.Index(list, segs[0])
	return i >= 0 && len(list)-i > len(segs) && slices.Equal(list[i:i+len(segs)], segs)
}

// closedError is what a log answers that was closed while it was cleaned.
func closedError(err error) bool { return errors.Is(err, kerr.NotLeaderForPartition) }

// GivenUp says whether a cleaning ended because of what happens to the log, not because of what is in it.
func GivenUp(err error) bool { return errors.Is(err, ErrNotCleaned) || closedError(err) }
