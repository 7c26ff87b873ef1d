package store

import (
	"fmt"
	"testing"

	"ottla/internal/fs"
)

// One fdatasync per group: what a group of n entries of 165 bytes costs, on the real disk under the temporary directory.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, err := OpenLog(LogOptions{FS: fs.OS, Dir: b.TempDir(), Cluster: 1, Fresh: true})
			must(b, err)
			defer l.Close()
			group := make([]Entry, n)
			payload := make([]byte, 165)
			b.ReportAllocs()
			for b.Loop() {
				for i := range group {
					group[i] = Entry{Index: l.LastIndex() + uint64(i) + 1, Term: 1, Data: payload}
				}
				if err := l.Append(HardState{Term: 1, Vote: 1, Commit: l.LastIndex()}, group); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// Opening a log of 256 MiB, all of it to be checked.
func BenchmarkRecover(b *testing.B) {
	dir := b.TempDir()
	o := LogOptions{FS: fs.OS, Dir: dir, Cluster: 1, Fresh: true}
	l, err := OpenLog(o)
	must(b, err)
	payload := make([]byte, 64<<10)
	for l.Bytes() < 256<<20 {
		must(b, l.Append(HardState{Term: 1}, []Entry{{Index: l.LastIndex() + 1, Term: 1, Data: payload}}))
	}
	must(b, l.Close())
	b.SetBytes(256 << 20)
	for b.Loop() {
		l, err := OpenLog(o)
		must(b, err)
		must(b, l.Close())
	}
}

// A start after a crash looks through the space that the last segment has reserved.
func BenchmarkRecoverReserved(b *testing.B) {
	dir := b.TempDir()
	o := LogOptions{FS: fs.OS, Dir: dir, Cluster: 1, Fresh: true}
	l, err := OpenLog(o)
	must(b, err)
	must(b, l.Append(HardState{Term: 1}, []Entry{{Index: 1, Term: 1}}))
	for b.Loop() {
		again, err := OpenLog(o) // beside the first, which never closed
		must(b, err)
		again.f.Close()
	}
	must(b, l.Close())
}

// A checkpoint of n changed records of 100 bytes in a file of 100,000.
func BenchmarkCheckpoint(b *testing.B) {
	c := OpenBolt(b.TempDir() + "/state.db")
	put := func(from, n int) {
		value := make([]byte, 100)
		must(b, c.Commit(Header{Index: 1}, func(yield func(Record) bool) {
			for i := range n {
				if !yield(Record{"node", fmt.Appendf(nil, "/app/node-%08d", (from+i*97)%100000), value}) {
					return
				}
			}
		}))
	}
	put(0, 100000)
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				put(i, n)
			}
		})
	}
}
