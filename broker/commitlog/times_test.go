package commitlog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ottla/internal/fs"
)

// TestTimes searches random logs by time, before and after a restart, beside a linear search.
func TestTimes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := testOptions(t, "/d/t-0")
		o.FS = fs.NewCrash()
		o.Settings.SegmentBytes, o.Settings.IndexIntervalBytes = 500, 100
		l, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = l.Close(false) }()
		var times []int64
		for range rapid.IntRange(0, 30).Draw(rt, "batches") {
			b := batch{n: rapid.IntRange(1, 3).Draw(rt, "n"), ts: int64(rapid.IntRange(-1, 40).Draw(rt, "ts"))}
			appendAll(t, l, b.set())
			for range b.n {
				times = append(times, b.ts)
			}
		}
		if rapid.Bool().Draw(rt, "restart") {
			clean := rapid.Bool().Draw(rt, "clean")
			if err := l.Close(clean); err != nil {
				rt.Fatal(err)
			}
			o.CleanShutdown = clean
			if l, err = Open(o); err != nil {
				rt.Fatal(err)
			}
			l.SetHighWatermark(l.LogEnd())
		}
		start := int64(0)
		if len(times) > 0 {
			start = rapid.Int64Range(0, int64(len(times))).Draw(rt, "start")
			if err := l.AdvanceLogStart(start); err != nil {
				rt.Fatal(err)
			}
		}
		first := func(match func(int64) bool) int64 {
			for i := start; i < int64(len(times)); i++ {
				if match(times[i]) {
					return i
				}
			}
			return -1
		}
		for ts := int64(0); ts <= 41; ts++ {
			want := first(func(x int64) bool { return x >= ts })
			got, ok, err := l.OffsetForTimestamp(ts, l.LogEnd())
			if err != nil || ok != (want >= 0) || ok && (got.Offset != want || got.Timestamp != times[want] || got.LeaderEpoch != 0) {
				rt.Fatalf("time %d: %+v %v %v, want offset %d of %v from %d on", ts, got, ok, err, want, times, start)
			}
			if ok {
				if _, ok, _ := l.OffsetForTimestamp(ts, want); ok {
					rt.Fatalf("time %d: found at or behind the limit %d", ts, want)
				}
			}
		}
		if start > 0 {
			return // the greatest timestamp may then be of a record before the start, as in Kafka
		}
		greatest := int64(-1)
		for _, x := range times {
			greatest = max(greatest, x)
		}
		want := first(func(x int64) bool { return x >= 0 && x == greatest })
		got, ok, err := l.MaxTimestamp()
		if err != nil || ok != (want >= 0) || ok && (got.Offset != want || got.Timestamp != greatest) {
			rt.Fatalf("greatest time: %+v %v %v, want offset %d of %v", got, ok, err, want, times)
		}
	})
}

// TestTimesOfKafkasLogs asks recorded logs, old formats and compressed wrappers among them.
func TestTimesOfKafkasLogs(t *testing.T) {
	for name, questions := range map[string]map[string][][3]int64{ // topic: time, offset found, its time
		"clean": {
			"codec-gzip": {{0, 0, 1700000000000}, {1700000000001, 1, 1700000001000}, {1700000003500, 4, 1700000004000}, {1800000000000, -1, -1}},
			"segments":   {{1700000000000, 0, -2}},
		},
	} {
		logs := openAll(t, unpack(t, name), nil)
		for p, l := range logs {
			for _, q := range questions[p.Topic] {
				got, ok, err := l.OffsetForTimestamp(q[0], l.LogEnd())
				if err != nil || ok != (q[1] >= 0) || ok && (got.Offset != q[1] || q[2] != -2 && got.Timestamp != q[2]) {
					t.Errorf("%s at %d: %+v %v %v, want %v", p, q[0], got, ok, err, q)
				}
			}
		}
	}
	found := 0
	for _, name := range []string{"kafka-0.10", "upgraded"} {
		for p, l := range openAll(t, unpack(t, name), nil) {
			// For each record's time the first record that is not older is found, old messages without a time never.
			type timed struct{ offset, ts int64 }
			var all []timed
			for _, x := range consume(t, l, l.LogEnd(), 1<<20, false) {
				var r timed
				var epoch int
				if _, err := fmt.Sscanf(x, "%d epoch=%d %d", &r.offset, &epoch, &r.ts); err != nil {
					t.Fatal(err)
				}
				all = append(all, r)
			}
			for _, r := range all {
				want := all[slices.IndexFunc(all, func(x timed) bool { return x.ts >= r.ts })]
				got, ok, err := l.OffsetForTimestamp(r.ts, l.LogEnd())
				if r.ts < 0 {
					continue
				}
				if err != nil || !ok || got.Offset != want.offset || got.Timestamp != want.ts {
					t.Errorf("%s %s: time %d: %+v %v %v, want %v", name, p, r.ts, got, ok, err, want)
				}
				found++
			}
		}
	}
	if found < 150 {
		t.Errorf("only %d records with a time", found)
	}
}

func TestOffsetsBefore(t *testing.T) {
	now := time.UnixMilli(0)
	c := fs.NewCrash()
	c.Now = func() time.Time { return now }
	o := testOptions(t, "/d/t-0")
	o.FS, o.Now, o.Settings.SegmentBytes = c, c.Now, 100
	l := open(t, o)
	for i := range 5 {
		now = time.UnixMilli(0).Add(time.Duration(i) * time.Hour)
		appendAll(t, l, batch{ts: 99}.set())
	}
	now = now.Add(time.Hour)
	hour := time.Hour.Milliseconds()
	// A segment was last written when its record came, but the sealed ones count as written when they were sealed.
	for _, x := range []struct {
		ts   int64
		n    int
		want []int64
	}{
		{Latest, 1, []int64{5}}, {Latest, 3, []int64{5, 4, 3}}, {Latest, 9, []int64{5, 4, 3, 2, 1, 0}},
		{Earliest, 5, []int64{0}}, {2 * hour, 9, []int64{1, 0}}, {2*hour - 1, 1, []int64{0}}, {4 * hour, 1, []int64{4}}, {-5, 9, nil},
	} {
		if diff := cmp.Diff(x.want, l.OffsetsBefore(x.ts, x.n)); diff != "" {
			t.Errorf("%d, %d: %s", x.ts, x.n, diff)
		}
	}
}
