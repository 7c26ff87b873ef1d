package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"ottla/broker/record"
)

var codecs = []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}

// drawBytes is null, empty, short, or too long for any codec's block.
func drawBytes(t *rapid.T, label string) []byte {
	switch rapid.IntRange(0, 9).Draw(t, label) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		unit := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, label)
		return bytes.Repeat(unit, rapid.SampledFrom([]int{1, 1, 5, 20, 250}).Draw(t, label))
	}
	return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, label)
}

func drawRecords(t *rapid.T, headers bool) []record.Record {
	records := make([]record.Record, rapid.IntRange(1, 12).Draw(t, "records"))
	for i := range records {
		records[i] = record.Record{
			Offset: int64(i), Timestamp: rapid.OneOf(rapid.Int64Range(0, 1<<41), rapid.Just(record.NoTimestamp)).Draw(t, "time"),
			Key: drawBytes(t, "key"), Value: drawBytes(t, "value"),
		}
		if headers {
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				key := drawBytes(t, "header")
				if key == nil {
					key = []byte{}
				}
				records[i].Headers = append(records[i].Headers, record.RecordHeader{Key: key, Value: drawBytes(t, "header value")})
			}
		}
	}
	return records
}

// build makes a batch of records, and fails the test when that fails.
func build(t testing.TB, o record.BuilderOptions, records []record.Record) []byte {
	t.Helper()
	b := record.NewBuilder(o)
	for _, rec := range records {
		b.Append(rec.Key, rec.Value, rec.Headers, rec.Timestamp)
	}
	batch, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// rapidT lets helpers that want a testing.TB run in a property.
type rapidT struct {
	testing.TB
	t *rapid.T
}

func (r rapidT) Helper()                   {}
func (r rapidT) Fatal(args ...any)         { r.t.Fatal(args...) }
func (r rapidT) Fatalf(f string, a ...any) { r.t.Fatalf(f, a...) }

// TestBatchRoundTrip builds batches and reads them back, several in one region.
func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := rapidT{t, rt}
		var region []byte
		var want []record.Record
		next := rapid.Int64Range(0, 1<<50).Draw(rt, "offset")
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			records := drawRecords(rt, true)
			codec := rapid.SampledFrom(codecs).Draw(rt, "codec")
			batch := build(tb, record.BuilderOptions{BaseOffset: next, LeaderEpoch: 7, Codec: codec, Level: rapid.SampledFrom([]int{0, 1, 9}).Draw(rt, "level")}, records)
			h, err := record.ParseHeader(batch)
			if err != nil || h.Size() != len(batch) || h.Codec() != codec || h.BaseOffset != next || int(h.Count) != len(records) || h.LeaderEpoch != 7 {
				rt.Fatalf("%d bytes have header %+v, %v", len(batch), h, err)
			}
			if err := record.CheckCRC(batch); err != nil {
				rt.Fatal(err)
			}
			for i := range records {
				records[i].Offset += next
			}
			next = h.NextOffset()
			region, want = append(region, batch...), append(want, records...)
		}
		// What a read cuts off at its end is left out.
		cut := region[:len(region)-rapid.IntRange(0, 30).Draw(rt, "cut")]
		got := collect(tb, region)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("built -, read +\n%s", diff)
		}
		if len(cut) < len(region) {
			if got := collect(tb, cut); len(got) >= len(want) {
				rt.Fatalf("%d of %d records read of a region that lacks its end", len(got), len(want))
			}
		}
	})
}

// TestMessageSetRoundTrip writes message sets and reads them back; magic 0 has no times and neither has headers.
func TestMessageSetRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		magic := int8(rapid.IntRange(0, 1).Draw(rt, "magic"))
		codec := rapid.SampledFrom(codecs[:4]).Draw(rt, "codec")
		records := drawRecords(rt, false)
		stamp := rapid.Bool().Draw(rt, "append time")
		// An offset of 0 in a wrapper has a meaning of its own: see the test below.
		first := rapid.Int64Range(1, 1<<50).Draw(rt, "offset")
		s := record.NewMessageSet([]byte("before"), magic, codec, 0)
		if stamp {
			s.SetAppendTime(1234567)
		}
		for i := range records {
			rec := &records[i]
			rec.Offset = first + 3*int64(i) // gaps, as the cleaner leaves them
			s.Append(rec.Offset, rec.Key, rec.Value, rec.Timestamp)
			switch {
			case magic == 0:
				rec.Timestamp = record.NoTimestamp
			case stamp:
				rec.Timestamp = 1234567
			}
		}
		b, err := s.Bytes()
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			rt.Fatalf("%q, %v", b[:6], err)
		}
		b = b[6:]
		if err := record.CheckEntryCRC(b); err != nil {
			rt.Fatal(err)
		}
		if codec != record.None {
			if e, err := record.NextEntry(b); err != nil || e.Size != len(b) || e.LastOffset != records[len(records)-1].Offset || e.Magic != magic {
				rt.Fatalf("wrapper %+v, %v", e, err)
			}
		}
		if diff := cmp.Diff(records, collect(rapidT{t, rt}, b)); diff != "" {
			rt.Fatalf("written -, read +\n%s", diff)
		}
	})
}

// TestDownConvert converts batches and compares what the old format can hold.
func TestDownConvert(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := rapidT{t, rt}
		magic := int8(rapid.IntRange(0, 1).Draw(rt, "magic"))
		var region []byte
		var want []record.Record
		next, asked := int64(100), rapid.Int64Range(90, 130).Draw(rt, "asked")
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			records := drawRecords(rt, true)
			codec := rapid.SampledFrom(codecs[:4]).Draw(rt, "codec")
			b := record.NewBuilder(record.BuilderOptions{BaseOffset: next, Codec: codec})
			stamp := rapid.Bool().Draw(rt, "append time")
			if stamp {
				b.SetAppendTime(99)
			}
			for _, rec := range records {
				b.Append(rec.Key, rec.Value, rec.Headers, rec.Timestamp)
				rec.Offset, rec.Headers = next, nil
				next++
				switch {
				case magic == 0:
					rec.Timestamp = record.NoTimestamp
				case stamp:
					rec.Timestamp = 99
				}
				if codec != record.None || rec.Offset >= asked {
					want = append(want, rec)
				}
			}
			batch, err := b.Bytes()
			if err != nil {
				rt.Fatal(err)
			}
			region = append(region, batch...)
			marker := record.NewControlBatch(record.Marker{Type: record.Commit}, 1, 0, 0, 5)
			record.SetBaseOffset(marker, next)
			region = append(region, marker...)
			next++
		}
		cut := rapid.IntRange(0, 80).Draw(rt, "cut") // within the last marker at most
		down, err := record.DownConvert(region[:len(region)-cut%70], magic, asked)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, collect(tb, down)); diff != "" {
			rt.Fatalf("wanted -, converted +\n%s", diff)
		}
		total := 0
		for b := down; len(b) > 0; {
			e, err := record.NextEntry(b)
			if err != nil || e.Magic != magic || record.CheckEntryCRC(b) != nil {
				rt.Fatalf("entry %+v at %d, %v", e, total, err)
			}
			b, total = b[e.Size:], total+e.Size
		}
		again, err := record.DownConvert(down, magic, asked)
		if err != nil || !bytes.Equal(again, down) {
			rt.Fatalf("converted twice is not the same, %v", err)
		}
	})
}

// TestDownConvertRecorded converts what Apache Kafka wrote, of which the records stay the same.
func TestDownConvertRecorded(t *testing.T) {
	for _, archive := range []string{"clean", "kafka-0.10", "upgraded"} {
		for dir, files := range segments(t, archive) {
			for name, b := range files {
				for magic := range int8(2) {
					down, err := record.DownConvert(b, magic, 0)
					if hasZstd(b) {
						if !errors.Is(err, kerr.UnsupportedCompressionType) {
							t.Errorf("%s of zstd: %v", dir, err)
						}
						continue
					}
					if err != nil {
						t.Errorf("%s/%s: %v", dir, name, err)
						continue
					}
					var want []record.Record
					r := record.NewReader(b)
					for {
						rec, err := r.Next()
						if err == io.EOF {
							break
						}
						if err != nil {
							t.Fatal(err)
						}
						if r.Entry().Header.IsControl() {
							continue
						}
						c := clone(rec)
						c.Headers = nil
						if magic == 0 {
							c.Timestamp = record.NoTimestamp
						}
						want = append(want, c)
					}
					r.Close()
					if diff := cmp.Diff(want, collect(t, down)); diff != "" {
						t.Errorf("%s/%s to magic %d: recorded -, converted +\n%s", dir, name, magic, diff)
					}
				}
			}
		}
	}
}

// hasZstd says whether a data batch of the region is compressed with zstd.
func hasZstd(b []byte) bool {
	for len(b) > 0 {
		e, err := record.NextEntry(b)
		if err != nil {
			return false
		}
		if e.Codec == record.Zstd && !e.Header.IsControl() {
			return true
		}
		b = b[e.Size:]
	}
	return false
}

// TestLZ4HeaderChecksum compares our frames with recorded ones of magic 0 and 1, and with another implementation.
func TestLZ4HeaderChecksum(t *testing.T) {
	logs := segments(t, "kafka-0.10")
	for dir, magic := range map[string]int8{"v-0.9.0-lz4-0": 0, "v-0.10.2-lz4-0": 1} {
		recorded := logs[dir]["00000000000000000000.log"]
		s := record.NewMessageSet(nil, magic, record.LZ4, 0)
		for _, rec := range collect(t, recorded) {
			s.Append(rec.Offset, rec.Key, rec.Value, rec.Timestamp)
		}
		ours, err := s.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		// Offset, size, the fixed part and two lengths, then the frame: its magic, flags, block descriptor, checksum.
		at := 12 + 14 + 8*int(magic)
		if want, got := recorded[at:at+7], ours[at:at+7]; !bytes.Equal(want, got) {
			t.Errorf("%s: frame begins with %x, ours with %x", dir, want, got)
		}
	}

	text := bytes.Repeat([]byte("a frame that another implementation reads, and the other way round. "), 5000)
	batch := build(t, record.BuilderOptions{Codec: record.LZ4}, []record.Record{{Value: text}})
	plain, err := io.ReadAll(lz4.NewReader(bytes.NewReader(batch[record.HeaderSize:])))
	if err != nil || !bytes.Contains(plain, text) {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
		for _, sums := range []bool{false, true} {
			var frame bytes.Buffer
			w := lz4.NewWriter(&frame)
			if err := w.Apply(lz4.BlockSizeOption(size), lz4.BlockChecksumOption(sums), lz4.ChecksumOption(sums), lz4.SizeOption(uint64(len(plain)))); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(plain); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			foreign := append(bytes.Clone(batch[:record.HeaderSize]), frame.Bytes()...)
			binary.BigEndian.PutUint32(foreign[8:], uint32(len(foreign)-record.LogOverhead))
			if got := collect(t, foreign); len(got) != 1 || !bytes.Equal(got[0].Value, text) {
				t.Errorf("blocks of %d, checksums %t: %d records", size, sums, len(got))
			}
		}
	}
}

// TestRawSnappy reads snappy without xerial framing, which some clients write.
func TestRawSnappy(t *testing.T) {
	batch := build(t, record.BuilderOptions{Codec: record.Snappy}, []record.Record{{Key: []byte("k"), Value: []byte("unframed")}})
	const framing = 16 + 4
	raw := append(bytes.Clone(batch[:record.HeaderSize]), batch[record.HeaderSize+framing:]...)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-record.LogOverhead))
	if got := collect(t, raw); len(got) != 1 || string(got[0].Value) != "unframed" {
		t.Errorf("%v", got)
	}
}

// TestWrapperAtZero keeps the relative offsets of wrappers that some versions of librdkafka left at offset 0.
func TestWrapperAtZero(t *testing.T) {
	s := record.NewMessageSet(nil, 1, record.Gzip, 0)
	for i := range int64(3) {
		s.Append(i, nil, fmt.Append(nil, "v", i), 7)
	}
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(b, 0)
	for i, rec := range collect(t, b) {
		if rec.Offset != int64(i) {
			t.Errorf("record %d has offset %d", i, rec.Offset)
		}
	}
}

// TestMarkers reads back control batches.
func TestMarkers(t *testing.T) {
	for _, want := range []record.Marker{{record.Abort, 3}, {record.Commit, 1 << 30}} {
		b := record.NewControlBatch(want, 42, 5, 9, 1700000000000)
		h, err := record.ParseHeader(b)
		if err != nil || !h.IsControl() || !h.IsTransactional() || h.ProducerID != 42 || h.ProducerEpoch != 5 || h.LeaderEpoch != 9 || h.Count != 1 || h.BaseSequence != -1 {
			t.Errorf("%+v, %v", h, err)
		}
		for rec, err := range record.All(b) {
			if err != nil {
				t.Fatal(err)
			}
			if got, err := record.ParseMarker(rec); err != nil || got != want {
				t.Errorf("marker %+v, %v", got, err)
			}
		}
	}
}

// TestSequenceWraps: 0 follows 2^31-1.
func TestSequenceWraps(t *testing.T) {
	for _, c := range []struct{ base, n, want int32 }{{0, 5, 5}, {1<<31 - 1, 1, 0}, {1<<31 - 3, 5, 2}, {1<<31 - 1, 0, 1<<31 - 1}} {
		if got := record.AddSequence(c.base, c.n); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.base, c.n, got, c.want)
		}
	}
}
