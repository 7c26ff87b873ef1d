package compact

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"ottla/broker/commitlog"
)

func TestOffsetMap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.IntRange(1, 200).Draw(r, "size")
		m, want := NewOffsetMap(size, rapid.SampledFrom([]float64{0.5, 0.9, 1}).Draw(r, "load")), map[string]int64{}
		for offset := range int64(rapid.IntRange(0, 500).Draw(r, "puts")) {
			key := fmt.Sprint(rapid.IntRange(0, 300).Draw(r, "key"))
			_, known := want[key]
			if ok := m.Put([]byte(key), offset); ok != (known || len(want) < size) {
				r.Fatalf("put of %s into %d of %d: %t", key, len(want), size, ok)
			} else if ok {
				want[key] = offset
				if m.Latest() != offset {
					r.Fatalf("latest is %d, want %d", m.Latest(), offset)
				}
			}
		}
		for i := range 301 {
			offset, ok := want[fmt.Sprint(i)]
			if !ok {
				offset = -1
			}
			if got := m.Get(fmt.Append(nil, i)); got != offset {
				r.Fatalf("key %d is at %d, want %d", i, got, offset)
			}
		}
		if m.Len() != len(want) {
			r.Fatalf("%d keys, want %d", m.Len(), len(want))
		}
		if m.Clear(); m.Len() != 0 || m.Latest() != -1 || m.Get([]byte("1")) != -1 {
			r.Fatal("not cleared")
		}
	})
}

func sections(bases ...int64) (v commitlog.Sections) {
	for i, b := range bases[:len(bases)-1] {
		v.Sealed = append(v.Sealed, commitlog.Section{Base: b, Next: bases[i+1], Size: 100, MaxTimestamp: 1000 * int64(i+1)})
	}
	v.Active = bases[len(bases)-1]
	v.LogEnd, v.LastStable = v.Active+10, v.Active+10
	return v
}

func TestJudge(t *testing.T) {
	for _, x := range []struct {
		name                        string
		change                      func(v *commitlog.Sections, st *commitlog.Settings)
		now                         int64
		dirty, until, clean, filthy int64
		due, wanted                 bool
	}{
		{"never cleaned", nil, 9000, 0, 30, 0, 300, false, true},
		{"all clean", func(v *commitlog.Sections, _ *commitlog.Settings) { v.CleanedTo = 30 }, 9000, 30, 30, 300, 0, false, false},
		{"a third dirty", func(v *commitlog.Sections, _ *commitlog.Settings) { v.CleanedTo = 20 }, 9000, 20, 30, 200, 100, false, false},
		{"a third dirty is enough", func(v *commitlog.Sections, st *commitlog.Settings) { v.CleanedTo, st.MinDirtyRatio = 20, 0.3 }, 9000, 20, 30, 200, 100, false, true},
		{"within a segment", func(v *commitlog.Sections, _ *commitlog.Settings) { v.CleanedTo = 15 }, 9000, 15, 30, 200, 200, false, false},
		{"an open transaction", func(v *commitlog.Sections, _ *commitlog.Settings) { v.LastStable = 25 }, 9000, 0, 20, 0, 200, false, true},
		{"one in the first segment", func(v *commitlog.Sections, _ *commitlog.Settings) { v.LastStable = 5 }, 9000, 0, 0, 0, 0, false, false},
		{"too young", func(_ *commitlog.Sections, st *commitlog.Settings) { st.MinCompactionLagMs = 500 }, 2400, 0, 10, 0, 100, false, true},
		{"too old", func(v *commitlog.Sections, st *commitlog.Settings) { v.CleanedTo, st.MaxCompactionLagMs = 20, 5000 }, 8001, 20, 30, 200, 100, true, true},
		{"not too old", func(v *commitlog.Sections, st *commitlog.Settings) { v.CleanedTo, st.MaxCompactionLagMs = 20, 5000 }, 8000, 20, 30, 200, 100, false, false},
		{"deleted beyond the checkpoint", func(v *commitlog.Sections, _ *commitlog.Settings) { v.LogStart, v.CleanedTo = 12, 5 }, 9000, 12, 30, 200, 200, false, false},
	} {
		v, st := sections(0, 10, 20, 30), commitlog.DefaultSettings()
		if x.change != nil {
			x.change(&v, &st)
		}
		p, err := judge(&v, &st, func(s commitlog.Section) (int64, error) { return s.MaxTimestamp, nil }, x.now)
		want := part{dirty: x.dirty, until: x.until, cleanBytes: x.clean, dirtBytes: x.filthy, due: x.due}
		if err != nil || p != want || p.wanted(&st) != x.wanted {
			t.Errorf("%s: %+v, wanted %t, %v; want %+v, %t", x.name, p, p.wanted(&st), err, want, x.wanted)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(st *commitlog.Settings, list []commitlog.Section)
		want   string
	}{
		{"all fit", func(st *commitlog.Settings, _ []commitlog.Section) { st.SegmentBytes = 300 }, "[0 10 20]"},
		{"by bytes", func(st *commitlog.Settings, _ []commitlog.Section) { st.SegmentBytes = 299 }, "[0 10][20]"},
		{"a large one alone", func(st *commitlog.Settings, _ []commitlog.Section) { st.SegmentBytes = 50 }, "[0][10][20]"},
		{"by the offset index", func(st *commitlog.Settings, l []commitlog.Section) {
			st.SegmentIndexBytes, l[0].OffsetIndex, l[1].OffsetIndex = 100, 60, 60
		}, "[0][10 20]"},
		{"by the time index", func(st *commitlog.Settings, l []commitlog.Section) {
			st.SegmentIndexBytes, l[1].TimeIndex, l[2].TimeIndex = 100, 60, 60
		}, "[0 10][20]"},
		{"by offsets", func(_ *commitlog.Settings, l []commitlog.Section) { l[2].Next = math.MaxInt32 + 2 }, "[0 10][20]"},
		{"just within", func(_ *commitlog.Settings, l []commitlog.Section) { l[2].Next = math.MaxInt32 + 1 }, "[0 10 20]"},
		{"an empty one takes no offsets", func(_ *commitlog.Settings, l []commitlog.Section) { l[2].Next, l[2].Size = 1<<40, 0 }, "[0 10 20]"},
	} {
		v, st := sections(0, 10, 20, 30), commitlog.DefaultSettings()
		x.change(&st, v.Sealed)
		got := ""
		for _, g := range groups(v.Sealed, &st) {
			var bases []int64
			for _, s := range g {
				bases = append(bases, s.Base)
			}
			got += fmt.Sprint(bases)
		}
		if got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}
