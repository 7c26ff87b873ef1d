package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// numbered is a set of n records whose values are their offsets, as they will be when it is appended at offset.
func numbered(offset int64, n int) *AppendSet {
	b := record.NewBuilder(record.BuilderOptions{})
	for i := range n {
		b.Append(nil, binary.BigEndian.AppendUint64(make([]byte, 0, 40), uint64(offset)+uint64(i)), nil, 1e12+offset)
	}
	out, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	return setOf(out, true)
}

// TestReadersBesideEverything reads at random while one goroutine appends and rolls, one flushes, one deletes old segments: what a
// reader gets for an offset is that record, always.
func TestReadersBesideEverything(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.SegmentBytes, o.Settings.IndexIntervalBytes, o.Settings.RetentionBytes, o.Settings.FileDeleteDelayMs = 3000, 200, 20000, 0
	o.Logger = o.Logger.Level(5)
	o.Cache = NewCache(4, 3)
	l := open(t, o)
	const records = 20000
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		for end := int64(0); end < records; end = l.LogEnd() {
			var sets []*AppendSet
			next := end
			for range 1 + rand.IntN(4) {
				n := 1 + rand.IntN(5)
				sets = append(sets, numbered(next, n))
				next += int64(n)
			}
			if err := l.Append(0, sets); err != nil || l.LogEnd() != next {
				t.Errorf("append to %d of %d: %v", l.LogEnd(), next, err)
				return
			}
			l.SetHighWatermark(next)
		}
	})
	wg.Go(func() {
		for !done.Load() {
			if err := l.Flush(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	var deleted int
	wg.Go(func() {
		for !done.Load() {
			n, err := l.DeleteOldSegments(time.Now())
			if err != nil {
				t.Error(err)
			}
			deleted += n
			l.Housekeep(time.Now())
			time.Sleep(time.Millisecond)
		}
	})
	var reads atomic.Int64
	for range 4 {
		wg.Go(func() {
			var buf bytes.Buffer
			for !done.Load() {
				hw := l.HighWatermark()
				start := l.LogStart()
				if hw <= start { // deleted since
					continue
				}
				offset := start + rand.Int64N(hw-start)
				s, err := l.Read(offset, hw, 1+rand.IntN(4000), true)
				if errors.Is(err, kerr.OffsetOutOfRange) && offset < l.LogStart() {
					continue
				}
				if err != nil {
					t.Errorf("read at %d: %v", offset, err)
					return
				}
				buf.Reset()
				if n, err := s.WriteTo(&buf); err != nil || n != int64(s.Len) {
					t.Errorf("read at %d: %v", offset, err)
				}
				upper := s.Upper
				s.Release()
				first := true
				for rec, err := range record.All(buf.Bytes()) {
					if err != nil {
						t.Errorf("read at %d: %v", offset, err)
						return
					}
					if got := int64(binary.BigEndian.Uint64(rec.Value)); got != rec.Offset || rec.Offset >= hw || rec.Offset >= upper {
						t.Errorf("offset %d holds record %d; high watermark %d, upper %d", rec.Offset, got, hw, upper)
						return
					}
					if first && rec.Offset > offset {
						t.Errorf("read at %d begins at %d", offset, rec.Offset)
						return
					}
					first = false
				}
				if first {
					t.Errorf("nothing at %d below %d", offset, hw)
					return
				}
				if _, _, err := l.OffsetForTimestamp(1e12+offset, hw); err != nil {
					t.Errorf("search by time: %v", err)
				}
				reads.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d reads, %d segments deleted, %d left", reads.Load(), deleted, l.Segments())
	if reads.Load() == 0 || deleted == 0 {
		t.Error("nothing happened")
	}
}

// TestReadersBesideTruncation cuts the log back and appends something else, over and over: a slice that is still valid after it was
// read holds records of one life of the log.
func TestReadersBesideTruncation(t *testing.T) {
	o := testOptions(t, t.TempDir()+"/t-0")
	o.Settings.SegmentBytes, o.Settings.IndexIntervalBytes = 2000, 100
	l := open(t, o)
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		for life := range int64(60) {
			for range 20 {
				// Offset and life of a record are told apart by its value: life in the upper half.
				set := numbered(l.LogEnd()|life<<32, 3)
				if err := l.Append(int32(life), []*AppendSet{set}); err != nil {
					t.Error(err)
					return
				}
			}
			to := rand.Int64N(l.LogEnd())
			to -= to % 3
			if err := l.Truncate(to); err != nil || l.LogEnd() != to {
				t.Errorf("cut to %d: ends at %d, %v", to, l.LogEnd(), err)
				return
			}
		}
	})
	var reads, dropped atomic.Int64
	for range 3 {
		wg.Go(func() {
			for !done.Load() {
				end := l.LogEnd()
				if end == 0 {
					continue
				}
				offset := rand.Int64N(end)
				s, err := l.Read(offset, end, 1+rand.IntN(3000), true)
				if errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.NotLeaderForPartition) {
					continue
				}
				if err != nil {
					t.Errorf("read at %d: %v", offset, err)
					return
				}
				b := make([]byte, s.Len)
				_, err = io.ReadFull(io.NewSectionReader(&s, 0, int64(s.Len)), b)
				valid := s.Valid()
				s.Release()
				if !valid {
					dropped.Add(1)
					continue
				}
				if err != nil && len(b) > 0 {
					t.Errorf("read at %d of a log that was not cut: %v", offset, err)
					return
				}
				for rec, err := range record.All(b) {
					if err != nil {
						t.Errorf("read at %d: %v", offset, err)
						return
					}
					if got := int64(binary.BigEndian.Uint64(rec.Value) & (1<<32 - 1)); got != rec.Offset {
						t.Errorf("offset %d holds record %d", rec.Offset, got)
						return
					}
				}
				reads.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d reads, %d dropped", reads.Load(), dropped.Load())
}

// TestNobodyWaitsForTheDiskOfOthers holds back the removal of a deleted segment, beside which appends go on, and then an append, beside
// which readers do.
func TestNobodyWaitsForTheDiskOfOthers(t *testing.T) {
	f := fs.NewFaulty(fs.OS)
	o := testOptions(t, t.TempDir()+"/t-0")
	o.FS, o.Settings.SegmentBytes, o.Settings.RetentionBytes, o.Settings.FileDeleteDelayMs = f, 200, 0, 0
	l := open(t, o)
	if err := l.AssignTopicID(topic.ID{1}); err != nil {
		t.Fatal(err)
	}
	hang := func(op fs.Op, fn func()) (release func()) {
		stall, done := make(chan struct{}), make(chan struct{})
		rule := f.Inject(fs.Rule{Op: op, Stall: stall})
		go func() { defer close(done); fn() }()
		for deadline := time.Now().Add(10 * time.Second); rule.Hits() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not hang")
			}
		}
		return func() { rule.Remove(); close(stall); <-done }
	}
	soon := func(what string, fn func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { defer close(done); fn() }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Errorf("%s waits", what)
		}
	}
	appendAll(t, l, batch{n: 3}.set(), batch{n: 3}.set())
	l.SetHighWatermark(l.LogEnd())
	if n, err := l.DeleteOldSegments(time.Now()); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	release := hang(fs.OpRemove, func() { l.Housekeep(time.Now().Add(time.Second)) })
	soon("an append", func() { _ = l.Append(0, []*AppendSet{batch{}.set()}) })
	release()

	release = hang(fs.OpWrite, func() { _ = l.Append(0, []*AppendSet{batch{}.set()}) })
	soon("a fetch", func() {
		if l.TopicID() != (topic.ID{1}) {
			t.Error("another topic id")
		}
		s, err := l.Read(l.LogStart(), l.LogEnd(), 1<<20, true)
		if err != nil || s.Len == 0 {
			t.Error(s.Len, err)
		}
		s.Release()
	})
	release()
	if l.LogEnd() != 8 {
		t.Errorf("end %d", l.LogEnd())
	}
}
