package logdir

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	logs := dumpLog(t, []string{"--deep-iteration", "--print-data-log"}, files(".log"))
	if bad := complaint.FindString(logs); bad != "" {
		t.Errorf("logs: %s in\n%.3000s", bad, logs)
	}
	records := regexp.MustCompile(`(?m)^\| offset: (\d+) `).FindAllStringSubmatch(logs, -1)
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
		args []string
		end  string
		want *regexp.Regexp
		n    int
	}{
		{[]string{"--index-sanity-check"}, ".index", regexp.MustCompile(`passed sanity check`), len(files(".index"))},
		{nil, ".index", regexp.MustCompile(`(?m)^offset: \d+ position: \d+`), 30},
		{[]string{"--index-sanity-check"}, ".timeindex", regexp.MustCompile(`passed sanity check`), len(files(".timeindex"))},
		{nil, ".timeindex", regexp.MustCompile(`(?m)^timestamp: \d+ offset: \d+`), 20},
		{nil, ".txnindex", regexp.MustCompile(`(?m)^version: 0 producerId: 200 `), int(aborts)},
		{nil, ".snapshot", regexp.MustCompile(`(?m)^producerId: 200 `), len(files(".snapshot"))},
	} {
		out := dumpLog(t, x.args, files(x.end))
		if bad := complaint.FindString(out); bad != "" {
			t.Errorf("%v %s: %s in\n%.3000s", x.args, x.end, bad, out)
		}
		if got := len(x.want.FindAllString(out, -1)); got < x.n || x.end == ".txnindex" && got != x.n {
			t.Errorf("%v %s: %d lines of %s, want %d:\n%.3000s", x.args, x.end, got, x.want, x.n, out)
		}
	}
	want := fmt.Sprintf("0\n3\n0 0\n1 %d\n2 %d\n", end/3, end/3*2)
	if b, err := os.ReadFile(filepath.Join(dir, p.String(), "leader-epoch-checkpoint")); err != nil || string(b) != want {
		t.Errorf("leader epochs %q, want %q: %v", b, want, err)
	}
}
