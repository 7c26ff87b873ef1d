package commitlog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ottla/broker/topic"
)

// compare reads every partition that the listing knows at both isolation levels, in fetches of these sizes.
func compare(t *testing.T, logs map[topic.Partition]*Log, want listing, fetches ...int) {
	t.Helper()
	for p, l := range logs {
		for _, isolation := range []string{"read_uncommitted", "read_committed"} {
			w := want[p.String()+" "+isolation]
			if w == nil {
				t.Errorf("%s is not listed", p)
				continue
			}
			limit := l.HighWatermark()
			if isolation == "read_committed" {
				limit = l.LastStable(limit)
			}
			if l.LogStart() != w.begin || limit != w.end {
				t.Errorf("%s %s: offsets %d to %d, want %d to %d", p, isolation, l.LogStart(), limit, w.begin, w.end)
			}
			for _, maxBytes := range fetches {
				got := consume(t, l, limit, maxBytes, isolation == "read_committed")
				if diff := cmp.Diff(w.records, got); diff != "" {
					t.Errorf("%s %s with fetches of %d bytes (-want +got):\n%.2000s", p, isolation, maxBytes, diff)
				}
			}
		}
	}
}

// TestServesKafkasLogs opens what Apache Kafka 3.9, and 0.10 with the old message formats, left after a clean stop.
func TestServesKafkasLogs(t *testing.T) {
	for _, name := range []string{"clean", "epochs", "kafka-0.10", "upgraded"} {
		t.Run(name, func(t *testing.T) {
			compare(t, openAll(t, unpack(t, name), nil), readListing(t, name), 1, 500, 1<<20)
		})
	}
}

// TestRebuildsWhatItNeeds opens the same logs as after a crash before the first flush, without any index, snapshot or epoch.
func TestRebuildsWhatItNeeds(t *testing.T) {
	for _, name := range []string{"clean", "epochs", "kafka-0.10", "upgraded"} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, name)
			starts := readCheckpoint(t, dir, "log-start-offset-checkpoint")
			caches, err := filepath.Glob(filepath.Join(dir, "*", "*.*index"))
			if err != nil || len(caches) == 0 {
				t.Fatal(caches, err)
			}
			snapshots, _ := filepath.Glob(filepath.Join(dir, "*", "*.snapshot"))
			epochs, _ := filepath.Glob(filepath.Join(dir, "*", epochFile))
			for _, path := range append(append(caches, snapshots...), epochs...) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			logs := openAll(t, dir, func(o *Options) { o.CleanShutdown, o.RecoveryPoint, o.LogStartOffset = false, 0, starts[o.Partition] })
			compare(t, logs, readListing(t, name), 1, 500, 1<<20)
		})
	}
}

// TestIndexesAreKafkas compares the files that a rebuild and a clean close write with those that Kafka wrote for the same logs.
// Logs that its cleaner went over are left out: it copies batches in groups, and indexes those.
func TestIndexesAreKafkas(t *testing.T) {
	dir := unpack(t, "clean")
	want := map[string][]byte{}
	files, _ := filepath.Glob(filepath.Join(dir, "*-*", "*"))
	starts := readCheckpoint(t, dir, "log-start-offset-checkpoint")
	for _, path := range files {
		base := filepath.Base(path)
		if strings.HasPrefix(filepath.Base(filepath.Dir(path)), "compacted") {
			continue
		}
		if strings.HasSuffix(base, ".log") || strings.HasSuffix(base, "index") || base == epochFile || base == metadataFile {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want[path] = b
		}
		if strings.HasSuffix(base, "index") || strings.HasSuffix(base, ".snapshot") {
			os.Remove(path)
		}
	}
	logs := openAll(t, dir, func(o *Options) {
		o.CleanShutdown, o.RecoveryPoint, o.LogStartOffset = false, 0, starts[o.Partition]
		switch o.Partition.Topic {
		case "segments":
			o.Settings.IndexIntervalBytes = 1024
		}
	})
	for _, l := range logs {
		if err := l.Close(true); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for path, w := range want {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, w) {
			t.Errorf("%s differs:\n got %x\nwant %x", strings.TrimPrefix(path, dir), got, w)
		}
		n++
	}
	if n < 80 {
		t.Errorf("only %d files compared", n)
	}
}

// TestRecoversAsKafkaDoes opens a directory after kill -9, with ends spoilt by hand, and compares with what Kafka made of it.
func TestRecoversAsKafkaDoes(t *testing.T) {
	dir := unpack(t, "killed")
	logs := openAll(t, dir, nil)
	want := readListing(t, "killed-recovered")
	for p, l := range logs {
		switch p.Topic {
		case "torn", "garbage", "zeros", "flipped", "renumbered":
			continue
		}
		// Their producers went on after the restart, before the listing.
		for _, isolation := range []string{"read_uncommitted", "read_committed"} {
			w := want[p.String()+" "+isolation]
			limit := l.HighWatermark()
			if isolation == "read_committed" {
				limit = l.LastStable(limit)
			}
			got := consume(t, l, limit, 1<<20, isolation == "read_committed")
			for i := range min(len(got), len(w.records)) {
				if got[i] != w.records[i] {
					t.Errorf("%s %s: record %d is %.100s, want %.100s", p, isolation, i, got[i], w.records[i])
					break
				}
			}
			if p.Topic != "__transaction_state" && len(got) == 0 {
				t.Errorf("%s %s: nothing is left", p, isolation)
			}
			t.Logf("%s %s: %d records to %d", p, isolation, len(got), limit)
		}
		delete(logs, p)
	}
	compare(t, logs, want, 1, 500, 1<<20)
	for tp, end := range map[string]int64{"torn": 78, "garbage": 90, "zeros": 90, "flipped": 48, "renumbered": 90} {
		if got := logs[topic.Partition{Topic: tp}].LogEnd(); got != end {
			t.Errorf("%s ends at %d, want %d", tp, got, end)
		}
	}
}
