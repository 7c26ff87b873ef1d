package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"ottla/broker/record"
)

// errTorn says that the bytes from some position on hold no whole entry: the end of what a crash left.
var errTorn = errors.New("no whole batch")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scanner reads the entries of a log file one after another, a window at a time. Not safe for concurrent use.
type scanner struct {
	r    io.ReaderAt
	size int64 // readable bytes of the file
	buf  []byte
	at   int64 // position of buf[0]
	n    int   // bytes in buf
	step int   // size of the last entry
}

// Windows of the two uses: looking for one offset behind an index entry, and walking a whole file.
const (
	lookupWindow = 8 << 10
	walkWindow   = 256 << 10
	// Behind an entry of stepBytes the next header is read with headerWindow bytes, since most of a window would be skipped.
	stepBytes    = 8 << 10
	headerWindow = 4 << 10
)

var lookupScanners = sync.Pool{New: func() any { return &scanner{buf: make([]byte, lookupWindow)} }}

// lookupScanner is a pooled scanner for a few entries; give it back with done.
func lookupScanner(r io.ReaderAt, size int64) *scanner {
	s := lookupScanners.Get().(*scanner)
	s.r, s.size, s.at, s.n, s.step = r, size, 0, 0, 0
	return s
}

func (s *scanner) done() {
	s.r = nil
	lookupScanners.Put(s)
}

// window makes want bytes from pos on available, fewer only at the file's end; when it must read, it reads ahead as far as told.
func (s *scanner) window(pos int64, want, ahead int) ([]byte, error) {
	want = int(min(int64(want), s.size-pos))
	if off := pos - s.at; off >= 0 && off+int64(want) <= int64(s.n) {
		return s.buf[off:s.n], nil
	}
	n := int(min(int64(len(s.buf)), int64(ahead), s.size-pos))
	got, err := s.r.ReadAt(s.buf[:n], pos)
	s.at, s.n = pos, got
	if got < want && err == nil || err == io.EOF && got < want {
		err = io.ErrUnexpectedEOF // truncated meanwhile
	}
	if got >= want {
		err = nil
	}
	return s.buf[:got], err
}

// entry describes the entry at pos: io.EOF at the end of the file, errTorn when what is there is no entry that ends in the file.
func (s *scanner) entry(pos int64) (record.EntryInfo, error) {
	if pos >= s.size {
		return record.EntryInfo{}, io.EOF
	}
	ahead := len(s.buf)
	if s.step >= stepBytes {
		ahead = headerWindow
	}
	b, err := s.window(pos, record.EntryHeaderBytes, ahead)
	if err != nil {
		return record.EntryInfo{}, err
	}
	e, err := record.NextEntry(b)
	if err != nil {
		return e, fmt.Errorf("%w at byte %d: %w", errTorn, pos, err)
	}
	if int64(e.Size) > s.size-pos {
		return e, fmt.Errorf("%w at byte %d: %d bytes claimed, %d left", errTorn, pos, e.Size, s.size-pos)
	}
	s.step = e.Size
	return e, nil
}

// check compares the checksum of the entry e at pos, in pieces of the window: errTorn when it is wrong.
func (s *scanner) check(pos int64, e record.EntryInfo) error {
	from, at := int64(16), int64(12) // magic 0 and 1: the CRC lies before the magic byte
	table := crc32.IEEETable
	if e.Magic == 2 {
		from, at, table = 21, 17, castagnoli
	}
	b, err := s.window(pos, record.EntryHeaderBytes, len(s.buf))
	if err != nil {
		return err
	}
	want := binary.BigEndian.Uint32(b[at:])
	var crc uint32
	for p, end := pos+from, pos+int64(e.Size); p < end; {
		b, err := s.window(p, 1, len(s.buf))
		if err != nil {
			return err
		}
		b = b[:min(int64(len(b)), end-p)]
		crc = crc32.Update(crc, table, b)
		p += int64(len(b))
	}
	if crc != want {
		return fmt.Errorf("%w at byte %d: checksum %08x, header says %08x", errTorn, pos, crc, want)
	}
	return nil
}

// bytes reads the entry e at pos whole, into a new slice. For small entries: at most max bytes, else nil.
func (s *scanner) bytes(pos int64, e record.EntryInfo, max int) ([]byte, error) {
	if e.Size > max {
		return nil, nil
	}
	b := make([]byte, e.Size)
	if n, err := s.r.ReadAt(b, pos); n < len(b) {
		return nil, err
	}
	return b, nil
}

// find is the first entry from pos on that ends at offset or later; ok is false when there is none before the file's end.
func (s *scanner) find(pos, offset int64) (at int64, e record.EntryInfo, ok bool, err error) {
	for {
		e, err = s.entry(pos)
		switch {
		case err == io.EOF:
			return pos, e, false, nil
		case err != nil:
			return pos, e, false, err
		case reaches(e, offset):
			return pos, e, true, nil
		}
		pos += int64(e.Size)
	}
}
