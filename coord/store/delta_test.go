package store

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
)

// numbered are n records of one bucket.
func numbered(n int, value string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for i := range n {
			if !yield(Record{"node", fmt.Appendf(nil, "/n%06d", i), []byte(value)}) {
				return
			}
		}
	}
}

// A merge may be stopped after any of its transactions; what is loaded is the same, and the next one ends it.
func TestMergeIsStopped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	c := OpenBolt(path).(*layered)
	must(t, c.Commit(Header{Index: 1}, numbered(5*mergeRecords, "old")))
	must(t, c.Commit(Header{Index: 2, Meta: []byte("m")}, numbered(3*mergeRecords+1, "new")))
	stopped := make(chan struct{})
	close(stopped)
	for range 3 {
		c = OpenBolt(path).(*layered)
		h, list := dump(t, c)
		if h.Index != 2 || string(h.Meta) != "m" || len(list) != 5*mergeRecords || list[3*mergeRecords] != fmt.Sprintf("node /n%06d new", 3*mergeRecords) ||
			list[3*mergeRecords+1] != fmt.Sprintf("node /n%06d old", 3*mergeRecords+1) {
			t.Fatalf("%+v, %d records", h, len(list))
		}
		must(t, c.Merge(stopped, mergePause*1000))
		if _, err := os.Stat(filepath.Join(dir, "delta")); err != nil {
			t.Fatal(err)
		}
	}
	must(t, c.Merge(nil, 0))
	if _, err := os.Stat(filepath.Join(dir, "delta")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("delta is still there: %v", err)
	}
	if h, list := dump(t, c); h.Index != 2 || len(list) != 5*mergeRecords {
		t.Errorf("%+v, %d records", h, len(list))
	}
}

// A delta continues one checkpoint only.
func TestDeltaOfAnotherCheckpoint(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	c := OpenBolt(path).(*layered)
	must(t, c.Commit(Header{Index: 1}, numbered(10, "1")))
	old, err := os.ReadFile(path)
	must(t, err)
	must(t, c.Commit(Header{Index: 2}, numbered(10, "2")))
	must(t, c.Merge(nil, 0))
	must(t, c.Commit(Header{Index: 3}, numbered(10, "3")))
	must(t, os.WriteFile(path, old, 0o600))
	var d *DamageError
	if err := OpenBolt(path).Load(readAll); !errors.As(err, &d) || d.File != filepath.Join(dir, "delta") {
		t.Errorf("loaded: %v", err)
	}
}

// Every byte of a delta counts.
func TestDeltaNoticesDamage(t *testing.T) {
	dir := t.TempDir()
	path, at := filepath.Join(dir, "state.db"), filepath.Join(dir, "delta")
	c := OpenBolt(path).(*layered)
	must(t, c.Commit(Header{Index: 1}, numbered(3, "1")))
	must(t, c.Commit(Header{Index: 2, Term: 1, Conf: []byte("c"), Meta: []byte("m")}, numbered(3, "2")))
	good, err := os.ReadFile(at)
	must(t, err)
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		must(t, os.WriteFile(at, bad, 0o600))
		var d *DamageError
		if err := OpenBolt(path).Load(readAll); !errors.As(err, &d) {
			t.Errorf("byte %d: %v", i, err)
		}
		must(t, os.WriteFile(at, good[:i], 0o600))
		if err := OpenBolt(path).Load(readAll); !errors.As(err, &d) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func FuzzDelta(f *testing.F) {
	dir := f.TempDir()
	path, at := filepath.Join(dir, "state.db"), filepath.Join(dir, "delta")
	c := OpenBolt(path).(*layered)
	must(f, c.Commit(Header{Index: 1}, numbered(3, "1")))
	must(f, c.Commit(Header{Index: 2, Meta: []byte("m")}, numbered(3, "2")))
	good, err := os.ReadFile(at)
	must(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(at, b, 0o600))
		_ = OpenBolt(path).Load(readAll) // an error is fine, a panic is not
	})
}
