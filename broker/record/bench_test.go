package record_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"ottla/broker/record"
)

// benchBatch is a batch of about 64 KiB of records of the given size, compressible as text is.
func benchBatch(b testing.TB, size int, codec record.Codec) []byte {
	words := rand.New(rand.NewPCG(1, 2))
	var records []record.Record
	for total := 0; total < 64<<10-300; total += size + 8 {
		value := make([]byte, 0, size)
		for len(value) < size {
			value = fmt.Appendf(value, "%d,", words.IntN(5000))
		}
		records = append(records, record.Record{Timestamp: now, Value: value[:size]})
	}
	return build(b, record.BuilderOptions{Codec: codec}, records)
}

// BenchmarkValidate is the leader's check of a 64 KiB batch that nothing forces open: no allocation.
func BenchmarkValidate(b *testing.B) {
	for _, size := range []int{100, 1 << 10} {
		for _, codec := range []record.Codec{record.None, record.LZ4} {
			b.Run(fmt.Sprintf("%s/%dB", codec, size), func(b *testing.B) {
				in := benchBatch(b, size, codec)
				o := options(11)
				o.Batches = make([]record.Header, 0, 1)
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := record.Validate(in, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRecompress is the check of a 64 KiB batch on a topic of another compression.type.
func BenchmarkRecompress(b *testing.B) {
	for _, codec := range codecs[1:] {
		b.Run(codec.String(), func(b *testing.B) {
			in := benchBatch(b, 100, record.None)
			o := options(11)
			o.Compression = record.Compression{Forced: true, Codec: codec}
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := record.Validate(in, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead yields the records of 64 KiB.
func BenchmarkRead(b *testing.B) {
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			in := benchBatch(b, 100, codec)
			var r record.Reader
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(in, record.DecompressMaxHard)
				for {
					if _, err := r.Next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
			r.Close()
		})
	}
}

// BenchmarkDownConvert is what a fetch of a client before magic 2 costs.
func BenchmarkDownConvert(b *testing.B) {
	for _, codec := range codecs[:4] {
		b.Run(codec.String(), func(b *testing.B) {
			in := benchBatch(b, 100, codec)
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := record.DownConvert(in, 1, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestValidateAllocatesNothing holds the hot path to its promise.
func TestValidateAllocatesNothing(t *testing.T) {
	for _, codec := range codecs {
		in := benchBatch(t, 100, codec)
		for _, kind := range []record.TimestampType{record.CreateTime, record.LogAppendTime} {
			o := options(11)
			o.TimestampType = kind
			o.Batches = make([]record.Header, 0, 1)
			allocated := testing.AllocsPerRun(100, func() {
				in[22] &^= 8 // what the broker's time left there
				resum(in)
				if _, err := record.Validate(in, o); err != nil {
					t.Fatal(err)
				}
			})
			if allocated != 0 {
				t.Errorf("%s, %s: %v allocations", codec, kind, allocated)
			}
		}
	}
}
