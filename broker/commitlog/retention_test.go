package commitlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/internal/fs"
)

// fiveSegments has one batch of one record in each segment, an hour apart; the active one has the fifth.
func fiveSegments(t *testing.T, change func(*Settings)) (*Log, *time.Time) {
	now := time.UnixMilli(0).Add(100 * time.Hour)
	o := testOptions(t, filepath.Join(t.TempDir(), "t-0"))
	o.Now = func() time.Time { return now }
	o.Settings.SegmentMs = 1
	o.Settings.RetentionMs = -1
	change(&o.Settings)
	l := open(t, o)
	for i := range 5 {
		appendAll(t, l, batch{ts: time.Duration(i * int(time.Hour)).Milliseconds()}.set())
	}
	if l.Segments() != 5 {
		t.Fatalf("%d segments", l.Segments())
	}
	return l, &now
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*Settings)
		now    time.Duration // since the first record
		before func(*Log)
		gone   int
		left   int
	}{
		{"nothing is due", func(s *Settings) { s.RetentionMs = 3600_000 }, time.Hour, nil, 0, 5},
		{"two are older", func(s *Settings) { s.RetentionMs = 3600_000 }, 2*time.Hour + time.Millisecond, nil, 2, 3},
		{"all are older: an empty segment follows", func(s *Settings) { s.RetentionMs = 3600_000 }, 9 * time.Hour, nil, 5, 1},
		{"not above the high watermark", func(s *Settings) { s.RetentionMs = 3600_000 }, 9 * time.Hour, func(l *Log) { l.SetHighWatermark(3) }, 3, 2},
		{"not without cleanup.policy=delete", func(s *Settings) { s.RetentionMs, s.RetentionBytes, s.Delete = 1, 1, false }, 9 * time.Hour, nil, 0, 5},
		{"by size, never below it", func(s *Settings) { s.RetentionBytes = 200 }, 0, nil, 2, 3}, // 82 bytes each
		{"by size, all", func(s *Settings) { s.RetentionBytes = 0 }, 0, nil, 5, 1},
		{"by log start", func(s *Settings) { s.Delete = false }, 0, func(l *Log) {
			if err := l.AdvanceLogStart(3); err != nil {
				panic(err)
			}
		}, 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, now := fiveSegments(t, c.set)
			if c.before != nil {
				c.before(l)
			}
			at := time.UnixMilli(0).Add(c.now)
			n, err := l.DeleteOldSegments(at)
			if err != nil || n != c.gone || l.Segments() != c.left || l.LogStart() != int64(c.gone) || l.FirstSegment() != int64(c.gone) || l.LogEnd() != 5 {
				t.Fatalf("%d segments went, %d are left from %d on, end %d: %v", n, l.Segments(), l.LogStart(), l.LogEnd(), err)
			}
			if got := consume(t, l, 5, 1000, false); len(got) != 5-c.gone {
				t.Errorf("%d records are left", len(got))
			}
			if c.gone > 0 {
				if _, err := l.Read(0, 5, 1000, true); !errors.Is(err, kerr.OffsetOutOfRange) {
					t.Errorf("reading what is gone: %v", err)
				}
			}
			left := func(suffix string) (n int) {
				files, _ := os.ReadDir(l.Dir())
				for _, f := range files {
					if strings.HasSuffix(f.Name(), suffix) {
						n++
					}
				}
				return n
			}
			if n := left(".log.deleted"); n != c.gone {
				t.Errorf("%d segments wait for their removal", n)
			}
			l.Housekeep(at.Add(59 * time.Second))
			if left(".deleted") == 0 && c.gone > 0 {
				t.Error("removed before file.delete.delay.ms")
			}
			l.Housekeep(at.Add(time.Minute))
			if left(".deleted") != 0 || left(".log") != c.left || left(".snapshot") > c.left {
				t.Errorf("%d files wait, %d segments, %d snapshots", left(".deleted"), left(".log"), left(".snapshot"))
			}
			_ = now
		})
	}
}

func TestLogStartNeverGoesBack(t *testing.T) {
	l, _ := fiveSegments(t, func(*Settings) {})
	if err := l.AdvanceLogStart(4); err != nil {
		t.Fatal(err)
	}
	if err := l.AdvanceLogStart(2); err != nil || l.LogStart() != 4 {
		t.Errorf("log start %d, %v", l.LogStart(), err)
	}
	if err := l.AdvanceLogStart(6); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("beyond the high watermark: %v", err)
	}
	if _, err := l.Read(3, 5, 100, true); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("below the log start: %v", err)
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	o := l.o
	o.LogStartOffset = 4
	again := open(t, o)
	if again.LogStart() != 4 || again.FirstSegment() != 0 {
		t.Errorf("opened again it begins at %d", again.LogStart())
	}
	if err := again.Close(true); err != nil {
		t.Fatal(err)
	}
	o.LogStartOffset = 9 // beyond the end: nothing here may be read
	again = open(t, o)
	if again.LogStart() != 9 || again.LogEnd() != 9 || again.FirstSegment() != 9 {
		t.Errorf("begins at %d, ends at %d, first segment %d", again.LogStart(), again.LogEnd(), again.FirstSegment())
	}
	appendAll(t, again, batch{}.set())
	if got := consume(t, again, 10, 1000, false); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// TestSliceOutlivesItsSegment reads a segment that retention took away after the read was planned.
func TestSliceOutlivesItsSegment(t *testing.T) {
	l, _ := fiveSegments(t, func(s *Settings) { s.RetentionMs = 1 })
	s, err := l.Read(1, 5, 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if _, err := l.DeleteOldSegments(time.UnixMilli(0).Add(99 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	l.Housekeep(time.UnixMilli(0).Add(100 * time.Hour))
	b := make([]byte, s.Len)
	if n, err := s.ReadAt(b, 0); n != len(b) || err != nil || !s.Valid() {
		t.Errorf("%d of %d bytes: %v", n, len(b), err)
	}
}

// TestRetentionWithoutItsSnapshots: a snapshot that cannot be removed does not keep the segments, which would be back with the next start.
func TestRetentionWithoutItsSnapshots(t *testing.T) {
	o := testOptions(t, t.TempDir())
	faulty := fs.NewFaulty(fs.OS)
	o.FS, o.Settings.SegmentBytes, o.Settings.RetentionBytes, o.Settings.FileDeleteDelayMs = faulty, 200, 200, 0
	l := open(t, o)
	for i := range 10 {
		appendAll(t, l, batch{size: 100, producer: 7, sequence: int32(i)}.set())
	}
	rule := faulty.Inject(fs.Rule{Op: fs.OpRemove, Name: "*.snapshot", Err: syscall.ENOSPC})
	n, err := l.DeleteOldSegments(o.Now())
	if err != nil || n == 0 {
		t.Fatalf("%d segments went: %v", n, err)
	}
	rule.Remove()
	start := l.LogStart()
	if err := l.Close(false); err != nil {
		t.Fatal(err)
	}
	o.CleanShutdown, o.RecoveryPoint = false, 0
	if l = open(t, o); l.LogStart() != start {
		t.Errorf("the log begins at %d again, it had begun at %d", l.LogStart(), start)
	}
}
