package record_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ottla/broker/record"
)

// dumpLog is Apache Kafka 3.9's tool that prints a segment.
func dumpLog(t *testing.T, file string) []byte {
	t.Helper()
	home := os.Getenv("APACHE_PEERS")
	if home == "" {
		cache, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		home = filepath.Join(cache, ".cache", "apache-peers")
		if xdg := os.Getenv("XDG_CACHE_HOME"); xdg != "" {
			home = filepath.Join(xdg, "apache-peers")
		}
	}
	if _, err := os.Stat(filepath.Join(home, "kafka-3.9", "artifacts")); err != nil {
		if os.Getenv("OTTLA_PEERS") == "required" {
			t.Fatal("Apache Kafka 3.9 is missing: scripts/apache get kafka-3.9")
		}
		t.Skip("Apache Kafka 3.9 is missing: scripts/apache get kafka-3.9 fetches it")
	}
	out, err := exec.Command("../../scripts/apache", "run", "kafka-3.9/kafka-dump-log", "--deep-iteration", "--print-data-log", "--files", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dumpedRecord is a record as kafka-dump-log prints it, up to its key; what stands before that varies with the magic.
var dumpedRecord = regexp.MustCompile(`^\| offset: (\d+) (\w+): (-?\d+) keySize:`)

// TestApacheReadsOurs writes a segment of every magic, codec and level, and has Apache Kafka print it.
func TestApacheReadsOurs(t *testing.T) {
	// Larger than a block of any codec, and different everywhere.
	var text []byte
	for i := 0; len(text) < 70_000; i++ {
		text = fmt.Appendf(text, "%xg", i*i)
	}
	var segment []byte
	var want []string
	entries := 0
	for _, codec := range codecs {
		for _, level := range []int{0, -1, 1, 9, 22} {
			for magic := range int8(3) {
				if magic < 2 && codec == record.Zstd || codec == record.None && level != 0 {
					continue
				}
				rs := []record.Record{
					{Timestamp: now, Key: []byte("key"), Value: []byte("value")},
					{Timestamp: now - 5, Value: text[:5_000]},
					{Timestamp: now + 9, Key: []byte("tombstone")},
					{Timestamp: now, Key: fmt.Appendf(nil, "%sL%d", codec, max(level, 0)), Value: text},
				}
				s := record.NewMessageSet(nil, magic, codec, level)
				b := record.NewBuilder(record.BuilderOptions{BaseOffset: int64(len(want)), Codec: codec, Level: level})
				for _, r := range rs {
					kind, ts := "CreateTime", r.Timestamp
					if magic == 0 {
						kind, ts = "NoTimestampType", record.NoTimestamp
					}
					line := fmt.Sprintf("%d %s %d %s %s", len(want), kind, ts, r.Key, r.Value)
					s.Append(int64(len(want)), r.Key, r.Value, r.Timestamp)
					b.Append(r.Key, r.Value, r.Headers, r.Timestamp)
					want = append(want, line)
				}
				entry, err := b.Bytes()
				if magic < 2 {
					entry, err = s.Bytes()
				}
				if err != nil {
					t.Fatal(err)
				}
				segment = append(segment, entry...)
				for e := entry; len(e) > 0; entries++ {
					info, err := record.NextEntry(e)
					if err != nil {
						t.Fatal(err)
					}
					e = e[info.Size:]
				}
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "ours-0")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "00000000000000000000.log")
	if err := os.WriteFile(file, segment, 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	valid := 0
	for line := range bytes.Lines(dumpLog(t, file)) {
		text := strings.TrimSuffix(string(line), "\n")
		if head, value, _ := strings.Cut(text, " payload: "); strings.HasPrefix(head, "| offset") {
			head, key, _ := strings.Cut(head, " key: ")
			if m := dumpedRecord.FindStringSubmatch(head); m != nil {
				got = append(got, fmt.Sprintf("%s %s %s %s %s", m[1], m[2], m[3], key, value))
			}
		}
		if strings.HasSuffix(text, "isvalid: true") {
			valid++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("written -, Apache Kafka read +\n%.3000s", diff)
	}
	if valid != entries {
		t.Errorf("%d of %d entries are valid", valid, entries)
	}
}
