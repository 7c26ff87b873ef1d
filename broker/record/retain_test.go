package record

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// recordsOf lists what a reader sees of an entry.
func recordsOf(t testing.TB, b []byte) (lines []string) {
	t.Helper()
	if err := CheckEntryCRC(b); err != nil {
		t.Fatal(err)
	}
	for rec, err := range All(b) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%d %d %q %q %q", rec.Offset, rec.Timestamp, rec.Key, rec.Value, rec.Headers))
	}
	return lines
}

// TestRetain keeps any part of any entry's records: those come out as they were, the others are gone, and what the header promises
// of offsets and of the producer still holds.
func TestRetain(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		magic := rapid.Int8Range(0, 2).Draw(r, "magic")
		codec := Codec(rapid.IntRange(0, 4).Draw(r, "codec"))
		if magic < 2 && codec == Zstd {
			codec = Snappy
		}
		n := rapid.IntRange(1, 20).Draw(r, "records")
		base := rapid.Int64Range(0, 1<<40).Draw(r, "base")
		stamped := magic > 0 && rapid.Bool().Draw(r, "log append time")
		horizon := NoHorizon
		if magic == 2 && rapid.Bool().Draw(r, "horizon") {
			horizon = rapid.Int64Range(0, 1<<42).Draw(r, "at")
		}
		value := func(i int) []byte { return []byte(fmt.Sprint("value ", i)) }
		var entry []byte
		var err error
		if magic == 2 {
			b := NewBuilder(BuilderOptions{BaseOffset: base, LeaderEpoch: 7, Codec: codec})
			b.SetProducer(11, 3, 100, true)
			if stamped {
				b.SetAppendTime(5000)
			}
			for i := range n {
				b.Append([]byte{byte(i)}, value(i), []RecordHeader{{Key: []byte("h"), Value: value(i)}}, int64(1000+i%3))
			}
			entry, err = b.Bytes()
		} else {
			if codec == None {
				n = 1
			}
			s := NewMessageSet(nil, magic, codec, 0)
			if stamped {
				s.SetAppendTime(5000)
			}
			for i := range n {
				s.Append(base+int64(i), []byte{byte(i)}, value(i), int64(1000+i%3))
			}
			entry, err = s.Bytes()
		}
		if err != nil {
			r.Fatal(err)
		}
		keep := rapid.SliceOfN(rapid.Bool(), n, n).Draw(r, "keep")
		var want []string
		for i, line := range recordsOf(t, entry) {
			if keep[i] {
				want = append(want, line)
			}
		}
		out, err := Retain(entry, horizon, func(i int) bool { return keep[i] })
		if len(want) == 0 {
			if err == nil {
				r.Fatal("an entry without records was made")
			}
			return
		}
		if err != nil {
			r.Fatal(err)
		}
		if got := recordsOf(t, out); fmt.Sprint(got) != fmt.Sprint(want) {
			r.Fatalf("kept\n%q, want\n%q", got, want)
		}
		before, _ := NextEntry(entry)
		after, err := NextEntry(out)
		if err != nil || after.Codec != before.Codec || after.TimestampType != before.TimestampType || after.Magic != magic {
			r.Fatalf("%+v became %+v: %v", before, after, err)
		}
		if magic < 2 {
			return
		}
		a, h := before.Header, after.Header
		at, ok := h.DeleteHorizon()
		if h.BaseOffset != a.BaseOffset || h.LastOffset() != a.LastOffset() || h.LastSequence() != a.LastSequence() || h.ProducerID != 11 ||
			h.ProducerEpoch != 3 || !h.IsTransactional() || h.LeaderEpoch != 7 || int(h.Count) != len(want) || ok != (horizon != NoHorizon) || ok && at != horizon {
			r.Fatalf("%+v became %+v", a, h)
		}
	})
}

func TestRetainNone(t *testing.T) {
	b := NewControlBatch(Marker{Type: Abort, CoordinatorEpoch: 2}, 11, 3, 7, 1234)
	SetBaseOffset(b, 55)
	h, _ := ParseHeader(b)
	out := RetainNone(h)
	if got := recordsOf(t, out); len(got) != 0 {
		t.Errorf("%q", got)
	}
	g, err := ParseHeader(out)
	if err != nil || g.BaseOffset != 55 || g.LastOffset() != 55 || !g.IsControl() || !g.IsTransactional() || g.ProducerID != 11 || g.ProducerEpoch != 3 ||
		g.MaxTimestamp != 1234 || g.BaseTimestamp != NoTimestamp || g.LeaderEpoch != 7 || len(out) != HeaderSize {
		t.Errorf("%+v became %+v: %v", h, g, err)
	}
}
