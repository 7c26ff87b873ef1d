package store

import (
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

const segmentSuffix = ".wal"

// segment is what the Log knows about one of its files.
type segment struct {
	path  string
	first uint64 // index of the first entry that it holds or will hold
	end   int64  // offset behind its last record
	marks []mark // sparse: one for the first record and then one for every markEvery bytes, by index
}

// mark says where an entry begins.
type mark struct {
	index uint64
	off   int64
}

const markEvery = 64 << 10

// note remembers where an entry begins, if it is far enough from the last one noted.
func (s *segment) note(index uint64, off int64) {
	if n := len(s.marks); n == 0 || off-s.marks[n-1].off >= markEvery {
		s.marks = append(s.marks, mark{index, off})
	}
}

// seek returns the offset of an entry at or before index; false if the segment holds none.
func (s *segment) seek(index uint64) (int64, bool) {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index > index })
	if i == 0 {
		return 0, false
	}
	return s.marks[i-1].off, true
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", first, segmentSuffix))
}

// parseSegmentName is the inverse of segmentPath.
func parseSegmentName(name string) (first uint64, ok bool) {
	base, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(base) != 16 {
		return 0, false
	}
	first, err := strconv.ParseUint(base, 16, 64)
	return first, err == nil && fmt.Sprintf("%016x", first) == base
}

// termRun is a run of entries of one term, from index on.
type termRun struct {
	index, term uint64
}

// terms answers which term an entry has. The runs rise in both fields.
type terms []termRun

func (t *terms) add(index, term uint64) {
	if n := len(*t); n == 0 || (*t)[n-1].term != term {
		*t = append(*t, termRun{index, term})
	}
}

func (t terms) at(index uint64) (uint64, bool) {
	i := sort.Search(len(t), func(i int) bool { return t[i].index > index })
	if i == 0 {
		return 0, false
	}
	return t[i-1].term, true
}

// drop forgets everything before index.
func (t *terms) drop(index uint64) {
	i := sort.Search(len(*t), func(i int) bool { return (*t)[i].index > index })
	if i > 1 {
		*t = append(terms(nil), (*t)[i-1:]...)
	}
}
