package commitlog

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ottla/broker/record"
	"ottla/internal/fs"
)

// TestCutAtEveryByte cuts the last segment's file at every length: what is whole stays, the rest goes, and the log works on.
func TestCutAtEveryByte(t *testing.T) {
	c := fs.NewCrash()
	o := testOptions(t, "/d/t-0")
	o.FS, o.Settings.SegmentBytes, o.Settings.IndexIntervalBytes = c, 500, 100
	l := open(t, o)
	for i := range 12 {
		set := batch{n: 1 + i%3, producer: 5, sequence: int32(l.LogEnd()), txn: i%2 == 0}.set()
		set.ClientOrigin = false
		appendAll(t, l, set)
		if i%2 == 0 {
			appendAll(t, l, marker(5, 0, record.ControlType(i/2%2), 0))
		}
		if i == 7 {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := l.activeSegment()
	ends := map[int64]int64{0: last.base} // position in the last segment -> offset there
	if _, err := l.entries(last, 0, func(pos int64, e record.EntryInfo, _ *scanner) error {
		ends[pos+int64(e.Size)] = e.NextOffset()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	whole := consume(t, l, l.LogEnd(), 1<<20, false)
	for size := int64(0); size <= last.size.Load(); size++ {
		cut := c.Survivor(fs.KeepAll, 0)
		f, err := cut.OpenFile(name("/d/t-0", last.base, ".log"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		f.Close()
		at := size
		for ends[at] == 0 && at > 0 {
			at--
		}
		again := o
		again.FS, again.CleanShutdown, again.RecoveryPoint, again.Logger = cut, false, min(l.RecoveryPoint(), ends[at]), l.o.Logger.Level(5)
		r, err := Open(again)
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		if r.LogEnd() != ends[at] || r.SyncedEnd() != ends[at] {
			t.Fatalf("cut at %d: ends at %d, synced %d, want %d", size, r.LogEnd(), r.SyncedEnd(), ends[at])
		}
		got := consume(t, r, r.LogEnd(), 1<<20, false)
		if !slices.Equal(got, whole[:len(got)]) {
			t.Fatalf("cut at %d: %v", size, got)
		}
		appendAll(t, r, batch{}.set())
		if got := consume(t, r, r.LogEnd(), 1<<20, false); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], fmt.Sprint(ends[at])) {
			t.Fatalf("cut at %d: the next record is %v", size, got)
		}
		if err := r.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrashAnytime runs random work, kills it at random moments (the directory as it is then), spoils its tail at random, and opens it
// again: what was below the recovery point is all there, what is behind it is a prefix of what was appended.
func TestCrashAnytime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := fs.NewCrash()
		o := testOptions(t, "/d/t-0")
		o.Logger = o.Logger.Level(5)
		o.FS, o.Settings.SegmentBytes, o.Settings.IndexIntervalBytes, o.SnapshotEveryBytes = c, 600, 80, 200
		l, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		var want []string
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				n := rapid.IntRange(1, 4).Draw(rt, "sets")
				var sets []*AppendSet
				for range n {
					sets = append(sets, batch{n: rapid.IntRange(1, 4).Draw(rt, "n"), size: rapid.IntRange(1, 100).Draw(rt, "size"), ts: int64(rapid.IntRange(0, 50).Draw(rt, "ts"))}.set())
				}
				appendAll(t, l, sets...)
				want = consume(t, l, l.LogEnd(), 1<<20, false)
			},
			"flush": func(rt *rapid.T) {
				if err := l.Flush(); err != nil {
					rt.Fatal(err)
				}
			},
			"roll": func(rt *rapid.T) {
				if err := l.Roll(); err != nil {
					rt.Fatal(err)
				}
			},
			"crash": func(rt *rapid.T) {
				point := l.RecoveryPoint()
				c = c.Survivor(fs.KeepAll, 0)
				again := o
				again.FS, again.CleanShutdown, again.RecoveryPoint = c, false, rapid.Int64Range(0, point).Draw(rt, "checkpointed")
				end := l.LogEnd()
				whole := true
				last := l.activeSegment()
				if rapid.Bool().Draw(rt, "spoil") && last.base >= point && last.size.Load() > 0 {
					var starts []int64
					if _, err := l.entries(last, 0, func(pos int64, _ record.EntryInfo, _ *scanner) error { starts = append(starts, pos); return nil }); err != nil {
						rt.Fatal(err)
					}
					spoil(rt, c, name("/d/t-0", last.base, ".log"), last.size.Load(), starts)
					whole = false
				}
				if rapid.Bool().Draw(rt, "indexes") {
					spoilIndexes(rt, c, last.base)
				}
				_ = l.Close(false)
				if l, err = Open(again); err != nil {
					rt.Fatal(err)
				}
				l.SetHighWatermark(l.LogEnd())
				if l.LogEnd() < point || l.LogEnd() > end || whole && l.LogEnd() != end {
					rt.Fatalf("ends at %d, was %d, flushed up to %d", l.LogEnd(), end, point)
				}
				want = want[:l.LogEnd()]
			},
			"": func(rt *rapid.T) {
				got := consume(t, l, l.LogEnd(), rapid.IntRange(1, 500).Draw(rt, "maxBytes"), false)
				if !slices.Equal(got, want) {
					rt.Fatalf("%d records, want %d:\n%v\n%v", len(got), len(want), got, want)
				}
			},
		})
		_ = l.Close(false)
	})
}

// spoil cuts, lengthens or flips a file.
func spoil(rt *rapid.T, c *fs.Crash, path string, size int64, starts []int64) {
	f, err := c.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		rt.Fatal(err)
	}
	defer f.Close()
	at := rapid.Int64Range(0, size-1).Draw(rt, "at")
	switch rapid.SampledFrom([]string{"cut", "zeros", "garbage", "flip"}).Draw(rt, "how") {
	case "cut":
		err = f.Truncate(at)
	case "zeros":
		err = f.Truncate(size + at)
	case "garbage":
		_, err = f.WriteAt(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(rt, "bytes"), size)
	case "flip":
		i, found := slices.BinarySearch(starts, at)
		if !found {
			i--
		}
		if in := at - starts[i]; in < 8 || in >= 12 && in < 16 {
			at = starts[i] + 20 // neither base offset nor leader epoch is covered by the checksum
		}
		b := make([]byte, 1)
		if _, err = f.ReadAt(b, at); err == nil {
			b[0] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			_, err = f.WriteAt(b, at)
		}
	}
	if err != nil {
		rt.Fatal(err)
	}
}

// spoilIndexes damages or removes the indexes of a segment: they are caches.
func spoilIndexes(rt *rapid.T, c *fs.Crash, base int64) {
	for _, kind := range []fileKind{indexFile, timeIndexFile} {
		path := name("/d/t-0", base, suffixes[kind])
		st, err := c.Stat(path)
		if err != nil {
			continue
		}
		switch rapid.SampledFrom([]string{"keep", "remove", "cut", "zeros", "flip"}).Draw(rt, "index") {
		case "remove":
			err = c.Remove(path)
		case "cut", "zeros", "flip":
			var f fs.File
			if f, err = c.OpenFile(path, os.O_RDWR, 0); err != nil {
				rt.Fatal(err)
			}
			at := rapid.Int64Range(0, st.Size()).Draw(rt, "indexAt")
			if err = f.Truncate(at); err == nil && rapid.Bool().Draw(rt, "preallocated") {
				err = f.Truncate(at + 96)
			}
			f.Close()
		}
		if err != nil {
			rt.Fatal(err)
		}
	}
}

// TestLostFirstSector: of the last batch the disk has everything but its first bytes, which lie in the sector of the batch before.
func TestLostFirstSector(t *testing.T) {
	const start = 0x0102030405060708
	for lost := range int64(record.HeaderSize + 1) {
		c := fs.NewCrash()
		o := testOptions(t, "/d/t-0")
		o.FS, o.LogStartOffset, o.Logger = c, start, o.Logger.Level(5)
		l := open(t, o)
		if err := l.Append(0x01010101, []*AppendSet{batch{n: 3}.set()}); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		at := l.Size()
		if err := l.Append(0x01010101, []*AppendSet{batch{n: 3}.set()}); err != nil {
			t.Fatal(err)
		}
		f, err := c.OpenFile(name(o.Dir, start, ".log"), os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(make([]byte, lost), at)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		o.CleanShutdown, o.RecoveryPoint = false, l.RecoveryPoint()
		_ = l.Close(false)
		want := int64(start + 3)
		if lost == 0 {
			want = start + 6
		}
		if again := open(t, o); again.LogEnd() != want {
			t.Errorf("without its first %d bytes: ends at %d, want %d", lost, again.LogEnd()-start, want-start)
		}
	}
}

// TestDamagedIndexesOfSealedSegments removes and damages the indexes of a log that was closed cleanly: they are built anew.
func TestDamagedIndexesOfSealedSegments(t *testing.T) {
	for _, suffix := range suffixes[indexFile:] {
		for how, spoil := range map[string]func(path string, b []byte) error{
			"missing": func(path string, _ []byte) error { return os.Remove(path) },
			"cut":     func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-3], 0o644) },
			"zeros":   func(path string, b []byte) error { return os.WriteFile(path, append(b, make([]byte, 68*12)...), 0o644) },
			"beyond the file": func(path string, b []byte) error {
				binary.BigEndian.PutUint32(b[len(b)-4:], 1<<30)
				return os.WriteFile(path, b, 0o644)
			},
		} {
			t.Run(how+suffix, func(t *testing.T) {
				dir := unpack(t, "clean")
				files, err := filepath.Glob(filepath.Join(dir, "*", "*"+suffix))
				if err != nil || len(files) == 0 {
					t.Fatal(files, err)
				}
				for _, path := range files {
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if len(b) == 0 || suffix == ".txnindex" && how != "cut" {
						continue // without the file there is no telling that there was one
					}
					if err := spoil(path, b); err != nil {
						t.Fatal(err)
					}
				}
				logs := openAll(t, dir, func(o *Options) { o.Logger = o.Logger.Level(5) })
				compare(t, logs, readListing(t, "clean"), 500)
				for p, l := range logs {
					if p.Topic == "segments" {
						for offset := range l.LogEnd() {
							s, err := l.Read(offset, l.LogEnd(), 1, true)
							if err != nil || s.Len == 0 {
								t.Fatalf("offset %d: %d bytes, %v", offset, s.Len, err)
							}
							s.Release()
						}
					}
				}
			})
		}
	}
}

// TestSwaps finishes, or undoes, what a cleaner left when its broker died.
func TestSwaps(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.SegmentBytes = 200
	l := open(t, o)
	for range 8 {
		appendAll(t, l, batch{n: 2}.set())
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	segs := *l.segments.Load()
	if len(segs) != 4 {
		t.Fatalf("%d segments", len(segs))
	}
	first, err := os.ReadFile(name(l.Dir(), segs[0].base, ".log"))
	if err != nil {
		t.Fatal(err)
	}
	// Segments 0 and 1 were cleaned into one that holds batches of both: as if only the first of each had been kept.
	second, err := os.ReadFile(name(l.Dir(), segs[1].base, ".log"))
	if err != nil {
		t.Fatal(err)
	}
	cleaned := append(slices.Clone(first[:len(first)/2]), second...)
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  int // records
	}{
		{"complete", map[string][]byte{"00000000000000000000.log.swap": cleaned, "00000000000000000000.index.swap": nil, "00000000000000000000.timeindex.swap": nil}, 14},
		{"unfinished", map[string][]byte{"00000000000000000000.log.cleaned": cleaned, "00000000000000000000.index.cleaned": nil}, 16},
		{"a split, unfinished", map[string][]byte{"00000000000000000000.log.cleaned": cleaned, "00000000000000000004.log.swap": cleaned}, 16},
		{"deleted", map[string][]byte{"00000000000000000099.log.deleted": first, "00000000000000000099.index.deleted": nil}, 16},
		{"an index without a log", map[string][]byte{"00000000000000000099.index": first}, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := o
			o.Dir, o.Logger, o.Cleaned = copyDir(t, l.Dir()), o.Logger.Level(5), true
			for file, b := range c.files {
				if err := os.WriteFile(filepath.Join(o.Dir, file), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			again := open(t, o)
			if got := consume(t, again, again.LogEnd(), 1<<20, false); len(got) != c.want || again.LogEnd() != 16 {
				t.Errorf("%d records up to %d, want %d", len(got), again.LogEnd(), c.want)
			}
			left, _ := os.ReadDir(o.Dir)
			for _, e := range left {
				if x := filepath.Ext(e.Name()); x == ".swap" || x == ".cleaned" || x == ".deleted" || strings.HasPrefix(e.Name(), "00000000000000000099") {
					t.Errorf("%s is left", e.Name())
				}
			}
		})
	}
}
