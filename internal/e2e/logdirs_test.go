//go:build unix

package e2e

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestLogDirs passes one log.dirs back and forth: we write it, Apache Kafka 3.9 opens and continues it, we open and continue
// that, and Apache Kafka opens it again. Everybody reads every record that was written, and groups keep their offsets.
func TestLogDirs(t *testing.T) {
	for _, way := range []struct {
		name string
		stop func(s *Server, t testing.TB)
	}{
		{"stopped", (*Server).stop},
		{"killed", func(s *Server, _ testing.TB) { s.Kill() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			// Short sessions: an Apache broker does not start while the session of a killed one lives.
			coord := Coordinator(t, "tickTime=500")
			c, dir := connect(t, coord.Address), t.TempDir()
			lines := []string{"zookeeper.session.timeout.ms=6000", "log.retention.ms=-1", "offsets.topic.num.partitions=3", "auto.create.topics.enable=false"}
			var s *Server
			end := func() {
				t.Helper()
				way.stop(s, t)
				Await(t, 30*time.Second, "the registration vanishes", func() error { return absent(c, "/brokers/ids/0") })
			}

			s = BrokerOn(t, dir, 0, coord.Address, append(lines, "zookeeper.session.timeout.ms=2000")...)
			for _, f := range formats {
				for _, codec := range f.codecs {
					createTopic(t, s.Address, f.topic(codec), 1, nil)
				}
			}
			for topic, config := range special {
				createTopic(t, s.Address, topic, 1, config)
			}
			createTopic(t, s.Address, "load", 3, nil)
			writeFormats(t, s.Address, "first")
			read := commitSome(t, s.Address, "magic-2-gzip", nil)
			wrote := list(t, s.Address, logTopics()...)
			wellFormed(t, wrote)
			l := startTrickle(t, s.Address, "load")
			l.progress(t, 500)
			if way.name == "killed" {
				end()
				l.abandon()
			} else {
				l.halt(t)
				end()
			}

			for round, name := range []string{"Apache Kafka after us", "we after Apache Kafka", "Apache Kafka after both"} {
				if round%2 == 0 {
					s = Kafka(t, dir, 0, coord.Address, lines...)
				} else {
					s = BrokerOn(t, dir, 0, coord.Address, append(lines, "zookeeper.session.timeout.ms=2000")...)
				}
				sameListings(t, list(t, s.Address, topicsOf(wrote)...), wrote)
				l.check(t, s.Address)
				if way.name == "stopped" {
					noComplaint(t, s, name)
				}
				if t.Failed() {
					t.Fatalf("%s: see above", name)
				}
				writeFormats(t, s.Address, name)
				if round == 0 {
					writeTransactions(t, s.Address)
				}
				read = commitSome(t, s.Address, "magic-2-gzip", read)
				wrote = list(t, s.Address, append(logTopics(), "transactions")...)
				end()
			}
			records := 0
			for _, l := range wrote {
				records += len(l.Records)
			}
			Result(t, "log directory %s and passed on three times: %d records of %d topics read alike by both", way.name, records, len(topicsOf(wrote)))
		})
	}
}

func (s *Server) stop(t testing.TB) { s.Stop(t) }

type format struct {
	magic  int
	limit  *kversion.Versions
	codecs []string
}

// formats are the record formats and what franz-go can write in them: it chooses by the version of Produce.
var formats = []format{
	{0, kversion.V0_9_0(), []string{"none", "gzip", "snappy"}}, // LZ4 of that time had another checksum, which franz-go does not write
	{1, kversion.V0_10_0(), []string{"none", "gzip", "snappy", "lz4"}},
	{2, kversion.Stable(), []string{"none", "gzip", "snappy", "lz4", "zstd"}},
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// special are topics whose configuration changes what is on the disk.
var special = map[string]map[string]*string{
	"append-time":  {"message.timestamp.type": ptr("LogAppendTime")},
	"recompressed": {"compression.type": ptr("zstd")},
	"segments":     {"segment.bytes": ptr("1000"), "index.interval.bytes": ptr("100")},
}

func ptr(s string) *string { return &s }

func (f *format) topic(codec string) string { return fmt.Sprintf("magic-%d-%s", f.magic, codec) }

func logTopics() (topics []string) {
	for _, f := range formats {
		for _, codec := range f.codecs {
			topics = append(topics, f.topic(codec))
		}
	}
	return append(topics, slices.Sorted(maps.Keys(special))...)
}

// writeFormats appends a few batches to each topic, in its format and codec.
func writeFormats(t *testing.T, address, mark string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, f := range formats {
		for _, codec := range f.codecs {
			opts := []kgo.Opt{kgo.MaxVersions(f.limit), kgo.ProducerBatchCompression(codecs[codec]), kgo.DefaultProduceTopic(f.topic(codec))}
			if f.magic < 2 {
				opts = append(opts, kgo.DisableIdempotentWrite())
			}
			writeBatches(t, ctx, Client(t, address, opts...), f.magic, 3, mark)
		}
	}
	for topic := range special {
		writeBatches(t, ctx, Client(t, address, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.SnappyCompression())), 2, 10, mark)
	}
}

func writeBatches(t *testing.T, ctx context.Context, cl *kgo.Client, magic, batches int, mark string) {
	t.Helper()
	defer cl.Close()
	for batch := range batches {
		var records []*kgo.Record
		for i := range 10 {
			r := &kgo.Record{Key: fmt.Append(nil, "key ", i), Value: fmt.Appendf(nil, "%s batch %d record %d %s", mark, batch, i, strings.Repeat("x", i*10))}
			if magic > 0 {
				r.Timestamp = time.UnixMilli(1700000000000 + int64(1000*i))
			}
			switch i {
			case 3:
				r.Key = nil
			case 4:
				r.Key = []byte{}
			case 5:
				r.Value = nil
			case 6:
				r.Value = []byte{}
			case 7:
				if magic == 2 {
					r.Headers = []kgo.RecordHeader{{Key: "n", Value: []byte{0, 255}}, {Key: "n", Value: nil}, {Key: "", Value: []byte{}}}
				}
			}
			records = append(records, r)
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatalf("%s: %v", mark, err)
		}
	}
}

// writeTransactions leaves a committed, an aborted and a last committed transaction in a topic of its own.
func writeTransactions(t *testing.T, address string) {
	t.Helper()
	createTopic(t, address, "transactions", 1, nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, address, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("transactions"))
	defer cl.Close()
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint("in transaction ", i)), kgo.StringRecord("and more")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
}

// commitSome reads a few records of a topic in a group and commits them. Given what was committed before, the group must go on there.
func commitSome(t *testing.T, address, topic string, before *int64) *int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, address, kgo.ConsumerGroup("passed-on"), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	defer cl.Close()
	fs := cl.PollRecords(ctx, 7)
	if err := fs.Err0(); err != nil {
		t.Fatal(err)
	}
	records := fs.Records()
	if before != nil && records[0].Offset != *before {
		t.Errorf("the group had committed %d, and goes on at %d", *before, records[0].Offset)
	}
	if err := cl.CommitRecords(ctx, records...); err != nil {
		t.Fatal(err)
	}
	next := records[len(records)-1].Offset + 1
	return &next
}

// wellFormed checks what we wrote first against what was sent, since later it is only compared with itself.
func wellFormed(t *testing.T, all map[part]*listing) {
	t.Helper()
	for p, l := range all {
		batches := int64(3)
		if special[p.Topic] != nil {
			batches = 10
		}
		if l.Begin != 0 || l.End != batches*10 || int64(len(l.Records)) != l.End {
			t.Errorf("%v: %d records in [%d, %d), want %d", p, len(l.Records), l.Begin, l.End, batches*10)
			continue
		}
		for i, e := range l.Records {
			n := i % 10
			null := e.Value.Null || e.Value.Bytes == ""
			if e.Offset != int64(i) || !null && !strings.HasPrefix(e.Value.Bytes, fmt.Sprintf("first batch %d record %d ", i/10, n)) ||
				(n == 5) != e.Value.Null || (n == 3) != e.Key.Null || (n == 5 || n == 6) != null {
				t.Errorf("%v, record %d: %+v", p, i, e)
			}
			stamped := time.Now().UnixMilli()-e.Timestamp < time.Hour.Milliseconds()
			switch {
			case p.Topic == "append-time" && (e.TimestampType != "LogAppendTime" || !stamped),
				strings.HasPrefix(p.Topic, "magic-0-") && e.Timestamp != -1,
				strings.HasPrefix(p.Topic, "magic-1-") && e.Timestamp != 1700000000000+int64(1000*n),
				strings.HasPrefix(p.Topic, "magic-2-") && e.Timestamp != 1700000000000+int64(1000*n):
				t.Errorf("%v, record %d has the timestamp %d, %s", p, i, e.Timestamp, e.TimestampType)
			}
			if headers := len(e.Headers); strings.HasPrefix(p.Topic, "magic-2-") && (n == 7) != (headers == 3) {
				t.Errorf("%v, record %d has %d headers", p, i, headers)
			}
		}
	}
}

var complaint = regexp.MustCompile(`(?i)corrupt|unclean|recover|rebuil|truncat|invalid`)

// noComplaint fails the test if a broker found something to mend in a log directory that was closed cleanly.
func noComplaint(t *testing.T, s *Server, name string) {
	t.Helper()
	for line := range strings.Lines(s.Output()) {
		if complaint.MatchString(line) {
			t.Errorf("%s: %s", name, line)
		}
	}
}
