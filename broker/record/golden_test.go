package record_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ottla/broker/record"
)

const logsDir = "../../testdata/logs/"

func gunzip(t *testing.T, name string) io.Reader {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// segments reads the .log files of an archive: partition directory -> file name -> bytes.
func segments(t *testing.T, archive string) map[string]map[string][]byte {
	t.Helper()
	dirs := map[string]map[string][]byte{}
	for r := tar.NewReader(gunzip(t, logsDir+archive+".tar.gz")); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dirs
		}
		if err != nil {
			t.Fatal(err)
		}
		if path.Ext(h.Name) != ".log" {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		dir, file := path.Base(path.Dir(h.Name)), path.Base(h.Name)
		if dirs[dir] == nil {
			dirs[dir] = map[string][]byte{}
		}
		dirs[dir][file] = b
	}
}

// listed is a line of a .records.jsonl: a record, or the bounds of a partition.
type listed struct {
	Topic         string
	Partition     int32
	Isolation     string
	Begin, End    *int64
	Offset        int64
	Epoch         *int32
	Timestamp     int64
	TimestampType string
	Key, Value    field
	Headers       [][2]field
}

// field is null, text or {"base64":…}.
type field struct{ b []byte }

func (f *field) UnmarshalJSON(b []byte) error {
	var text *string
	if json.Unmarshal(b, &text) == nil {
		if text != nil {
			f.b = []byte(*text)
		}
		return nil
	}
	var v struct{ Base64 string }
	err := json.Unmarshal(b, &v)
	if err == nil {
		f.b, err = base64.StdEncoding.DecodeString(v.Base64)
	}
	return err
}

// partition is what a consumer read from one partition.
type partition struct {
	begin, end int64
	records    []string
}

// listing reads what a consumer without isolation saw, by partition directory.
func listing(t *testing.T, name string) map[string]*partition {
	t.Helper()
	all := map[string]*partition{}
	lines := bufio.NewScanner(gunzip(t, logsDir+name+".records.jsonl.gz"))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l := listed{Epoch: new(int32)}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if l.Isolation != "read_uncommitted" {
			continue
		}
		dir := fmt.Sprintf("%s-%d", l.Topic, l.Partition)
		if l.Begin != nil {
			all[dir] = &partition{begin: *l.Begin, end: *l.End}
			continue
		}
		rec := record.Record{Offset: l.Offset, Timestamp: l.Timestamp, Key: l.Key.b, Value: l.Value.b}
		for _, h := range l.Headers {
			rec.Headers = append(rec.Headers, record.RecordHeader{Key: h[0].b, Value: h[1].b})
		}
		epoch := int32(-1)
		if l.Epoch != nil {
			epoch = *l.Epoch
		}
		all[dir].records = append(all[dir].records, line(&rec, epoch, l.TimestampType))
	}
	return all
}

// line is one record as text.
func line(rec *record.Record, epoch int32, kind string) string {
	text := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	s := fmt.Sprintf("%d epoch %d time %d %s key %s value %s", rec.Offset, epoch, rec.Timestamp, kind, text(rec.Key), text(rec.Value))
	for _, h := range rec.Headers {
		s += fmt.Sprintf(" %s=%s", text(h.Key), text(h.Value))
	}
	return s
}

// readLog yields what recovery would keep of a partition: every record up to the first entry that is damaged, and the next offset.
func readLog(t *testing.T, files map[string][]byte) (records []string, end int64) {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var r record.Reader
	defer r.Close()
	for _, name := range names {
		for b := files[name]; len(b) > 0; {
			e, err := record.NextEntry(b)
			if err != nil || record.CheckEntryCRC(b) != nil {
				return records, end
			}
			r.Reset(b[:e.Size], record.DecompressMaxHard)
			b = b[e.Size:]
			end = e.NextOffset()
			if e.Header.IsControl() {
				continue
			}
			for {
				rec, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				kind := e.TimestampType.String()
				if e.Magic == 0 {
					kind = "NoTimestampType"
				}
				records = append(records, line(rec, e.LeaderEpoch, kind))
			}
		}
	}
	return records, end
}

// TestRecordedLogs reads every record of every recorded log directory and compares it with what Apache Kafka's consumer read.
func TestRecordedLogs(t *testing.T) {
	for _, c := range []struct{ archive, listing string }{
		{"clean", "clean"}, {"epochs", "epochs"}, {"kafka-0.10", "kafka-0.10"}, {"upgraded", "upgraded"}, {"killed", "killed-recovered"},
	} {
		t.Run(c.archive, func(t *testing.T) {
			want := listing(t, c.listing)
			dirs := segments(t, c.archive)
			if len(dirs) == 0 || len(want) == 0 {
				t.Fatalf("%d directories, %d listings", len(dirs), len(want))
			}
			for dir, files := range dirs {
				p := want[dir]
				if p == nil {
					if records, _ := readLog(t, files); len(records) > 0 {
						t.Errorf("%s has %d records and no listing", dir, len(records))
					}
					continue
				}
				got, end := readLog(t, files)
				recorded := p.records
				switch {
				case end <= p.end && (strings.HasPrefix(dir, "load-") || dir == "__transaction_state-1"):
					recorded = recorded[:min(len(got), len(recorded))] // the load went on after the recovery
				case dir == "renumbered-0" && len(recorded) == 51:
					got = got[:51] // there the consumer was led beyond the end
				case end != p.end:
					t.Errorf("%s ends at %d, the consumer saw %d", dir, end, p.end)
				}
				for len(got) > 0 && offsetOf(got[0]) < p.begin {
					got = got[1:]
				}
				if diff := cmp.Diff(recorded, got); diff != "" {
					t.Errorf("%s: consumer -, ours +\n%s", dir, diff)
				}
			}
		})
	}
}

func offsetOf(line string) (offset int64) {
	fmt.Sscan(line, &offset)
	return offset
}

// TestRecordedDumps compares every entry's header with what kafka-dump-log printed.
func TestRecordedDumps(t *testing.T) {
	for _, archive := range []string{"clean", "epochs", "kafka-0.10", "upgraded"} {
		dirs := segments(t, archive)
		var file []byte
		entries := 0
		lines := bufio.NewScanner(gunzip(t, logsDir+archive+".dump.txt.gz"))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			text := lines.Text()
			if name, ok := strings.CutPrefix(text, "Dumping "); ok {
				file = dirs[path.Dir(name)][path.Base(name)]
				continue
			}
			if strings.HasPrefix(text, "|") || !strings.Contains(text, " position: ") || !strings.Contains(text, "compresscodec:") {
				continue
			}
			var position int
			fmt.Sscan(text[strings.Index(text, "position: ")+len("position: "):], &position)
			e, err := record.NextEntry(file[position:])
			if err != nil {
				t.Errorf("%s: %s: %v", archive, text, err)
				continue
			}
			if got := dump(e, position, file[position:]); got != text {
				t.Errorf("%s\ndump %s\nours %s", archive, text, got)
			}
			entries++
		}
		if entries == 0 {
			t.Errorf("%s: no entry in the dump", archive)
		}
	}
}

// dump describes an entry as kafka-dump-log does.
func dump(e record.EntryInfo, position int, b []byte) string {
	kind := e.TimestampType.String()
	if e.Magic == 0 {
		kind = "NoTimestampType"
	}
	h := e.Header
	if e.Magic < 2 {
		return fmt.Sprintf("offset: %d position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t", e.LastOffset, position, kind,
			e.MaxTimestamp, e.Size, e.Magic, e.Codec, uint32(b[12])<<24|uint32(b[13])<<16|uint32(b[14])<<8|uint32(b[15]), record.CheckEntryCRC(b) == nil)
	}
	horizon := "OptionalLong.empty"
	if ms, ok := h.DeleteHorizon(); ok {
		horizon = fmt.Sprintf("OptionalLong[%d]", ms)
	}
	return fmt.Sprintf("baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d partitionLeaderEpoch: %d "+
		"isTransactional: %t isControl: %t deleteHorizonMs: %s position: %d %s: %d size: %d magic: 2 compresscodec: %s crc: %d isvalid: %t",
		h.BaseOffset, h.LastOffset(), h.Count, h.BaseSequence, h.LastSequence(), h.ProducerID, h.ProducerEpoch, h.LeaderEpoch, h.IsTransactional(),
		h.IsControl(), horizon, position, kind, h.MaxTimestamp, h.Size(), h.Codec(), h.CRC, record.CheckCRC(b) == nil)
}
