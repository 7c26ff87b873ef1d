package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/record"
	"ottla/internal/fs"
)

func TestAppendStampsAndWritesOnce(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.FS = f
	l := open(t, o)
	sets := []*AppendSet{batch{n: 3}.set(), batch{n: 1}.set(), setOf(append(batch{n: 2}.build(), batch{n: 4}.build()...), false)}
	if err := l.Append(7, sets); err != nil {
		t.Fatal(err)
	}
	var got [][2]int64
	for _, s := range sets {
		got = append(got, [2]int64{s.FirstOffset, s.LastOffset})
		for b, i := s.Records, 0; len(b) > 0; i++ {
			h, err := record.ParseHeader(b)
			if err != nil || h != s.Batches[i] || h.LeaderEpoch != 7 || record.CheckCRC(b) != nil {
				t.Errorf("batch %d: %v, header in the set %v, %v", i, h, s.Batches[i], err)
			}
			b = b[h.Size():]
		}
	}
	if diff := cmp.Diff([][2]int64{{0, 2}, {3, 3}, {4, 9}}, got); diff != "" {
		t.Error(diff)
	}
	if l.LogEnd() != 10 || l.SyncedEnd() != 0 {
		t.Errorf("log ends at %d, synced %d", l.LogEnd(), l.SyncedEnd())
	}
	if e, end := l.EndOffsetForEpoch(7); e != 7 || end != 10 {
		t.Errorf("epoch 7: %d ends at %d", e, end)
	}
}

func TestEachSetFailsAlone(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.SegmentBytes = 1000
	l := open(t, o)
	first := batch{producer: 1, sequence: 0, n: 2}
	sets := []*AppendSet{
		first.set(),
		batch{producer: 1, sequence: 5}.set(), // a gap, on staged state
		batch{producer: 1, sequence: 2}.set(), // follows the first
		first.set(),                           // repeats the first, still staged
		batch{size: 2000}.set(),               // larger than a segment
		{},                                    // nothing
		{Records: []byte("x")},                // no batch
		batch{producer: 1, sequence: 3, epoch: 1}.set(), // a new epoch must begin at 0
		batch{}.set(),
	}
	if err := l.Append(0, sets); err != nil {
		t.Fatal(err)
	}
	want := []string{"0-1", "OUT_OF_ORDER_SEQUENCE_NUMBER", "2-2", "dup 0-1", "RECORD_LIST_TOO_LARGE", "-1--1", "INVALID_RECORD", "OUT_OF_ORDER_SEQUENCE_NUMBER", "3-3"}
	var got []string
	for _, s := range sets {
		x := fmt.Sprintf("%d-%d", s.FirstOffset, s.LastOffset)
		var ke *kerr.Error
		if errors.As(s.Err, &ke) {
			x = ke.Message
		} else if s.Duplicate {
			x = "dup " + x
		}
		got = append(got, x)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if l.LogEnd() != 4 {
		t.Errorf("log ends at %d", l.LogEnd())
	}
}

func TestDuplicateGetsTheFirstTime(t *testing.T) {
	l := open(t, testOptions(t, t.TempDir()+"/t-0"))
	b := batch{producer: 1, ts: 4711, n: 3}
	appendAll(t, l, batch{}.set(), b.set())
	again := b.set()
	again.LogAppendTime = 5000
	appendAll(t, l, again)
	if !again.Duplicate || again.FirstOffset != 1 || again.LastOffset != 3 || again.LogAppendTime != 4711 || l.LogEnd() != 4 {
		t.Errorf("%+v, log end %d", again, l.LogEnd())
	}
}

// TestFullDiskUndoesTheAppend lets a write fall short: nothing of it stays, and the next one works.
func TestFullDiskUndoesTheAppend(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.FS = f
	o.OnFailure = func(err error) { t.Errorf("directory was taken offline: %v", err) }
	l := open(t, o)
	appendAll(t, l, batch{producer: 1}.set())
	size := l.Size()
	full := f.Inject(fs.Rule{Op: fs.OpWrite, Name: "*.log", Err: syscall.ENOSPC, Short: 30})
	b := batch{producer: 1, sequence: 1}
	sets := []*AppendSet{b.set(), b.set(), batch{producer: 1, sequence: 9}.set()}
	err := l.Append(0, sets)
	if err != nil {
		t.Errorf("all sets failed for the same reason: %v", err)
	}
	for i, want := range []error{kerr.KafkaStorageError, kerr.KafkaStorageError, kerr.OutOfOrderSequenceNumber} {
		if !errors.Is(sets[i].Err, want) {
			t.Errorf("set %d: %v, want %v", i, sets[i].Err, want)
		}
	}
	if st, err := fs.OS.Stat(name(l.Dir(), 0, ".log")); err != nil || st.Size() != size || l.Size() != size || l.LogEnd() != 1 {
		t.Errorf("file of %d bytes, log of %d, end %d; want %d bytes, end 1", st.Size(), l.Size(), l.LogEnd(), size)
	}
	if err := l.Append(0, []*AppendSet{batch{}.set()}); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("append on a full disk: %v", err)
	}
	full.Remove()
	appendAll(t, l, b.set())
	if l.LogEnd() != 2 || l.Err() != nil {
		t.Errorf("end %d, %v", l.LogEnd(), l.Err())
	}
}

// TestBrokenDiskStopsTheLog lets writes and syncs fail for good: one report, and nothing works afterwards.
func TestBrokenDiskStopsTheLog(t *testing.T) {
	for _, c := range []struct {
		name string
		rule []fs.Rule
	}{
		{"write", []fs.Rule{{Op: fs.OpWrite, Name: "*.log", Err: syscall.EIO}}},
		{"full disk that cannot be cut back", []fs.Rule{{Op: fs.OpWrite, Name: "*.log", Err: syscall.ENOSPC}, {Op: fs.OpTruncate, Err: syscall.EIO}}},
		{"sync", []fs.Rule{{Op: fs.OpDatasync, Name: "*.log", Err: syscall.EIO, Times: 1}}},
		{"sync on a full disk", []fs.Rule{{Op: fs.OpDatasync, Name: "*.log", Err: syscall.ENOSPC, Times: 1}}},
		{"sync of the directory", []fs.Rule{{Op: fs.OpSyncDir, Err: syscall.EIO, Times: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fs.NewFaulty(fs.OS)
			o := testOptions(t, t.TempDir()+"/t-0")
			o.FS = f
			o.Settings.FlushMessages = 1
			reports := 0
			o.OnFailure = func(error) { reports++ }
			l := open(t, o)
			var notified error
			l.OnSynced(func(_ int64, err error) { notified = err })
			for _, r := range c.rule {
				f.Inject(r)
			}
			set := batch{}.set()
			err := l.Append(0, []*AppendSet{set})
			if err == nil {
				err = l.Sync(set.SyncTo)
				if notified == nil {
					t.Error("OnSynced was not told")
				}
			}
			if !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("%v", err)
			}
			synced := l.SyncedEnd()
			for _, err := range []error{l.Append(0, []*AppendSet{batch{}.set()}), l.Sync(1), l.Flush(), l.Roll(), l.Truncate(0), l.Err()} {
				if !errors.Is(err, kerr.KafkaStorageError) {
					t.Errorf("afterwards: %v", err)
				}
			}
			if _, err := l.Read(0, 1, 100, true); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("read: %v", err)
			}
			if reports != 1 || l.SyncedEnd() != synced || synced != 0 {
				t.Errorf("%d reports, synced end %d", reports, l.SyncedEnd())
			}
		})
	}
}

// TestSyncWithoutDescriptors cannot open a sealed segment for want of descriptors: who waits is told, and the next sync works.
func TestSyncWithoutDescriptors(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.FS, o.Cache = f, NewCache(0, 0)
	o.OnFailure = func(err error) { t.Errorf("directory was taken offline: %v", err) }
	l := open(t, o)
	appendAll(t, l, batch{}.set())
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, batch{}.set())
	full := f.Inject(fs.Rule{Op: fs.OpOpen, Name: "*.log", Err: syscall.EMFILE})
	if err := l.Sync(2); !errors.Is(err, kerr.KafkaStorageError) || l.SyncedEnd() != 0 {
		t.Errorf("%v, synced to %d", err, l.SyncedEnd())
	}
	l.RequestSync(2)
	l.sync.idle()
	full.Remove()
	if err := l.Sync(2); err != nil || l.SyncedEnd() != 2 || l.Err() != nil {
		t.Errorf("%v, synced to %d, %v", err, l.SyncedEnd(), l.Err())
	}
}

func TestRolls(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*Settings)
		sets  []*AppendSet
		bases []int64
	}{
		{"by size", func(s *Settings) { s.SegmentBytes = 200 }, []*AppendSet{batch{n: 2}.set(), batch{n: 2}.set(), batch{n: 2}.set(), batch{n: 2}.set(), batch{n: 2}.set()}, []int64{0, 4, 8}},
		{"by the time of its records", func(s *Settings) { s.SegmentMs = 1000 }, []*AppendSet{batch{ts: 5000}.set(), batch{ts: 6000}.set(), batch{ts: 6001}.set(), batch{ts: 6000}.set(), batch{ts: 9000}.set()}, []int64{0, 2, 4}},
		{"by the size of the index", func(s *Settings) { s.SegmentIndexBytes, s.IndexIntervalBytes = 36, 0 },
			[]*AppendSet{batch{}.set(), batch{}.set(), batch{}.set(), batch{}.set(), batch{}.set(), batch{}.set(), batch{}.set()}, []int64{0, 5}},
	} {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, together), func(t *testing.T) {
				o := testOptions(t, t.TempDir()+"/t-0")
				c.set(&o.Settings)
				l := open(t, o)
				if together {
					appendAll(t, l, c.sets...)
				} else {
					for _, s := range c.sets {
						appendAll(t, l, s)
					}
				}
				var got []int64
				for _, s := range *l.segments.Load() {
					got = append(got, s.base)
				}
				if diff := cmp.Diff(c.bases, got); diff != "" {
					t.Error(diff)
				}
				if got := consume(t, l, l.LogEnd(), 1<<20, false); len(got) != int(l.LogEnd()) {
					t.Errorf("%d records of %d", len(got), l.LogEnd())
				}
			})
		}
	}
}

// TestRollsWhereOffsetsEnd: an index tells offsets relative to its base, in 31 bits.
func TestRollsWhereOffsetsEnd(t *testing.T) {
	l := open(t, testOptions(t, t.TempDir()+"/t-0"))
	wide := func(delta uint32) *AppendSet {
		b := batch{}.build()
		binary.BigEndian.PutUint32(b[23:], delta)
		return setOf(b, false)
	}
	appendAll(t, l, wide(1<<31-10), wide(8), wide(0), wide(0))
	var got []int64
	for _, s := range *l.segments.Load() {
		got = append(got, s.base)
	}
	if diff := cmp.Diff([]int64{0, 1 << 31}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRollsByTheClock: records without timestamps roll when the segment is old by the wall clock.
func TestRollsByTheClock(t *testing.T) {
	now := time.UnixMilli(1e12)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Now = func() time.Time { return now }
	o.Settings.SegmentMs = 1000
	o.Settings.SegmentJitterMs = 500
	o.Random = func(n int64) int64 { return n / 5 }
	l := open(t, o)
	appendAll(t, l, batch{ts: -1}.set())
	now = now.Add(900 * time.Millisecond)
	appendAll(t, l, batch{ts: -1}.set())
	if l.Segments() != 1 {
		t.Error("rolled before its time")
	}
	now = now.Add(time.Millisecond)
	appendAll(t, l, batch{ts: -1}.set())
	if l.Segments() != 2 {
		t.Error("did not roll after segment.ms less jitter")
	}
}

func TestRollFailsOnAFullDisk(t *testing.T) {
	for _, pattern := range []string{"*.log", "*.index", "*.timeindex", "*.snapshot"} {
		t.Run(pattern, func(t *testing.T) {
			f := fs.NewFaulty(fs.OS)
			o := testOptions(t, t.TempDir()+"/t-0")
			o.FS, o.Settings.SegmentBytes = f, 200
			l := open(t, o)
			appendAll(t, l, batch{n: 2}.set(), batch{n: 2}.set())
			full := f.Inject(fs.Rule{Op: fs.OpCreate, Name: pattern, Err: syscall.ENOSPC})
			set := batch{n: 2}.set()
			if err := l.Append(0, []*AppendSet{set}); !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("%v", err)
			}
			if l.Err() != nil || l.LogEnd() != 4 {
				t.Fatalf("end %d, %v", l.LogEnd(), l.Err())
			}
			full.Remove()
			appendAll(t, l, batch{n: 2}.set())
			if err := l.Close(true); err != nil {
				t.Fatal(err)
			}
			again := open(t, o)
			if got := consume(t, again, 6, 1<<20, false); len(got) != 6 {
				t.Errorf("%d records", len(got))
			}
		})
	}
}

// TestRollWithoutSpaceToReserve fails a roll for a large set; smaller ones, which still fit in the old segment, must outlive a restart.
func TestRollWithoutSpaceToReserve(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.FS, o.Settings.SegmentBytes, o.Settings.Preallocate = f, 500, true
	l := open(t, o)
	appendAll(t, l, batch{size: 200}.set())
	full := f.Inject(fs.Rule{Op: fs.OpPreallocate, Name: "*.log", Err: syscall.ENOSPC})
	if err := l.Append(0, []*AppendSet{batch{size: 300}.set()}); !errors.Is(err, kerr.KafkaStorageError) || l.Err() != nil {
		t.Fatalf("%v", err)
	}
	appendAll(t, l, batch{}.set())
	end := l.LogEnd()
	full.Remove()
	for _, clean := range []bool{false, true} {
		o.Dir, o.CleanShutdown = copyDir(t, l.Dir()), clean
		if clean {
			if err := l.Close(true); err != nil {
				t.Fatal(err)
			}
			o.Dir = l.Dir()
		}
		again := open(t, o)
		if got := consume(t, again, 99, 1<<20, false); again.LogEnd() != end || int64(len(got)) != end {
			t.Errorf("clean %v: %d records and end %d, want %d", clean, len(got), again.LogEnd(), end)
		}
	}
}

func TestPreallocatedSegmentsAreTrimmed(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.SegmentBytes, o.Settings.Preallocate = 200, true
	l := open(t, o)
	appendAll(t, l, batch{n: 2}.set(), batch{n: 2}.set(), batch{n: 2}.set())
	size := func(base int64) int64 {
		st, err := fs.OS.Stat(name(l.Dir(), base, ".log"))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	if size(0) >= 200 || size(4) != 200 {
		t.Errorf("sealed segment has %d bytes, active %d", size(0), size(4))
	}
	copied := copyDir(t, l.Dir()) // as after kill -9
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	if size(4) >= 200 {
		t.Errorf("closed segment has %d bytes", size(4))
	}
	o.Dir, o.CleanShutdown = copied, false
	if again := open(t, o); again.LogEnd() != 6 {
		t.Errorf("ends at %d", again.LogEnd())
	}
}

// copyDir copies a log's directory as it is now.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(dir))
	if err := fs.OS.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := fs.OS.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := fs.ReadFile(fs.OS, filepath.Join(dir, e.Name()), 1<<30)
		if err == nil {
			err = fs.WriteFileAtomic(fs.OS, to, filepath.Join(to, e.Name()), b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
