package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ottla/internal/fs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const testCluster = 0xc1

// openLog opens /log on fsys.
func openLog(fsys fs.FS, change ...func(*LogOptions)) (*Log, error) {
	o := LogOptions{FS: fsys, Dir: "/log", Cluster: testCluster, Fresh: true, SegmentBytes: 4096, Logger: zerolog.Nop()}
	for _, fn := range change {
		fn(&o)
	}
	return OpenLog(o)
}

func mustOpen(t testing.TB, fsys fs.FS, change ...func(*LogOptions)) *Log {
	t.Helper()
	l, err := openLog(fsys, change...)
	must(t, err)
	return l
}

func behind(index, term uint64) func(*LogOptions) {
	return func(o *LogOptions) { o.Index, o.Term, o.Fresh = index, term, false }
}

func notFresh(o *LogOptions) { o.Fresh = false }

// data is what entry i holds in these tests.
func data(i uint64, size int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("<%d>", i)), size/3+1)[:size]
}

func appendN(t testing.TB, l *Log, n, size int, term uint64) {
	t.Helper()
	var list []Entry
	for range n {
		i := l.LastIndex() + uint64(len(list)) + 1
		list = append(list, Entry{Index: i, Term: term, Data: data(i, size)})
	}
	must(t, l.Append(HardState{Term: term, Vote: 1, Commit: l.LastIndex()}, list))
}

// check reads the whole log back.
func check(t testing.TB, l *Log, first, last uint64, size int) {
	t.Helper()
	if l.FirstIndex() != first || l.LastIndex() != last {
		t.Fatalf("log holds %d to %d, want %d to %d", l.FirstIndex(), l.LastIndex(), first, last)
	}
	for _, max := range []uint64{1, 100, 1 << 20} {
		for i := first; i <= last; {
			list, err := l.Entries(i, last+1, max)
			must(t, err)
			if len(list) == 0 {
				t.Fatal("no entries")
			}
			for _, e := range list {
				term, err := l.Term(i)
				must(t, err)
				if e.Index != i || e.Term != term || !bytes.Equal(e.Data, data(i, size)) {
					t.Fatalf("entry %d: %+v, term %d", i, e, term)
				}
				i++
			}
		}
	}
}

func segments(t testing.TB, fsys fs.FS) []string {
	t.Helper()
	list, err := fsys.ReadDir("/log")
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, strings.TrimLeft(strings.TrimSuffix(e.Name(), ".wal"), "0"))
	}
	return names
}

func TestLogSurvivesReopening(t *testing.T) {
	c := fs.NewCrash()
	l := mustOpen(t, c)
	appendN(t, l, 3, 100, 1)
	appendN(t, l, 120, 100, 2) // more than one segment in one group
	must(t, l.Append(HardState{Term: 3, Vote: 2, Commit: 120}, nil))
	check(t, l, 1, 123, 100)
	must(t, l.Close())
	l = mustOpen(t, c, notFresh)
	check(t, l, 1, 123, 100)
	if hs := l.HardState(); hs != (HardState{3, 2, 120}) {
		t.Errorf("hard state %+v", hs)
	}
	if term, _ := l.Term(3); term != 1 {
		t.Errorf("term of 3 is %d", term)
	}
	if r := l.Recovered(); r.Entries != 123 || r.Segments != 5 || r.TornFile != "" {
		t.Errorf("recovered %+v", r)
	}
	appendN(t, l, 10, 100, 3)
	check(t, l, 1, 133, 100)
	must(t, l.Close())
	check(t, mustOpen(t, c, notFresh), 1, 133, 100)
}

func TestLogOfLargeAndEmptyEntries(t *testing.T) {
	c := fs.NewCrash()
	l := mustOpen(t, c)
	for i, size := range []int{0, 10000, 0, 5000, 3, 300000} {
		must(t, l.Append(HardState{Term: 1}, []Entry{{Index: uint64(i + 1), Term: 1, Membership: i == 2, Data: data(uint64(i+1), size)}}))
	}
	must(t, l.Close())
	l = mustOpen(t, c, notFresh)
	list, err := l.Entries(1, 7, 1<<30)
	must(t, err)
	for i, size := range []int{0, 10000, 0, 5000, 3, 300000} {
		if e := list[i]; !bytes.Equal(e.Data, data(e.Index, size)) || e.Membership != (i == 2) {
			t.Errorf("entry %d has %d bytes", e.Index, len(e.Data))
		}
	}
}

func TestLogRange(t *testing.T) {
	l := mustOpen(t, fs.NewCrash(), func(o *LogOptions) { o.Index, o.Term = 10, 4 })
	if l.FirstIndex() != 11 || l.LastIndex() != 10 {
		t.Fatalf("empty log holds %d to %d", l.FirstIndex(), l.LastIndex())
	}
	appendN(t, l, 5, 10, 5)
	for _, tc := range []struct {
		index, term uint64
		err         error
	}{{9, 0, ErrCompacted}, {10, 4, nil}, {11, 5, nil}, {15, 5, nil}, {16, 0, ErrUnavailable}} {
		if term, err := l.Term(tc.index); term != tc.term || err != tc.err {
			t.Errorf("term of %d: %d, %v", tc.index, term, err)
		}
	}
	if _, err := l.Entries(10, 12, 100); err != ErrCompacted {
		t.Errorf("entries from the checkpoint: %v", err)
	}
	if _, err := l.Entries(11, 17, 100); err != ErrUnavailable {
		t.Errorf("entries beyond the end: %v", err)
	}
	if err := l.Append(HardState{}, []Entry{{Index: 17, Term: 5}}); err == nil {
		t.Error("a gap was written")
	}
	if err := l.Append(HardState{}, []Entry{{Index: 16, Term: 5}}); err == nil {
		t.Error("written after a failure")
	}
}

func TestCompactRemovesWholeSegments(t *testing.T) {
	c := fs.NewCrash()
	l := mustOpen(t, c)
	for range 100 {
		appendN(t, l, 1, 100, 1)
	}
	before := segments(t, c)
	if len(before) < 4 {
		t.Fatalf("segments %v", before)
	}
	remove := l.Compact(60)
	if got := segments(t, c); len(got) != len(before) {
		t.Errorf("Compact removed files itself: %v", got)
	}
	check(t, l, 61, 100, 100)
	must(t, remove())
	check(t, l, 61, 100, 100)
	if got := segments(t, c); len(got) >= len(before) || got[0] > "3d" {
		t.Errorf("segments %v after compaction to 60 (3c), before %v", got, before)
	}
	must(t, l.Compact(100)())
	if got := segments(t, c); len(got) != 1 {
		t.Errorf("segments %v", got)
	}
	appendN(t, l, 3, 100, 1)
	must(t, l.Close())
	l = mustOpen(t, c, behind(100, 1))
	check(t, l, 101, 103, 100)
	if l.HardState().Term != 1 || l.HardState().Commit != 100 {
		t.Errorf("hard state %+v", l.HardState())
	}
}

func TestCompactInterrupted(t *testing.T) {
	c := fs.NewCrash()
	l := mustOpen(t, c)
	for range 200 {
		appendN(t, l, 1, 100, 1)
	}
	names := segments(t, c)
	c.Persist()
	l.Compact(190) // and never removed
	must(t, l.Close())
	// Only some of the removals reached the disk, in no order.
	must(t, c.Remove(segmentPath("/log", 1)))
	must(t, c.Remove("/log/"+strings.Repeat("0", 16-len(names[2]))+names[2]+".wal"))
	l = mustOpen(t, c, behind(190, 1))
	check(t, l, 191, 200, 100)
	if got := segments(t, c); len(got) > 2 {
		t.Errorf("left over: %v", got)
	}
}

func TestCommitAloneIsNotSynced(t *testing.T) {
	c := fs.NewCrash()
	l := mustOpen(t, c)
	appendN(t, l, 1, 10, 1)
	syncs := func() (n int) {
		for _, e := range c.Trace() {
			if e.Op&fs.AnySync != 0 {
				n++
			}
		}
		return n
	}
	before := syncs()
	must(t, l.Append(HardState{Term: 1, Vote: 1, Commit: 1}, nil))
	if syncs() != before {
		t.Error("a commit index alone was synced")
	}
	must(t, l.Append(HardState{Term: 2, Vote: 1, Commit: 1}, nil))
	if syncs() != before+1 {
		t.Error("a new term was not synced")
	}
	if n := c.Ops(); l.Append(HardState{Term: 2, Vote: 1, Commit: 1}, nil) != nil || c.Ops() != n {
		t.Error("an unchanged hard state was written")
	}
}

func TestDamageRefusesTheStart(t *testing.T) {
	build := func(t *testing.T) *fs.Crash {
		c := fs.NewCrash()
		l := mustOpen(t, c)
		for range 100 {
			appendN(t, l, 1, 100, 1)
		}
		return c
	}
	corrupt := func(t *testing.T, c *fs.Crash, seg int, off int64, b ...byte) string {
		names := segments(t, c)
		path := "/log/" + strings.Repeat("0", 16-len(names[seg])) + names[seg] + ".wal"
		f, err := c.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt(b, off)
		must(t, err)
		return path
	}
	record := recordSize(100) + recordSize(8) // one group
	first := recordSize(segmentHeader)
	for _, tc := range []struct {
		name   string
		do     func(t *testing.T, c *fs.Crash) string
		offset int64
		want   string
	}{
		{"a byte of a record of a sealed segment", func(t *testing.T, c *fs.Crash) string { return corrupt(t, c, 1, first+record*3+50, 'X') }, first + record*3, "truncate -s"},
		{"a length in the last segment", func(t *testing.T, c *fs.Crash) string { return corrupt(t, c, 4, first+record+7, 0xff) }, first + record, "durable once"},
		{"a zeroed record in the last segment", func(t *testing.T, c *fs.Crash) string {
			return corrupt(t, c, 4, first+record, make([]byte, recordSize(100))...)
		}, first + record, "durable once"},
		{"the header of a sealed segment", func(t *testing.T, c *fs.Crash) string { return corrupt(t, c, 2, 33, 'x') }, 0, "header"},
		{"the header of the last segment", func(t *testing.T, c *fs.Crash) string { return corrupt(t, c, 4, 33, 'x') }, 0, "header"},
		{"a missing segment", func(t *testing.T, c *fs.Crash) string {
			names := segments(t, c)
			must(t, c.Remove("/log/"+strings.Repeat("0", 16-len(names[2]))+names[2]+".wal"))
			return "/log/" + strings.Repeat("0", 16-len(names[1])) + names[1] + ".wal"
		}, -1, "missing"},
		{"the first segment missing", func(t *testing.T, c *fs.Crash) string {
			must(t, c.Remove(segmentPath("/log", 1)))
			return segmentPath("/log", 0x17)
		}, -1, "begins with entry 23"},
		{"the end of a sealed segment", func(t *testing.T, c *fs.Crash) string {
			f, err := c.OpenFile(segmentPath("/log", 1), os.O_RDWR, 0)
			must(t, err)
			must(t, f.Truncate(first+record*2))
			return segmentPath("/log", 1)
		}, first + record*2, "records at its end are missing"},
		{"a renamed segment", func(t *testing.T, c *fs.Crash) string {
			must(t, c.Rename(segmentPath("/log", 1), segmentPath("/log", 2)))
			must(t, c.Remove(segmentPath("/log", 0x17)))
			return "/log"
		}, -1, ""},
		{"no log at all", func(t *testing.T, c *fs.Crash) string {
			must(t, c.RemoveAll("/log"))
			return "/log"
		}, -1, "log is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := build(t)
			path := tc.do(t, c)
			c.Persist()
			_, err := openLog(c, notFresh)
			var d *DamageError
			if !errors.As(err, &d) {
				t.Fatalf("opened: %v", err)
			}
			if !strings.HasPrefix(d.File, path) || tc.offset >= 0 && d.Offset != tc.offset || !strings.Contains(d.Error(), tc.want) || d.Way == "" {
				t.Errorf("%+v", d)
			}
			if tc.offset > 0 && !strings.Contains(d.Error(), fmt.Sprint(tc.offset)) {
				t.Errorf("message without the offset: %s", d)
			}
			// Refused means untouched.
			if _, again := openLog(c, notFresh); again == nil || again.Error() != err.Error() {
				t.Errorf("second start: %v", again)
			}
		})
	}
}

// The way out that the error names works.
func TestWayOutOfDamage(t *testing.T) {
	dir := t.TempDir()
	open := func(change ...func(*LogOptions)) (*Log, error) {
		return openLog(fs.OS, append([]func(*LogOptions){func(o *LogOptions) { o.Dir, o.Fresh = dir, false }}, change...)...)
	}
	l, err := open(func(o *LogOptions) { o.Fresh = true })
	must(t, err)
	for range 100 {
		appendN(t, l, 1, 100, 7)
	}
	must(t, l.Close())
	path := segmentPath(dir, 0x17)
	b, err := os.ReadFile(path)
	must(t, err)
	b[1000] ^= 1
	must(t, os.WriteFile(path, b, 0o644))
	_, err = open()
	var d *DamageError
	if !errors.As(err, &d) || d.File != path {
		t.Fatalf("%v", err)
	}
	for _, cmd := range strings.Split(d.Way[strings.Index(d.Way, ": ")+2:], " && ") {
		var size int64
		var file string
		if n, _ := fmt.Sscanf(cmd, "truncate -s %d %s", &size, &file); n == 2 {
			must(t, os.Truncate(strings.Trim(file, "'"), size))
		} else if n, _ := fmt.Sscanf(cmd, "rm %s", &file); n == 1 {
			must(t, os.Remove(strings.Trim(file, "'")))
		} else {
			t.Fatalf("cannot run %q", cmd)
		}
	}
	l, err = open()
	must(t, err)
	check(t, l, 1, l.LastIndex(), 100)
	if l.LastIndex() < 0x17 || l.LastIndex() > 0x20 || l.HardState().Term != 7 {
		t.Errorf("left %d entries, %+v", l.LastIndex(), l.HardState())
	}
	must(t, l.Close())

	// A checkpoint further on than what is left of the log.
	_, err = open(behind(90, 7))
	if !errors.As(err, &d) || !strings.Contains(d.Way, restartMark) {
		t.Fatalf("%v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, restartMark), nil, 0o644))
	l, err = open(behind(90, 7))
	must(t, err)
	if l.FirstIndex() != 91 || l.LastIndex() != 90 || l.HardState().Term != 7 {
		t.Errorf("restarted with %d to %d, %+v", l.FirstIndex(), l.LastIndex(), l.HardState())
	}
	appendN(t, l, 3, 100, 8)
	must(t, l.Close())
	l, err = open(behind(90, 7)) // the mark is used up
	must(t, err)
	check(t, l, 91, 93, 100)
	must(t, l.Close())
}

func TestForeignLogIsRefused(t *testing.T) {
	c := fs.NewCrash()
	must(t, mustOpen(t, c).Close())
	if _, err := openLog(c, notFresh, func(o *LogOptions) { o.Cluster = 0xc2 }); err == nil || !strings.Contains(err.Error(), "00000000000000c1") {
		t.Errorf("log of another cluster: %v", err)
	}
	l := mustOpen(t, c, notFresh)
	appendN(t, l, 3, 10, 1)
	must(t, l.Close())
	if _, err := openLog(c, behind(2, 9)); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("checkpoint of another history: %v", err)
	}
}

func TestFailureIsFinal(t *testing.T) {
	for _, op := range []fs.Op{fs.OpWrite, fs.OpDatasync, fs.OpSyncDir, fs.OpCreate, fs.OpPreallocate} {
		t.Run(op.String(), func(t *testing.T) {
			c := fs.NewCrash()
			f := fs.NewFaulty(c)
			l := mustOpen(t, f)
			appendN(t, l, 1, 100, 1)
			rule := f.Inject(fs.Rule{Op: op, Err: os.ErrDeadlineExceeded, Times: 1, Short: 40})
			var err error
			for range 40 { // soon a new segment is needed
				i := l.LastIndex() + 1
				if err = l.Append(l.HardState(), []Entry{{Index: i, Term: 1, Data: data(i, 100)}}); err != nil {
					break
				}
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) || l.Err() == nil {
				t.Fatalf("append: %v", err)
			}
			rule.Remove()
			n := c.Ops()
			if err := l.Append(l.HardState(), []Entry{{Index: l.LastIndex() + 1, Term: 1}}); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("append after a failure: %v", err)
			}
			if err := l.Close(); err == nil {
				t.Error("clean close after a failure")
			}
			if c.Ops() != n {
				t.Errorf("wrote on after a failure: %v", c.Trace()[n:])
			}
		})
	}
}

// The example in doc.go.
func TestFormatExample(t *testing.T) {
	b, crc := appendRecord(nil, record{kind: kindEntry, synced: 80, term: 2, index: 7, payload: []byte("hello")})
	want := "05000000" + "03000000" + "50000000" + "0200000000000000" + "0700000000000000" + "68656c6c6f000000"
	if got := hex.EncodeToString(b[4:]); got != want {
		t.Errorf("record %s, want %s", got, want)
	}
	if crc == 0 || recordSize(segmentHeader) != 80 {
		t.Errorf("checksum %08x, segment header of %d bytes", crc, recordSize(segmentHeader))
	}
}
