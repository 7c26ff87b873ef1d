package commitlog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ottla/broker/topic"
	"ottla/internal/fs"
)

// recorded gives a fuzzer the recorded files that match a pattern.
func recorded(f *testing.F, pattern string) {
	for _, dir := range []string{"clean", "killed", "upgraded"} {
		files, _ := filepath.Glob(filepath.Join(unpack(f, dir), "*", pattern))
		for _, path := range files {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b[:min(len(b), 4096)])
		}
	}
}

func FuzzIndexes(f *testing.F) {
	recorded(f, "*index")
	f.Fuzz(func(t *testing.T, b []byte) {
		var x indexes
		good := goodOffsets(b, 1<<20)
		for _, e := range good {
			x.addOffset(e)
		}
		if x.offsets.len() != len(good) || !bytes.Equal(encodeOffsets(&x.offsets, 0, len(good)), b[:len(good)*offsetEntrySize]) {
			t.Errorf("%d good offset entries, %d taken", len(good), x.offsets.len())
		}
		for _, e := range good {
			if x.lookup(int64(e.rel)) != int64(e.pos) {
				t.Errorf("entry %v is not found", e)
			}
		}
		times := goodTimes(b)
		for _, e := range times {
			x.addTime(e)
		}
		if x.times.len() != len(times) || !bytes.Equal(encodeTimes(&x.times, 0, len(times)), b[:len(times)*timeEntrySize]) {
			t.Errorf("%d good time entries, %d taken", len(times), x.times.len())
		}
		txns := goodTxns(b)
		for _, e := range txns {
			x.txns.add(e)
		}
		if !bytes.Equal(encodeTxns(&x.txns, 0, len(txns)), b[:len(txns)*txnEntrySize]) {
			t.Errorf("%d good transactions are written otherwise", len(txns))
		}
	})
}

func FuzzEpochs(f *testing.F) {
	recorded(f, epochFile)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeEpochs(b)
		if err != nil {
			return
		}
		var c epochs
		for _, e := range list {
			c.assign(e.epoch, e.start)
		}
		again, err := decodeEpochs(encodeEpochs(c.load()))
		if err != nil || len(again) != len(list) {
			t.Errorf("%v, again %v: %v", list, again, err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	recorded(f, metadataFile)
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := decodeMetadata(b); err == nil {
			if again, err := decodeMetadata(encodeMetadata(id)); err != nil || again != id {
				t.Errorf("%s, again %s: %v", id, again, err)
			}
		}
	})
}

// FuzzOpen opens hostile segments and reads what is left of them.
func FuzzOpen(f *testing.F) {
	recorded(f, "*.log")
	f.Fuzz(func(t *testing.T, b []byte) {
		c := fs.NewCrash()
		o := testOptions(t, "/d/t-0")
		o.FS, o.Partition, o.Logger = c, topic.Partition{Topic: "t"}, o.Logger.Level(5)
		if err := c.MkdirAll(o.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := fs.WriteFileAtomic(c, o.Dir, name(o.Dir, 0, ".log"), b); err != nil {
			t.Fatal(err)
		}
		for _, clean := range []bool{true, false} {
			o.CleanShutdown = clean
			l, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if s, err := l.Read(l.LogStart(), l.LogEnd(), 1<<20, true); err == nil {
				s.Release()
			}
			_, _, _ = l.OffsetForTimestamp(0, l.LogEnd())
			_, _, _ = l.MaxTimestamp()
			_, _ = l.AbortedTxns(0, l.LogEnd())
			if err := l.Close(clean); err != nil {
				t.Fatal(err)
			}
		}
	})
}
