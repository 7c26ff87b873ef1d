package logdir

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/commitlog"
	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

// dumpLog runs Apache Kafka's kafka-dump-log on files of one kind; it skips the test when Apache Kafka is not there.
func dumpLog(t *testing.T, args []string, files []string) string {
	t.Helper()
	home := os.Getenv("APACHE_PEERS")
	if home == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				t.Fatal(err)
			}
			cache = filepath.Join(user, ".cache")
		}
		home = filepath.Join(cache, "apache-peers")
	}
	if _, err := os.Stat(filepath.Join(home, "kafka-3.9", "artifacts")); err != nil {
		if os.Getenv("OTTLA_PEERS") == "required" {
			t.Fatal("Apache Kafka 3.9 is missing: scripts/apache get kafka-3.9")
		}
		t.Skip("Apache Kafka 3.9 is missing: scripts/apache get kafka-3.9 fetches it")
	}
	cmd := exec.Command("../../scripts/apache", append(append([]string{"run", "kafka-3.9/kafka-dump-log"}, args...), "--files", strings.Join(files, ","))...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestApacheReadsOurFiles writes a directory with everything in it and has Apache Kafka look at every file: batches and records, the
// indexes compared with the log, aborted transactions, snapshots.
func TestApacheReadsOurFiles(t *testing.T) {
	dir := t.TempDir()
	c := Config{FS: fs.OS, Dirs: []string{dir}, FlushEvery: time.Hour, Now: time.Now, Logger: zerolog.Nop(), SnapshotEveryBytes: 2000}
	settings := func(string) commitlog.Settings {
		s := commitlog.DefaultSettings()
		s.SegmentBytes, s.IndexIntervalBytes = 6000, 500
		return s
	}
	p := topic.Partition{Topic: "files", Partition: 3}
	var end, aborts int64
	for life := range 3 {
		m := startManager(t, c, settings)
		l, _, err := m.Create(p, topic.ID{7}, settings(""))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.AssignEpoch(int32(life)); err != nil {
			t.Fatal(err)
		}
		send := func(batch []byte) {
			set := setOf(batch)
			set.ClientOrigin = false
			if err := l.Append(int32(life), []*commitlog.AppendSet{set}); err != nil {
				t.Fatal(err)
			}
			l.SetHighWatermark(l.LogEnd())
		}
		for i := range 40 {
			b := record.NewBuilder(record.BuilderOptions{Codec: record.Codec(i % 5)})
			switch i % 4 {
			case 1:
				b.SetProducer(int64(100+i%3), int16(life), int32(i), false)
			case 2:
				b.SetProducer(int64(200), int16(life), int32(i), true)
			}
			for n := range 1 + i%5 {
				b.Append([]byte(strconv.Itoa(i)), []byte(strings.Repeat("v", 10*i)), []record.RecordHeader{{Key: []byte("h")}}, time.Now().UnixMilli()+int64(i-n))
			}
			bytes, err := b.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			send(bytes)
			if i%4 == 2 {
				kind := record.ControlType(i / 4 % 2)
				send(record.NewControlBatch(record.Marker{Type: kind, CoordinatorEpoch: 1}, 200, int16(life), 0, time.Now().UnixMilli()))
				if kind == record.Abort {
					aborts++
				}
			}
			if i == 20 {
				m.flush(m.dirs[0])
			}
		}
		end = l.LogEnd()
		// The second life ends by a crash, so that the third writes recovered indexes.
		if err := m.Close(life != 1); err != nil {
			t.Fatal(err)
		}
	}
	files := func(suffix string) []string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(dir, p.String(), "*"+suffix))
		if err != nil || len(list) == 0 {
			t.Fatalf("no %s files: %v", suffix, err)
		}
		return list
	}
	complaint := regexp.MustCompile(`(?i)mismatch|not found|exception|error|corrupt|isvalid: false|invalid|out of order|missing`)
	indexes := slices.Concat(files(".index"), files(".timeindex"))
	out := dumpLog(t, []string{"--deep-iteration", "--print-data-log"}, slices.Concat(files(".log"), indexes, files(".txnindex"), files(".snapshot")))
	sane := dumpLog(t, []string{"--index-sanity-check"}, indexes)
	for _, x := range []string{out, sane} {
		if bad := complaint.FindString(x); bad != "" {
			t.Errorf("%s in\n%.3000s", bad, x)
		}
	}
	records := regexp.MustCompile(`(?m)^\| offset: (\d+) `).FindAllStringSubmatch(out, -1)
	if int64(len(records)) != end {
		t.Errorf("%d records were printed of %d", len(records), end)
	}
	for i, r := range records {
		if r[1] != strconv.Itoa(i) {
			t.Errorf("record %d has offset %s", i, r[1])
			break
		}
	}
	for _, x := range []struct {
		what     string
		out      string
		line     string
		min, max int
	}{
		{"sane indexes", sane, `passed sanity check`, len(indexes), len(indexes)},
		{"offset entries", out, `(?m)^offset: \d+ position: \d+`, 20, 1000},
		{"time entries", out, `(?m)^timestamp: \d+ offset: \d+`, 20, 1000},
		{"aborted transactions", out, `(?m)^version: 0 producerId: 200 `, int(aborts), int(aborts)},
		{"snapshots with the transactional producer", out, `(?m)^producerId: 200 `, len(files(".snapshot")), len(files(".snapshot"))},
	} {
		if n := len(regexp.MustCompile(x.line).FindAllString(x.out, -1)); n < x.min || n > x.max {
			t.Errorf("%d %s, want %d to %d:\n%.3000s", n, x.what, x.min, x.max, x.out)
		}
	}
	want := fmt.Sprintf("0\n3\n0 0\n1 %d\n2 %d\n", end/3, end/3*2)
	if b, err := os.ReadFile(filepath.Join(dir, p.String(), "leader-epoch-checkpoint")); err != nil || string(b) != want {
		t.Errorf("leader epochs %q, want %q: %v", b, want, err)
	}
}

// TestApacheChecksARunningLog: whoever looks at the files of a running broker finds indexes beside each segment, that of a log that is just
// made, too. kafka-dump-log fails without, and leaves an empty file there.
func TestApacheChecksARunningLog(t *testing.T) {
	dir := t.TempDir()
	m := startManager(t, Config{FS: fs.OS, Dirs: []string{dir}, FlushEvery: time.Hour, Now: time.Now, Logger: zerolog.Nop()}, defaults)
	p := part("t", 0)
	l := put(t, m, p, "v")
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, p.String(), "*index"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%q, %v", files, err)
	}
	if out := dumpLog(t, []string{"--index-sanity-check"}, files); strings.Count(out, "passed sanity check.")+strings.Count(out, " is empty.") != 4 {
		t.Error(out)
	}
}
