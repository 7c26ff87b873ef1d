package producer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ottla/broker/record"
)

// kafkasSnapshots are the snapshot files in the recorded log directories.
func kafkasSnapshots(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"clean", "killed", "upgraded"} {
		f, err := os.Open("../../testdata/logs/" + name + ".tar.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(h.Name, ".snapshot") {
				b, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				files[name+"/"+h.Name] = b
			}
		}
	}
	return files
}

// TestKafkasSnapshots reads and writes them again: the same entries, in our order.
func TestKafkasSnapshots(t *testing.T) {
	producers := 0
	for name, b := range kafkasSnapshots(t) {
		entries, err := DecodeSnapshot(b, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		producers += len(entries)
		again := EncodeSnapshot(entries)
		if !bytes.Equal(again, b) {
			t.Errorf("%s: encoded again it is\n%x, was\n%x", name, again, b)
		}
	}
	if producers < 10 {
		t.Errorf("only %d producers in all snapshots", producers)
	}
}

func TestSnapshotKeepsTheState(t *testing.T) {
	var s State
	s.Replay(&record.Header{ProducerID: 7, ProducerEpoch: 2, BaseSequence: 5, LastOffsetDelta: 3, Attributes: 0x10, MaxTimestamp: 99, BaseOffset: 40}, nil, 0, nil)
	s.Replay(&record.Header{ProducerID: 3, ProducerEpoch: 0, BaseSequence: -1, Attributes: 0x30, MaxTimestamp: 100, BaseOffset: 44}, &record.Marker{CoordinatorEpoch: 6}, 0, nil)
	b := EncodeSnapshot(s.Entries())
	entries, err := DecodeSnapshot(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	var loaded State
	loaded.Load(entries, 100, 1000)
	for i := range entries {
		entries[i].Seen = 0
	}
	if diff := cmp.Diff(s.Entries(), entries, cmp.AllowUnexported(Entry{})); diff != "" {
		t.Error(diff)
	}
	if got := loaded.FirstUnstable(); got != 40 {
		t.Errorf("first unstable offset %d, want 40", got)
	}
	loaded.Load(entries, 2000, 1000)
	if loaded.Len() != 1 {
		t.Errorf("%d producers after a long time, want the one with an open transaction", loaded.Len())
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 0x10
		if _, err := DecodeSnapshot(bad, 0); err == nil {
			t.Errorf("a snapshot with a flipped bit in byte %d was read", i)
		}
		if _, err := DecodeSnapshot(b[:i], 0); err == nil {
			t.Errorf("a snapshot of %d bytes was read", i)
		}
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	for _, b := range kafkasSnapshots(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := DecodeSnapshot(b, 0)
		if err != nil {
			return
		}
		var s State
		s.Load(entries, 0, 1)
		again, err := DecodeSnapshot(EncodeSnapshot(entries), 0)
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%d entries, encoded again %d: %v", len(entries), len(again), err)
		}
	})
}

func FuzzReadMarker(f *testing.F) {
	f.Add(record.NewControlBatch(record.Marker{Type: record.Commit, CoordinatorEpoch: 3}, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) { ReadMarker(b) })
}
