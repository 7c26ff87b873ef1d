package record_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ottla/broker/record"
)

// frame puts a batch's header before compressed bytes.
func frame(codec record.Codec, count int32, compressed []byte) []byte {
	b := make([]byte, record.HeaderSize, record.HeaderSize+len(compressed))
	b = append(b, compressed...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-record.LogOverhead))
	b[16], b[22] = 2, byte(codec)
	binary.BigEndian.PutUint32(b[23:], uint32(count-1))
	for at, v := range map[int]uint64{43: ^uint64(0)} {
		binary.BigEndian.PutUint64(b[at:], v)
	}
	binary.BigEndian.PutUint32(b[57:], uint32(count))
	return resum(b)
}

// TestBombs gives a reader what claims or becomes far more than it is, and bounds what it allocates meanwhile.
func TestBombs(t *testing.T) {
	const limit, mib = 4 << 20, 1 << 20
	zeros := func(n int) io.Reader { return io.LimitReader(zeroReader{}, int64(n)) }
	// A record of 2^30 bytes, as far as its length goes.
	claim := []byte{0x80, 0x80, 0x80, 0x80, 0x08, 0, 0, 0}

	var gzipped bytes.Buffer
	z := stdgzip.NewWriter(&gzipped)
	z.Write(claim)
	io.Copy(z, zeros(16*mib))
	z.Close()
	var zstded bytes.Buffer
	zw, err := zstd.NewWriter(&zstded, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zw.Write(claim)
	io.Copy(zw, zeros(16*mib))
	zw.Close()

	windowed := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0, 0} // a window of 128 MiB around nothing
	single := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0)
	for _, c := range []struct {
		name      string
		codec     record.Codec
		in        []byte
		allocated uint64
	}{
		{"gzip of 16 MiB", record.Gzip, gzipped.Bytes(), 4 * limit},
		{"zstd of 16 MiB", record.Zstd, zstded.Bytes(), 4*limit + 20*mib},
		{"zstd that claims a window of 128 MiB", record.Zstd, windowed, 130 * mib},
		{"zstd that claims 2 GiB at once", record.Zstd, single, mib},
		{"snappy that claims 4 GiB", record.Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0}, mib},
		{"xerial that claims 4 GiB", record.Snappy, append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), mib},
		{"lz4 block of 2 GiB", record.LZ4, []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0xff, 0x7f, 0, 0}, mib},
		{"a record of 1 GiB in snappy", record.Snappy, append([]byte{8, 7 << 2}, claim...), mib},
	} {
		b := frame(c.codec, 3, c.in)
		var r record.Reader
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r.Reset(b, limit)
		_, err := r.Next()
		runtime.ReadMemStats(&after)
		if err == nil || err == io.EOF {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.allocated {
			t.Errorf("%s: allocated %d KiB", c.name, got>>10)
		}
		r.Close()
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestLargeWindows reads what the highest levels of zstd make, whose windows are larger than those of pooled decoders.
func TestLargeWindows(t *testing.T) {
	var frames [][]byte
	value := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	body := build(t, record.BuilderOptions{}, []record.Record{{Value: value}})[record.HeaderSize:]
	for _, window := range []int{1 << 20, 8 << 20, 32 << 20, 128 << 20} {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(body)
		w.Close()
		frames = append(frames, out.Bytes())
	}
	for range 3 { // more often than there are large decoders at once
		for _, f := range frames {
			got := collect(t, frame(record.Zstd, 1, f))
			if len(got) != 1 || !bytes.Equal(got[0].Value, value) {
				t.Fatalf("%d records", len(got))
			}
		}
	}
}

// seeds are recorded segments and requests.
func seeds(f *testing.F, add func([]byte)) {
	t := &testing.T{}
	for _, archive := range []string{"clean", "kafka-0.10", "upgraded"} {
		for _, files := range segments(t, archive) {
			for _, b := range files {
				add(b[:min(len(b), 2000)])
			}
		}
	}
	for _, codec := range codecs {
		add(build(f, record.BuilderOptions{Codec: codec}, three()))
	}
	if _, err := os.Stat(logsDir); err != nil {
		f.Fatal(err)
	}
}

// FuzzReader reads anything; the records fit what was there, and memory the limit.
func FuzzReader(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 20
		var r record.Reader
		defer r.Close()
		r.Reset(b, limit)
		for n := 0; ; n++ {
			rec, err := r.Next()
			if err != nil {
				return
			}
			size := len(rec.Key) + len(rec.Value)
			for _, h := range rec.Headers {
				size += len(h.Key) + len(h.Value)
			}
			if size > max(limit, len(b)) {
				t.Fatalf("a record of %d bytes", size)
			}
			if n > len(b)*limit {
				t.Fatal("no end")
			}
		}
	})
}

// FuzzValidate validates anything, with every option that opens it; what is let through can be read back.
func FuzzValidate(f *testing.F) {
	seeds(f, func(b []byte) {
		f.Add(b, int16(2), uint8(0))
		f.Add(b, int16(9), uint8(7))
	})
	f.Fuzz(func(t *testing.T, b []byte, version int16, bits uint8) {
		if len(b) > record.HeaderSize && b[16] == 2 { // let it pass the checksum
			if h, err := record.ParseHeader(b); err == nil && h.Size() <= len(b) {
				binary.BigEndian.PutUint64(b, 0)
				resum(b[:h.Size()])
			}
		}
		o := options(version)
		o.MessageBytesMax = 4 << 10 // and with it the limit of decompression at its lowest
		o.Compacted = bits&1 != 0
		if bits&2 != 0 {
			o.TimestampType = record.LogAppendTime
		}
		o.Compression = record.Compression{Forced: bits&4 != 0, Codec: record.Codec(bits >> 3 % 5)}
		if bits&128 != 0 {
			o.TimestampBeforeMax = 1000
		}
		v, err := record.Validate(b, o)
		if err != nil || len(v.Batches) == 0 {
			return
		}
		if len(v.Batches) != 1 || len(v.Records) > o.MessageBytesMax || record.CheckCRC(v.Records) != nil {
			t.Fatalf("%+v", v)
		}
		h, err := record.ParseHeader(v.Records)
		if err != nil || h != v.Batches[0] || h.BaseOffset != 0 || int64(h.Count) != h.LastOffset()+1 || h.Size() != len(v.Records) {
			t.Fatalf("%+v, %v", h, err)
		}
		if v.Converted {
			var n int32
			for rec, err := range record.All(v.Records) {
				if err != nil || rec.Offset != int64(n) {
					t.Fatalf("record %d: %+v, %v", n, rec, err)
				}
				n++
			}
			if n != h.Count {
				t.Fatalf("%d of %d records", n, h.Count)
			}
		}
	})
}

// FuzzDownConvert converts anything; the result is entries of that magic, to the last byte.
func FuzzDownConvert(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(b, true, int64(3)) })
	f.Fuzz(func(t *testing.T, b []byte, times bool, first int64) {
		magic := int8(0)
		if times {
			magic = 1
		}
		out, err := record.DownConvert(b, magic, first)
		if err != nil {
			return
		}
		for len(out) > 0 {
			e, err := record.NextEntry(out)
			if err != nil || e.Size > len(out) || e.Magic > magic {
				t.Fatalf("%+v, %v", e, err)
			}
			out = out[e.Size:]
		}
	})
}
