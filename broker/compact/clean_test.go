package compact

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ottla/broker/commitlog"
	"ottla/broker/record"
	"ottla/internal/fs"
)

// TestCleaningKeepsWhatCounts drives a log with keys, deletions, idempotent and transactional producers, every codec, maps that are
// too small, rolls and restarts, and cleans in between.
func TestCleaningKeepsWhatCounts(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, fs.NewCrash(), "/t-0")
		must(t, w.start(true, 0, 0))
		defer func() { _ = w.log.Close(false) }()
		check := func(what string, err error) {
			if err != nil {
				r.Fatalf("%s: %v", what, err)
			}
		}
		for step := range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 11).Draw(r, "do") {
			default:
				var recs []rec
				for i := range rapid.IntRange(1, 4).Draw(r, "records") {
					v := fmt.Sprintf("%d.%d %s", step, i, strings.Repeat("v", rapid.IntRange(0, 90).Draw(r, "size")))
					if rapid.IntRange(0, 4).Draw(r, "deletes") == 0 {
						v = ""
					}
					recs = append(recs, rec{key: fmt.Sprint("k", rapid.IntRange(0, 6).Draw(r, "key")), value: v})
				}
				producer := int64(rapid.IntRange(0, 4).Draw(r, "producer"))
				check("send", w.send(producer, producer > 2, record.Codec(rapid.IntRange(0, 4).Draw(r, "codec")), recs...))
			case 6:
				check("end", w.end(int64(rapid.IntRange(3, 4).Draw(r, "producer")), record.ControlType(rapid.IntRange(0, 1).Draw(r, "kind"))))
			case 7:
				check("roll", w.log.Roll())
			case 8:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(r, "ms")) * time.Millisecond)
			case 9, 10:
				w.w.memory = int64(rapid.SampledFrom([]int{4 * slotBytes, 8 * slotBytes, 1 << 16}).Draw(r, "memory"))
				w.w.keys = nil
				for {
					did, err := w.clean()
					check("clean", err)
					check("after a round", w.check())
					if !did {
						break
					}
				}
				check("cleaned", w.checkClean())
			case 11:
				cleaned, point := cleanedTo(w.log), w.log.RecoveryPoint()
				clean := rapid.Bool().Draw(r, "clean stop")
				check("close", w.log.Close(clean))
				check("open", w.start(clean, cleaned, point))
				check("after a restart", w.check())
			}
		}
		// Producers go on where they were: what was kept of their batches is enough, and a restart finds it.
		check("close", w.log.Close(false))
		files, err := w.fs.ReadDir(w.dir)
		check("list", err)
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".snapshot") || strings.HasSuffix(f.Name(), "index") {
				check("remove", w.fs.Remove(filepath.Join(w.dir, f.Name())))
			}
		}
		check("open without snapshots and indexes", w.start(false, cleanedTo(w.log), 0))
		check("after that", w.check())
		for p := int64(1); p < 5; p++ {
			check("going on", w.send(p, p > 2, record.None, rec{key: "k", value: "last"}))
		}
		check("at the end", w.check())
	})
}

// TestTombstones: a mark of deletion lives for delete.retention.ms from its first cleaning on, and so does the marker of a
// transaction whose records are gone.
func TestTombstones(t *testing.T) {
	w := newWorld(t, fs.OS, t.TempDir())
	must(t, w.start(true, 0, 0))
	defer func() { _ = w.log.Close(false) }()
	round := func(want bool) {
		t.Helper()
		must(t, w.send(0, false, record.None, rec{key: "other", value: strings.Repeat("x", 100)}))
		must(t, w.log.Roll())
		if did, err := w.clean(); err != nil || !did {
			t.Fatalf("cleaned: %t, %v", did, err)
		}
		must(t, w.checkClean())
		all, err := w.found()
		must(t, err)
		there := false
		for _, r := range all {
			there = there || r.key == "gone"
		}
		if there != want {
			t.Errorf("after %v the mark is there: %t, want %t", w.now.Sub(time.UnixMilli(1e12)), there, want)
		}
	}
	must(t, w.send(0, false, record.None, rec{key: "gone", value: "was here"}))
	must(t, w.send(3, true, record.None, rec{key: "aborted", value: "never"}))
	must(t, w.end(3, record.Abort))
	must(t, w.send(3, true, record.None, rec{key: "committed", value: "x"})) // so that no batch of the other must stay
	must(t, w.end(3, record.Commit))
	must(t, w.send(0, false, record.None, rec{key: "gone"}))
	round(true)
	w.now = w.now.Add(999 * time.Millisecond)
	round(true)
	w.now = w.now.Add(time.Millisecond)
	round(false)
	if _, err := os.Stat(filepath.Join(w.dir, "00000000000000000000.txnindex")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the aborted transaction is still indexed: %v", err)
	}
}

// TestKeylessRecordsGo: what a log held before it was compacted.
func TestKeylessRecordsGo(t *testing.T) {
	w := newWorld(t, fs.OS, t.TempDir())
	must(t, w.start(true, 0, 0))
	defer func() { _ = w.log.Close(false) }()
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(nil, []byte("no key"), nil, 1)
	b.Append([]byte("k"), []byte("a key"), nil, 1)
	bytes, err := b.Bytes()
	must(t, err)
	_, err = w.append(true, bytes)
	must(t, err)
	w.sent[1] = rec{key: "k", value: "a key", ts: 1}
	must(t, w.log.Roll())
	if _, err := w.clean(); err != nil {
		t.Fatal(err)
	}
	must(t, w.checkClean())
}

// TestOldFormats: formats 0 and 1 stay what they are. Their marks of deletion go with the age of their segment.
func TestOldFormats(t *testing.T) {
	for magic := int8(0); magic < 2; magic++ {
		for _, codec := range []record.Codec{record.None, record.Gzip, record.LZ4} {
			dir := filepath.Join(t.TempDir(), "t-0")
			must(t, os.MkdirAll(dir, 0o755))
			var file []byte
			w := newWorld(t, fs.OS, dir)
			for i := range 12 {
				s := record.NewMessageSet(nil, magic, codec, 0)
				for n := range 2 {
					offset := int64(2*i + n)
					r := rec{key: fmt.Sprint("k", (2*i+n)%5), value: fmt.Sprint("v", offset), ts: w.now.UnixMilli()}
					if magic == 0 {
						r.ts = -1
					}
					value := []byte(r.value)
					if offset == 21 {
						r.value, value = "", nil
					}
					w.sent[offset] = r
					s.Append(offset, []byte(r.key), value, r.ts)
				}
				b, err := s.Bytes()
				must(t, err)
				file = append(file, b...)
			}
			must(t, os.WriteFile(filepath.Join(dir, "00000000000000000000.log"), file, 0o644))
			must(t, w.start(false, 0, 0))
			marked := func() bool {
				all, err := w.found()
				must(t, err)
				_, there := all[21]
				return there
			}
			for i := range 3 {
				must(t, w.log.Roll())
				must(t, w.send(0, false, record.None, rec{key: fmt.Sprint("new", i), value: "x"}))
				w.now = time.Now().Add(time.Duration(i) * time.Hour)
				if _, err := w.clean(); err != nil {
					t.Fatalf("format %d, %s: %v", magic, codec, err)
				}
				must(t, w.check())
				if i == 0 && !marked() {
					t.Errorf("format %d, %s: the mark of deletion went with the first round", magic, codec)
				}
			}
			all, _ := w.found()
			for offset := range int64(17) {
				if _, there := all[offset]; there {
					t.Errorf("format %d, %s: offset %d is still there", magic, codec, offset)
				}
			}
			must(t, w.log.Close(false))
		}
	}
}

// TestDamagedSegmentIsLeftAlone: cleaning would give damaged bytes a new checksum.
func TestDamagedSegmentIsLeftAlone(t *testing.T) {
	w := newWorld(t, fs.OS, t.TempDir())
	must(t, w.start(true, 0, 0))
	defer func() { _ = w.log.Close(false) }()
	must(t, w.send(0, false, record.None, rec{key: "k", value: "one"}, rec{key: "k", value: "two"}))
	must(t, w.log.Roll())
	must(t, w.send(0, false, record.None, rec{key: "k", value: "three"}))
	name := filepath.Join(w.dir, "00000000000000000000.log")
	b, err := os.ReadFile(name)
	must(t, err)
	b[len(b)-2] ^= 1
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Close())
	if _, err := w.clean(); !errors.Is(err, commitlog.ErrDamaged) {
		t.Fatalf("cleaning ended with %v", err)
	}
	if after, err := os.ReadFile(name); err != nil || string(after) != string(b) {
		t.Errorf("the segment was changed: %v", err)
	}
}

// TestFullDisk: a round for which there is no room leaves the log as it was, and goes through once there is.
func TestFullDisk(t *testing.T) {
	for _, op := range []fs.Op{fs.OpWrite, fs.OpCreate, fs.OpRename} {
		for skip := range 4 {
			faulty := fs.NewFaulty(fs.OS)
			w := newWorld(t, faulty, t.TempDir())
			must(t, w.start(true, 0, 0))
			for i := range 20 {
				must(t, w.send(0, false, record.None, rec{key: fmt.Sprint("k", i%3), value: strings.Repeat("v", 200)}))
			}
			must(t, w.log.Flush())
			pattern := "*.cleaned"
			if op == fs.OpRename {
				pattern = []string{"*.swap", "*.deleted"}[skip%2]
			}
			rule := faulty.Inject(fs.Rule{Op: op, Name: pattern, Skip: skip / 2, Err: syscall.ENOSPC})
			if did, err := w.clean(); err == nil || did {
				t.Fatalf("%s, %d: cleaned on a full disk: %v", op, skip, err)
			}
			rule.Remove()
			w.broken = true
			must(t, w.log.Err())
			must(t, w.check())
			must(t, w.send(0, false, record.None, rec{key: "after", value: "x"}))
			if did, err := w.clean(); err != nil || !did {
				t.Fatalf("%s, %d: with room again: %t, %v", op, skip, did, err)
			}
			must(t, w.checkClean())
			left, _ := filepath.Glob(filepath.Join(w.dir, "*.cleaned"))
			swaps, _ := filepath.Glob(filepath.Join(w.dir, "*.swap"))
			if len(left)+len(swaps) > 0 {
				t.Errorf("%s, %d: left behind: %v %v", op, skip, left, swaps)
			}
			must(t, w.log.Close(false))
		}
	}
}

// TestCheckpointBeforeTheFirstSwap: from the first swap on offsets are missing, which must be known to be no damage, whatever the topic is
// by the next start.
func TestCheckpointBeforeTheFirstSwap(t *testing.T) {
	w := newWorld(t, fs.OS, t.TempDir())
	must(t, w.start(true, 0, 0))
	defer func() { _ = w.log.Close(false) }()
	known := 0
	w.w.checkpoint = func(l *commitlog.Log) error {
		if to, ok := l.CleanedTo(); !ok || to != 0 || l.Segments() != 3 {
			t.Errorf("cleaned up to %d, %t, %d segments", to, ok, l.Segments())
		}
		known++
		return nil
	}
	for range 2 {
		must(t, w.send(0, false, record.None, rec{key: "k", value: "v"}))
		must(t, w.log.Roll())
	}
	for range 2 {
		if did, err := w.clean(); err != nil || !did {
			t.Fatalf("cleaned: %t, %v", did, err)
		}
		must(t, w.send(0, false, record.None, rec{key: "k", value: "v"}))
		must(t, w.log.Roll())
	}
	if known != 1 {
		t.Errorf("%d checkpoints", known)
	}
}
