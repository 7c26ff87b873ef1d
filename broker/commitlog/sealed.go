package commitlog

import (
	"io/fs"
	"os"
	"sort"
)

// What readers need of segments, active or sealed. Only file calls can fail here; fs.ErrNotExist means that the segment has been
// deleted meanwhile.

// pageEntries is how many offset entries a cached page has.
const pageEntries = 4096 / offsetEntrySize

// open returns the segment's file of a kind with a reference for the caller.
func (l *Log) open(s *segment, kind fileKind) (*handle, error) {
	if kind == logFile && s.active != nil {
		if !s.active.file.acquire() {
			return nil, fs.ErrNotExist // sealed and let go, or the log closed
		}
		return s.active.file, nil
	}
	return l.o.Cache.open(fileKey{s.id, kind}, func() (*handle, error) {
		l.renames.RLock()
		defer l.renames.RUnlock()
		if s.replaced.Load() {
			return nil, fs.ErrNotExist // the name is another segment's, and the list another one, too
		}
		return l.openFile(s.base, kind)
	})
}

// openFile opens a file of the segment that begins at base.
func (l *Log) openFile(base int64, kind fileKind) (*handle, error) {
	l.o.IO.Acquire()
	defer l.o.IO.Release()
	f, err := l.o.FS.OpenFile(name(l.dir, base, suffixes[kind]), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return newHandle(f, l.o.IO), nil
}

// start is the position where a scan for offset may begin. An index that cannot be read or makes no sense costs time only: the
// scan begins at 0.
func (l *Log) start(s *segment, offset int64) int64 {
	rel := offset - s.base
	if s.active != nil {
		if pos, ok := s.active.tail.find(offset); ok {
			return pos
		}
		return s.active.ix.lookup(rel)
	}
	e, ok := l.searchPages(s, func(e offsetEntry) bool { return int64(e.rel) <= rel }, true)
	if !ok || int64(e.pos) >= s.size.Load() || e.pos < 0 {
		return 0
	}
	return int64(e.pos)
}

// after is the last offset of the first indexed batch at pos or behind it; s.next when there is none.
func (l *Log) after(s *segment, pos int64) int64 {
	if s.active != nil {
		if rel, ok := s.active.ix.after(pos); ok {
			return s.base + int64(rel)
		}
		return s.next
	}
	if e, ok := l.searchPages(s, func(e offsetEntry) bool { return int64(e.pos) < pos }, false); ok {
		return s.base + int64(e.rel)
	}
	return s.next
}

// searchPages searches a sealed segment's offset index, of which before holds for a prefix: the last entry of that prefix, or the
// first one behind it.
func (l *Log) searchPages(s *segment, before func(offsetEntry) bool, last bool) (found offsetEntry, ok bool) {
	pages := (s.offsetEntries + pageEntries - 1) / pageEntries
	failed := false
	get := func(p int) []byte {
		b, err := l.page(s, int32(p))
		if err != nil || len(b) < offsetEntrySize {
			failed = true
			return nil
		}
		return b
	}
	// The page whose first entry is the last for which before holds has the end of the prefix.
	p := sort.Search(pages, func(p int) bool {
		b := get(p)
		return b == nil || !before(decodeOffset(b))
	}) - 1
	if failed {
		return found, false
	}
	i, n := 0, 0
	var b []byte
	if p >= 0 {
		if b = get(p); b == nil {
			return found, false
		}
		n = len(b) / offsetEntrySize
		i = sort.Search(n, func(i int) bool { return !before(decodeOffset(b[i*offsetEntrySize:])) })
	}
	switch {
	case last && i > 0:
		return decodeOffset(b[(i-1)*offsetEntrySize:]), true
	case last:
		return found, false
	case i < n:
		return decodeOffset(b[i*offsetEntrySize:]), true
	case p+1 < pages:
		if b = get(p + 1); b != nil {
			return decodeOffset(b), true
		}
	}
	return found, false
}

// page reads page p of a sealed segment's offset index.
func (l *Log) page(s *segment, p int32) ([]byte, error) {
	return l.o.Cache.page(pageKey{s.id, p}, func() ([]byte, error) {
		from := int64(p) * pageEntries * offsetEntrySize
		b := make([]byte, min(pageEntries*offsetEntrySize, int64(s.offsetEntries)*offsetEntrySize-from))
		return b, l.readFile(s, indexFile, b, from)
	})
}

// readFile fills b from one of the segment's files.
func (l *Log) readFile(s *segment, kind fileKind, b []byte, at int64) error {
	h, err := l.open(s, kind)
	if err != nil {
		return err
	}
	defer h.release()
	n, err := h.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	return err
}

// noTokens bounds nothing.
type noTokens struct{}

func (noTokens) Acquire() {}
func (noTokens) Release() {}

// timeStart is an offset at or before the first record with a timestamp of at least ts.
func (l *Log) timeStart(s *segment, ts int64) (int64, error) {
	if s.active != nil {
		return s.base + int64(s.active.ix.lookupTime(ts)), nil
	}
	var err error
	entry := func(i int) (e timeEntry) {
		var b [timeEntrySize]byte
		if rerr := l.readFile(s, timeIndexFile, b[:], int64(i)*timeEntrySize); rerr != nil {
			err = rerr
			return e
		}
		return decodeTime(b[:])
	}
	i := sort.Search(s.timeEntries, func(i int) bool { return err != nil || entry(i).ts > ts })
	if i == 0 || err != nil {
		return s.base, err
	}
	e := entry(i - 1)
	return s.base + int64(e.rel), err
}

// aborted are the segment's aborted transactions, by last offset.
func (l *Log) aborted(s *segment) ([]AbortedTxn, error) {
	if s.active != nil {
		g := &s.active.ix.txns
		ts := make([]AbortedTxn, g.len())
		for i := range ts {
			ts[i] = g.at(i)
		}
		return ts, nil
	}
	if !s.txns {
		return nil, nil
	}
	h, err := l.open(s, txnIndexFile)
	if err != nil {
		return nil, err
	}
	defer h.release()
	st, err := h.file.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, st.Size())
	if n, err := h.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return goodTxns(b), nil
}
