package commitlog

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/rs/zerolog"

	"ottla/internal/fs"
)

func benchLog(b *testing.B, change func(*Options)) *Log {
	b.Helper()
	o := testOptions(b, b.TempDir()+"/t-0")
	o.Logger = zerolog.Nop()
	o.Cache = NewCache(512, 2048)
	if change != nil {
		change(&o)
	}
	return open(b, o)
}

// reset makes a set ready to be appended again.
func reset(sets []*AppendSet) {
	for _, s := range sets {
		s.LogAppendTime = -1
		for i := range s.Batches {
			s.Batches[i].BaseOffset = 0
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10} {
		for _, sets := range []int{1, 16} {
			for _, producer := range []int64{0, 7} {
				if producer > 0 && sets > 1 {
					continue
				}
				b.Run(fmt.Sprintf("%dKiB/sets=%d/idempotent=%v", size>>10, sets, producer > 0), func(b *testing.B) {
					l := benchLog(b, func(o *Options) { o.Settings.SegmentBytes = 256 << 20; o.Settings.RetentionBytes = 256 << 20 })
					var list []*AppendSet
					for range sets {
						list = append(list, batch{n: 10, size: (size - 61) / 10, producer: producer}.set())
					}
					b.SetBytes(int64(sets * len(list[0].Records)))
					b.ReportAllocs()
					b.ResetTimer()
					for i := range b.N {
						reset(list)
						if producer > 0 {
							list[0].Batches[0].BaseSequence = int32(i * 10)
						}
						if err := l.Append(0, list); err != nil || list[0].Err != nil {
							b.Fatal(err, list[0].Err)
						}
						if i%1024 == 1023 {
							b.StopTimer()
							l.SetHighWatermark(l.LogEnd())
							if _, err := l.DeleteOldSegments(l.o.Now()); err != nil {
								b.Fatal(err)
							}
							l.Housekeep(l.o.Now().Add(1e12))
							b.StartTimer()
						}
					}
				})
			}
		}
	}
}

// fill appends batches of size bytes until the log has total, in as many segments as asked for.
func fill(b *testing.B, l *Log, size int, total int64, segments int) {
	b.Helper()
	set := []*AppendSet{batch{n: 10, size: (size - 61) / 10}.set()}
	for i := range segments {
		for l.Size() < total*int64(i+1)/int64(segments) {
			reset(set)
			if err := l.Append(0, set); err != nil {
				b.Fatal(err)
			}
		}
		if i < segments-1 {
			if err := l.Roll(); err != nil {
				b.Fatal(err)
			}
		}
	}
	l.SetHighWatermark(l.LogEnd())
	if err := l.Flush(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSegments appends to, and fetches at random known offsets from, the same bytes in 1 and in 200 segments.
func BenchmarkSegments(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		for _, segments := range []int{1, 200} {
			b.Run(fmt.Sprintf("fetch/%dKiB/segments=%d", size>>10, segments), func(b *testing.B) {
				l := benchLog(b, nil)
				fill(b, l, size, 200<<20, segments)
				if l.Segments() != segments {
					b.Fatal(l.Segments())
				}
				buf := make([]byte, 64<<10)
				end := l.LogEnd()
				r := rand.New(rand.NewPCG(1, 2))
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					s, err := l.Read(r.Int64N(end), end, len(buf), true)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := s.ReadAt(buf[:s.Len], 0); err != nil {
						b.Fatal(err)
					}
					s.Release()
				}
			})
			b.Run(fmt.Sprintf("append/%dKiB/segments=%d", size>>10, segments), func(b *testing.B) {
				l := benchLog(b, nil)
				fill(b, l, size, 200<<20, segments)
				set := []*AppendSet{batch{n: 10, size: (size - 61) / 10}.set()}
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					reset(set)
					if err := l.Append(0, set); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkReadTail(b *testing.B) {
	l := benchLog(b, nil)
	fill(b, l, 1<<10, 64<<20, 1)
	end := l.LogEnd()
	b.ReportAllocs()
	for range b.N {
		s, err := l.Read(end-10, end, 1<<20, true)
		if err != nil || s.Len == 0 {
			b.Fatal(err)
		}
		s.Release()
	}
}

func BenchmarkReadSequential(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			l := benchLog(b, nil)
			fill(b, l, 16<<10, 256<<20, 4)
			offset, end := int64(0), l.LogEnd()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for range b.N {
				s, err := l.Read(offset, end, size, true)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				offset += int64(s.Len) / (16 << 10) * 10
				if offset >= end {
					offset = 0
				}
				s.Release()
			}
		})
	}
}

// BenchmarkSync is flush.messages=1: appends of 1 KiB, each acknowledged after the group's sync.
func BenchmarkSync(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := benchLog(b, func(o *Options) { o.Settings.FlushMessages = 1 })
			b.SetParallelism((writers + 1) / 2)
			b.RunParallel(func(pb *testing.PB) {
				set := []*AppendSet{batch{n: 10, size: 96}.set()}
				for pb.Next() {
					reset(set)
					if err := l.Append(0, set); err != nil {
						b.Fatal(err)
					}
					if err := l.Sync(set[0].SyncTo); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkOpen opens a log of 1 GiB/8 after a clean stop, and after a crash behind its last flush.
func BenchmarkOpen(b *testing.B) {
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprintf("clean=%v", clean), func(b *testing.B) {
			l := benchLog(b, nil)
			fill(b, l, 16<<10, 128<<20, 2)
			end := l.LogEnd()
			if err := l.Close(true); err != nil {
				b.Fatal(err)
			}
			o := l.o
			o.CleanShutdown, o.RecoveryPoint = clean, end
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				l, err := Open(o)
				if err != nil || l.LogEnd() != end {
					b.Fatal(err)
				}
				_ = l.Close(false)
			}
		})
	}
}

// TestAppendDoesNotAllocate bounds what an append of any size, and a read, cost the garbage collector.
func TestAppendDoesNotAllocate(t *testing.T) {
	l := open(t, testOptions(t, t.TempDir()+"/t-0"))
	set := []*AppendSet{batch{n: 100, size: 600}.set()}
	if n := testing.AllocsPerRun(200, func() {
		reset(set)
		if err := l.Append(0, set); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("an append makes %v allocations", n)
	}
	end := l.LogEnd()
	var offset int64
	buf := make([]byte, 1000)
	if n := testing.AllocsPerRun(200, func() {
		s, err := l.Read(offset, end, len(buf), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadAt(buf[:s.Len], 0); err != nil {
			t.Fatal(err)
		}
		s.Release()
		offset = (offset + 37) % end
	}); n > 1 {
		t.Errorf("a read makes %v allocations", n)
	}
}

// TestFetchCostsTheSame counts file calls of fetches at random known offsets in the same bytes as 1 and as 200 segments: what speed on a
// busy machine cannot tell.
func TestFetchCostsTheSame(t *testing.T) {
	var reads, opens [2]int
	for i, segments := range []int{1, 200} {
		f := fs.NewFaulty(fs.OS)
		o := testOptions(t, t.TempDir()+"/t-0")
		o.FS, o.Cache, o.Settings.IndexIntervalBytes = f, NewCache(512, 2048), 1024
		l := open(t, o)
		set := []*AppendSet{batch{n: 2, size: 100}.set()}
		for n := range 20000 {
			reset(set)
			if err := l.Append(0, set); err != nil {
				t.Fatal(err)
			}
			if segments > 1 && n%100 == 99 && n < 19999 {
				if err := l.Roll(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if l.Segments() != segments {
			t.Fatalf("%d segments", l.Segments())
		}
		end := l.LogEnd()
		r := rand.New(rand.NewPCG(1, 2))
		fetch := func() {
			s, err := l.Read(r.Int64N(end), end, 1000, true)
			if err != nil {
				t.Fatal(err)
			}
			s.Release()
		}
		for range 3000 { // until every segment is known
			fetch()
		}
		none := make(chan struct{})
		close(none)
		read, opened := f.Inject(fs.Rule{Op: fs.OpRead, Stall: none}), f.Inject(fs.Rule{Op: fs.OpOpen, Stall: none})
		for range 2000 {
			fetch()
		}
		reads[i], opens[i] = read.Hits(), opened.Hits()
	}
	if float64(reads[1]) > 1.2*float64(reads[0]) || opens[0]+opens[1] > 0 {
		t.Errorf("2000 fetches make %d reads and %d opens in 1 segment, %d and %d in 200", reads[0], opens[0], reads[1], opens[1])
	}
}
