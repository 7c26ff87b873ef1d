package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Slice is a planned read: a region of one segment's file, which stays readable until Release, also when the segment is sealed or
// deleted meanwhile. A value for one goroutine.
type Slice struct {
	// Len is the bytes of the region. It may end within a batch, as maxBytes had it.
	Len int
	// Upper is an offset that no record of the region reaches: what AbortedTxns needs.
	Upper int64

	log        *Log
	file       *handle
	pos        int64
	generation uint64
}

// Read plans a read of [offset, min(maxOffset, log end)): at most maxBytes of one segment, beginning with the batch that holds
// offset; with minOne at least that whole batch. The Slice is empty when nothing is there yet. It fails with OFFSET_OUT_OF_RANGE
// outside of [LogStart, LogEnd]. It takes no lock. The caller must Release the slice.
func (l *Log) Read(offset, maxOffset int64, maxBytes int, minOne bool) (Slice, error) {
	defer l.report()
	for {
		generation := l.settled()
		s, err := l.plan(offset, maxOffset, maxBytes, minOne)
		s.generation = generation
		if err == nil {
			return s, nil
		}
		s.Release()
		if stop := l.Err(); stop != nil {
			return Slice{}, stop
		}
		switch {
		case errors.Is(err, errMoved), l.generation.Load() != generation:
			continue
		case errors.Is(err, kerr.OffsetOutOfRange):
			return Slice{}, err
		case errors.Is(err, errTorn):
			return Slice{}, fmt.Errorf("%w: %s: %w", kerr.CorruptMessage, l.o.Partition, err)
		}
		return Slice{}, l.fileError(err)
	}
}

// settled is the log's generation between two truncations, waiting for the end of one that is under way. What fails afterwards while
// the generation is another may have failed because of that.
func (l *Log) settled() uint64 {
	if g := l.generation.Load(); g&1 == 0 {
		return g
	}
	l.mu.Lock() // truncations hold it
	defer l.mu.Unlock()
	return l.generation.Load()
}

// errMoved says that a segment was sealed or deleted since the list was loaded: look again.
var errMoved = errors.New("segment is no longer listed")

func (l *Log) plan(offset, maxOffset int64, maxBytes int, minOne bool) (Slice, error) {
	end, start := l.logEnd.Load(), l.logStart.Load()
	if err := l.Err(); err != nil {
		return Slice{}, err
	}
	if offset < start || offset > end {
		return Slice{}, fmt.Errorf("%w: offset %d of %s is not within %d and %d", kerr.OffsetOutOfRange, offset, l.o.Partition, start, end)
	}
	maxOffset = min(maxOffset, end)
	plan := Slice{log: l, Upper: maxOffset}
	if offset >= maxOffset || maxBytes <= 0 && !minOne {
		return plan, nil
	}
	list := l.segments.Load()
	segs := *list
	i := sort.Search(len(segs), func(i int) bool { return segs[i].base > offset }) - 1
	if i < 0 {
		return plan, errMoved // the log start moved on
	}
	for ; i < len(segs) && segs[i].base < maxOffset; i++ {
		found, err := l.planIn(segs[i], offset, maxOffset, maxBytes, minOne, &plan)
		if gone(err) && l.segments.Load() != list {
			return plan, errMoved
		}
		if err != nil || found {
			return plan, err
		}
		// All that this segment held at offset and behind it was compacted away.
	}
	return plan, nil
}

// planIn fills plan with a region of s; found is false when s has no batch that ends in [offset, maxOffset).
func (l *Log) planIn(s *segment, offset, maxOffset int64, maxBytes int, minOne bool, plan *Slice) (found bool, err error) {
	h, err := l.open(s, logFile)
	if err != nil {
		return false, err
	}
	plan.file = h
	keep := false
	defer func() {
		if !keep {
			plan.Release()
		}
	}()
	size := s.size.Load()
	sc := lookupScanner(h, size)
	defer sc.done()

	from, exact := int64(0), false
	if s.active != nil {
		from, exact = s.active.tail.find(offset)
	}
	first := -1 // bytes of the first batch, when known
	if !exact {
		at, e, ok, err := sc.find(l.start(s, offset), offset)
		if err != nil || !ok {
			return false, err
		}
		from, first = at, e.Size
	}
	to := size
	if maxOffset < s.next {
		if to, err = l.position(s, sc, maxOffset); err != nil {
			return false, err
		}
	}
	if to <= from {
		return true, nil // the batch that holds offset reaches beyond maxOffset
	}
	n := to - from
	if n > int64(maxBytes) {
		n = int64(maxBytes)
		if minOne {
			if first < 0 {
				e, err := sc.entry(from)
				if err != nil {
					return false, err
				}
				first = e.Size
			}
			n = max(n, int64(first))
		}
		if n <= 0 {
			return true, nil
		}
	}
	n = min(n, math.MaxInt32)
	plan.Upper = min(maxOffset, s.next)
	if l.firstUnstable.Load() >= 0 || s.txns || s.active != nil && s.active.ix.txns.len() > 0 {
		plan.Upper = min(plan.Upper, l.after(s, from+n))
	}
	plan.pos, plan.Len = from, int(n)
	keep = true
	return true, nil
}

// position is where the first batch begins that reaches offset: the end of what may be read below offset.
func (l *Log) position(s *segment, sc *scanner, offset int64) (int64, error) {
	if s.active != nil {
		if pos, ok := s.active.tail.find(offset); ok {
			return min(pos, sc.size), nil
		}
	}
	at, _, _, err := sc.find(l.start(s, offset), offset)
	return at, err
}

// Valid says whether the log has not been truncated since the slice was planned. An answer that is not valid any more must be
// dropped; when its header was already written, the connection must be closed.
func (s *Slice) Valid() bool { return s.log == nil || s.generation == s.log.generation.Load() }

// ReadAt reads from byte off of the slice, as io.ReaderAt.
func (s *Slice) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(s.Len) {
		return 0, io.EOF
	}
	short := false
	if left := int64(s.Len) - off; int64(len(p)) > left {
		p, short = p[:left], true
	}
	defer s.log.report()
	n, err := s.file.ReadAt(p, s.pos+off)
	switch {
	case n == len(p) && short:
		return n, io.EOF
	case n == len(p):
		return n, nil
	case !s.Valid() || err == io.EOF:
		return n, fmt.Errorf("%s was truncated while it was read: %w", s.log.o.Partition, io.ErrUnexpectedEOF)
	}
	return n, s.log.fileError(err)
}

// pieces are the buffers of WriteTo.
var pieces = sync.Pool{New: func() any { b := make([]byte, pieceBytesMax); return &b }}

const pieceBytesMax = 256 << 10

// WriteTo writes the slice to w in pieces of at most 256 KiB through a pooled buffer.
func (s *Slice) WriteTo(w io.Writer) (written int64, err error) {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	for written < int64(s.Len) {
		b := (*buf)[:min(int64(len(*buf)), int64(s.Len)-written)]
		if n, err := s.ReadAt(b, written); n < len(b) {
			return written, err
		}
		n, err := w.Write(b)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// File is the operating system's file and the position of the slice in it, for sendfile with a position of its own; nil when there
// is none. The file's own position is not to be used, since readers share it. Not to be used after Release.
func (s *Slice) File() (*os.File, int64) {
	if s.file == nil {
		return nil, 0
	}
	return s.file.file.OS(), s.pos
}

// Release gives the segment back and empties the slice. Calling it again does nothing.
func (s *Slice) Release() {
	if s.file != nil {
		s.file.release()
		s.file = nil
	}
	s.Len = 0
}
