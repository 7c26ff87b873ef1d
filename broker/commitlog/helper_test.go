package commitlog

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/record"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

const goldenDir = "../../testdata/logs"

// unpack extracts a recorded log directory and returns where it lies.
func unpack(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(goldenDir, name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(path, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readCheckpoint reads a checkpoint of a log directory.
func readCheckpoint(t testing.TB, dir, file string) map[topic.Partition]int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	entries, err := DecodeCheckpoint(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	m := map[topic.Partition]int64{}
	for _, e := range entries {
		p, _ := strconv.Atoi(e[1])
		m[topic.Partition{Topic: e[0], Partition: int32(p)}], _ = strconv.ParseInt(e[2], 10, 64)
	}
	return m
}

// openAll opens every partition of a log directory as a broker would after a stop of this kind.
func openAll(t testing.TB, dir string, change func(*Options)) map[topic.Partition]*Log {
	t.Helper()
	points := readCheckpoint(t, dir, "recovery-point-offset-checkpoint")
	starts := readCheckpoint(t, dir, "log-start-offset-checkpoint")
	watermarks := readCheckpoint(t, dir, "replication-offset-checkpoint")
	cleaned := readCheckpoint(t, dir, "cleaner-offset-checkpoint")
	_, err := os.Stat(filepath.Join(dir, ".kafka_cleanshutdown"))
	entries, rerr := os.ReadDir(dir)
	if rerr != nil {
		t.Fatal(rerr)
	}
	logs := map[topic.Partition]*Log{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		p, perr := topic.ParseDir(e.Name())
		if perr != nil {
			t.Fatal(perr)
		}
		o := testOptions(t, filepath.Join(dir, e.Name()))
		o.Partition, o.RecoveryPoint, o.LogStartOffset, o.CleanShutdown = p, points[p], starts[p], err == nil
		_, o.Cleaned = cleaned[p]
		if change != nil {
			change(&o)
		}
		l := open(t, o)
		l.SetHighWatermark(max(min(watermarks[p], l.LogEnd()), l.LogStart()))
		if err != nil {
			l.SetHighWatermark(l.LogEnd()) // alone, all that there is is committed
		}
		logs[p] = l
	}
	return logs
}

func testOptions(t testing.TB, dir string) Options {
	return Options{
		FS: fs.OS, Dir: dir, Partition: topic.Partition{Topic: "t"}, Settings: DefaultSettings(), CleanShutdown: true, Now: time.Now,
		Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(false) })
	return l
}

// text is a key or value of a listing: a string, null, or {"base64":…}.
type text struct{ b []byte }

func (x *text) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if b[0] == '{' {
		var v struct{ Base64 []byte }
		err := json.Unmarshal(b, &v)
		x.b = v.Base64
		return err
	}
	var s string
	err := json.Unmarshal(b, &s)
	x.b = []byte(s)
	return err
}

// listed is what a consumer read of one partition at one isolation level.
type listed struct {
	begin, end int64
	records    []string
}

type listing map[string]*listed // "topic-0 read_committed"

// readListing reads NAME.records.jsonl.gz.
func readListing(t testing.TB, name string) listing {
	t.Helper()
	f, err := os.Open(filepath.Join(goldenDir, name+".records.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := listing{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var x struct {
			Topic         string
			Partition     int32
			Isolation     string
			Begin, End    *int64
			Offset        int64
			Epoch         *int32
			Timestamp     int64
			TimestampType string
			Key, Value    text
			Headers       [][2]text
		}
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("%s-%d %s", x.Topic, x.Partition, x.Isolation)
		if x.Begin != nil {
			all[id] = &listed{begin: *x.Begin, end: *x.End}
			continue
		}
		epoch := int32(-1)
		if x.Epoch != nil {
			epoch = *x.Epoch
		}
		var headers []record.RecordHeader
		for _, h := range x.Headers {
			headers = append(headers, record.RecordHeader{Key: h[0].b, Value: h[1].b})
		}
		all[id].records = append(all[id].records, line(x.Offset, epoch, x.Timestamp, x.TimestampType, x.Key.b, x.Value.b, headers))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func line(offset int64, epoch int32, ts int64, kind string, key, value []byte, headers []record.RecordHeader) string {
	s := fmt.Sprintf("%d epoch=%d %d %s %s=%s", offset, epoch, ts, kind, quote(key), quote(value))
	for _, h := range headers {
		s += fmt.Sprintf(" %s:%s", quote(h.Key), quote(h.Value))
	}
	return s
}

func quote(b []byte) string {
	if b == nil {
		return "null"
	}
	return strconv.Quote(string(b))
}

// consume reads [start, limit) as a consumer does: slices of at most maxBytes, markers left out, and with committed aborted
// transactions too.
func consume(t testing.TB, l *Log, limit int64, maxBytes int, committed bool) []string {
	t.Helper()
	var out []string
	for offset := l.LogStart(); offset < limit; {
		s, err := l.Read(offset, limit, maxBytes, true)
		if err != nil {
			t.Fatalf("%s: read at %d: %v", l.Partition(), offset, err)
		}
		if s.Len == 0 {
			s.Release()
			return out // what is left was compacted away
		}
		b := make([]byte, s.Len)
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		var aborted []AbortedTxn
		if committed {
			if aborted, err = l.AbortedTxns(offset, s.Upper); err != nil {
				t.Fatal(err)
			}
		}
		s.Release()
		before := offset
		for len(b) > 0 {
			e, err := record.NextEntry(b)
			if err == record.ErrShort || err == nil && e.Size > len(b) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, records(t, l, b[:e.Size], e, offset, aborted)...)
			offset = max(offset, e.NextOffset())
			b = b[e.Size:]
		}
		if offset == before {
			t.Fatalf("%s: no progress at %d with %d bytes", l.Partition(), offset, maxBytes)
		}
	}
	return out
}

// records lists the records of one entry from an offset on.
func records(t testing.TB, l *Log, b []byte, e record.EntryInfo, from int64, aborted []AbortedTxn) []string {
	if err := record.CheckEntryCRC(b); err != nil {
		t.Fatal(err)
	}
	if e.Header.IsControl() {
		return nil
	}
	for _, a := range aborted {
		if e.Header.IsTransactional() && a.ProducerID == e.Header.ProducerID && a.FirstOffset <= e.BaseOffset && e.BaseOffset <= a.LastOffset {
			return nil
		}
	}
	kind := e.TimestampType.String()
	if e.Magic == 0 {
		kind = "NoTimestampType"
	}
	var out []string
	for rec, err := range record.All(b) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Offset >= from {
			out = append(out, line(rec.Offset, e.LeaderEpoch, rec.Timestamp, kind, rec.Key, rec.Value, rec.Headers))
		}
	}
	return out
}

// batch describes a record batch of magic 2.
type batch struct {
	n, size  int // records, and bytes of each one's value; 1 and 10 when 0
	ts       int64
	producer int64 // 0 is none
	epoch    int16
	sequence int32
	txn      bool
}

func (b batch) build() []byte {
	w := record.NewBuilder(record.BuilderOptions{})
	if b.producer > 0 {
		w.SetProducer(b.producer, b.epoch, b.sequence, b.txn)
	}
	value := bytes.Repeat([]byte("x"), max(b.size, 10))
	for range max(b.n, 1) {
		w.Append([]byte("k"), value, nil, b.ts)
	}
	out, err := w.Bytes()
	if err != nil {
		panic(err)
	}
	return out
}

func (b batch) set() *AppendSet { return setOf(b.build(), true) }

// marker is the end of a producer's transaction.
func marker(producer int64, epoch int16, kind record.ControlType, ts int64) *AppendSet {
	return setOf(record.NewControlBatch(record.Marker{Type: kind, CoordinatorEpoch: 1}, producer, epoch, 0, ts), false)
}

func setOf(records []byte, client bool) *AppendSet {
	set := &AppendSet{Records: records, ClientOrigin: client, LogAppendTime: -1}
	for b := records; len(b) > 0; {
		h, err := record.ParseHeader(b)
		if err != nil {
			panic(err)
		}
		set.Batches = append(set.Batches, h)
		b = b[h.Size():]
	}
	return set
}

// appendAll appends sets in one call, none of which may fail.
func appendAll(t testing.TB, l *Log, sets ...*AppendSet) {
	t.Helper()
	if err := l.Append(0, sets); err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		if s.Err != nil {
			t.Fatal(s.Err)
		}
	}
	l.SetHighWatermark(l.LogEnd())
}
