package store

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"pgregory.net/rapid"

	"ottla/internal/fs"
)

// FuzzOpenLog reads a segment of any content. Whatever it is, opening ends, takes no more memory than the file is long, and gives either an
// error or a log that can be written, closed and opened again.
func FuzzOpenLog(f *testing.F) {
	seed := func(change func(b []byte) []byte) {
		c := fs.NewCrash()
		l := mustOpen(f, c)
		for range 12 {
			appendN(f, l, 1, 40, 1)
		}
		appendN(f, l, 3, 100, 2)
		must(f, l.Close())
		b, err := fs.ReadFile(c, segmentPath("/log", 1), 1<<20)
		must(f, err)
		f.Add(change(b))
	}
	seed(func(b []byte) []byte { return b })
	seed(func(b []byte) []byte { return b[:len(b)-30] })
	seed(func(b []byte) []byte { b[300] ^= 4; return b })
	seed(func(b []byte) []byte { clear(b[200:300]); return b })
	seed(func(b []byte) []byte { return append(b, bytes.Repeat([]byte{0, 0, 0, 9, 3, 0, 0, 0}, 50)...) })
	seed(func(b []byte) []byte { return b[:50] })
	f.Fuzz(func(t *testing.T, b []byte) {
		c := fs.NewCrash()
		must(t, c.MkdirAll("/log", 0o755))
		file, err := c.OpenFile(segmentPath("/log", 1), os.O_CREATE|os.O_RDWR, 0o644)
		must(t, err)
		_, err = file.WriteAt(b, 0)
		must(t, err)
		l, err := openLog(c, notFresh)
		if err != nil {
			return
		}
		last := l.LastIndex()
		list, err := l.Entries(l.FirstIndex(), last+1, 1<<30)
		must(t, err)
		if uint64(len(list)) != last {
			t.Fatalf("%d entries of %d", len(list), last)
		}
		must(t, l.Append(l.HardState(), []Entry{{Index: last + 1, Term: l.HardState().Term + 1, Data: []byte("new")}}))
		must(t, l.Close())
		l = mustOpen(t, c, notFresh)
		if l.LastIndex() != last+1 {
			t.Fatalf("the log ends with %d, want %d", l.LastIndex(), last+1)
		}
	})
}

// Any one byte of what was synced before the last group may rot: the start is refused, and never does the log lose something silently.
// What the last group loses may look unfinished, but nothing before it is lost with it.
func TestAnyRottenByteIsNoticed(t *testing.T) {
	base := fs.NewCrash()
	l := mustOpen(t, base, func(o *LogOptions) { o.SegmentBytes = 2048 })
	for range 30 {
		appendN(t, l, 1, 100, 1)
	}
	names := segments(t, base)
	end := l.active.end
	lastGroup := l.synced - (recordSize(100) + recordSize(8))
	base.Persist()
	rapid.Check(t, func(t *rapid.T) {
		c := base.Survivor(fs.LoseAll, 0)
		seg := rapid.IntRange(0, len(names)-1).Draw(t, "segment")
		first := []uint64{1}
		for _, s := range append(l.sealed[1:len(l.sealed):len(l.sealed)], l.active) {
			first = append(first, s.first)
		}
		size := end
		if seg < len(l.sealed) {
			size = l.sealed[seg].end
		}
		off := rapid.Int64Range(0, size-1).Draw(t, "offset")
		f, err := c.OpenFile(segmentPath("/log", first[seg]), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		f.ReadAt(b, off)
		old := b[0]
		b[0] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
		f.WriteAt(b, off)
		got, err := openLog(c, notFresh)
		var d *DamageError
		switch {
		case errors.As(err, &d):
			return
		case err != nil:
			t.Fatalf("refused without saying where: %v", err)
		case got.LastIndex() == 30:
			return // padding
		case seg == len(l.sealed) && off >= lastGroup && got.LastIndex() == 29:
			return
		}
		t.Fatalf("byte %d of segment %d, %#x, now %#x: the log ends with %d", off, seg, old, b[0], got.LastIndex())
	})
}
