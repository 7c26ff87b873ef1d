//go:build unix

package e2e

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRecordedLogs opens log directories that Apache Kafka left: of all record formats and codecs, with transactions, compacted,
// cleanly stopped and killed. Consumers read what they read from Apache Kafka, and producers append to it.
func TestRecordedLogs(t *testing.T) {
	coord := Coordinator(t)
	for _, name := range []string{"clean", "kafka-0.10", "upgraded", "epochs", "killed"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			data := filepath.Join(dir, "data")
			unpack(t, filepath.Join(Root, "testdata", "logs", name+".tar.gz"), data)
			id := describe(t, connect(t, coord.Address), "/"+name, data)
			b := BrokerOn(t, dir, id, coord.Address+"/"+name, "log.retention.ms=-1", "offsets.topic.num.partitions=2")
			if name == "killed" {
				recoveredLogs(t, b)
			} else {
				want := recordedListing(t, name)
				got := list(t, b.Address, topicsOf(want)...)
				wrapperTimes(t, b, got, want)
				sameListings(t, got, want)
				appends(t, b, want)
			}
			b.Stop(t)
		})
	}
}

// wrapperTimes lets the Java consumer judge the times of a compressed message of format v1 with LogAppendTime: they are the
// wrapper's, where franz-go looks at what is wrapped.
func wrapperTimes(t *testing.T, b *Server, got, want map[part]*listing) {
	t.Helper()
	const topic = "v-0.10.2-append-time"
	w := want[part{topic, 0, "read_committed"}]
	if w == nil {
		return
	}
	var lines []string
	for i, e := range w.Records {
		lines = append(lines, fmt.Sprintf("%s:%d\t%s", e.TimestampType, e.Timestamp, e.Value.Bytes))
		for level := range isolations {
			g := got[part{topic, 0, level}]
			g.Records[i].TimestampType, g.Records[i].Timestamp = e.TimestampType, e.Timestamp
		}
	}
	read := Run(t, time.Minute, "", Apache(t, "kafka-3.9", "kafka-console-consumer", "--bootstrap-server", b.Address, "--topic", topic,
		"--property", "print.timestamp=true", "--from-beginning", "--max-messages", strconv.Itoa(len(lines)))...)
	printed(t, "the Java consumer", read, lines...)
}

// recoveredLogs compares with what Apache Kafka made of the killed broker's logs. Its own load went on while it was listed: of
// those partitions the recording has more.
func recoveredLogs(t *testing.T, b *Server) {
	want := recordedListing(t, "killed-recovered")
	got := list(t, b.Address, topicsOf(want)...)
	for p, w := range want {
		g := got[p]
		if !strings.HasPrefix(p.Topic, "load-") && p.Topic != "__transaction_state" {
			continue
		}
		if g == nil || g.End == 0 && w.End > 0 || g.End > w.End {
			t.Errorf("%v: %+v", p, g)
			continue
		}
		for len(w.Records) > 0 && w.Records[len(w.Records)-1].Offset >= g.End {
			w.Records = w.Records[:len(w.Records)-1]
		}
		w.End = g.End
	}
	sameListings(t, got, want)
}

// appends writes a record to each topic that clients write to, behind what is there.
func appends(t *testing.T, b *Server, before map[part]*listing) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.Address, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var records []*kgo.Record
	var ends []int64
	for p, l := range before {
		if p.Isolation == "read_uncommitted" && !strings.HasPrefix(p.Topic, "__") {
			records = append(records, &kgo.Record{Topic: p.Topic, Partition: p.Partition, Key: []byte("key"), Value: []byte("appended")})
			ends = append(ends, l.End)
		}
	}
	for i, result := range cl.ProduceSync(ctx, records...) {
		if r := records[i]; result.Err != nil || r.Offset != ends[i] {
			t.Errorf("%s-%d ended at %d, and the next record got offset %d, %v", r.Topic, r.Partition, ends[i], r.Offset, result.Err)
		}
	}
}

func unpack(t *testing.T, archive, into string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(into, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(to, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// describe writes what a coordinator would know of a log directory, below a chroot: the cluster's id and the topics with their
// partitions' states. It returns the id of the broker whose directory it is.
func describe(t *testing.T, c *zk.Conn, chroot, data string) (id int) {
	t.Helper()
	put := func(path, text string) {
		t.Helper()
		at := chroot
		for i, step := range strings.Split(path, "/") {
			if i > 0 {
				at += "/" + step
			}
			var value []byte
			if at == chroot+path {
				value = []byte(text)
			}
			if _, err := c.Create(at, value, 0, world); err != nil && (value != nil || !errors.Is(err, zk.ErrNodeExists)) {
				t.Fatalf("create %s: %v", at, err)
			}
		}
	}
	meta := properties(t, filepath.Join(data, "meta.properties"), "=")
	if _, err := fmt.Sscan(meta["broker.id"], &id); err != nil {
		t.Fatal(err)
	}
	if cluster := meta["cluster.id"]; cluster != "" { // not before 0.10.1
		put("/cluster/id", fmt.Sprintf(`{"version":"1","id":%q}`, cluster))
	}
	// Producer ids that the logs remember must not be given out again.
	put("/latest_producer_id_block", fmt.Sprintf(`{"version":1,"broker":%d,"block_start":"0","block_end":"999999"}`, id))
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	partitions, ids := map[string][]string{}, map[string]string{}
	for _, e := range entries {
		dash := strings.LastIndex(e.Name(), "-")
		if !e.IsDir() || dash < 0 {
			continue
		}
		topic, number := e.Name()[:dash], e.Name()[dash+1:]
		partitions[topic] = append(partitions[topic], number)
		if topicID := properties(t, filepath.Join(data, e.Name(), "partition.metadata"), ": ")["topic_id"]; topicID != "" {
			ids[topic] = fmt.Sprintf(`"topic_id":%q,`, topicID)
		}
	}
	for topic, numbers := range partitions {
		var assignment []string
		for _, n := range numbers {
			assignment = append(assignment, fmt.Sprintf(`%q:[%d]`, n, id))
		}
		put("/brokers/topics/"+topic, fmt.Sprintf(`{"version":3,"partitions":{%s},%s"adding_replicas":{},"removing_replicas":{}}`, strings.Join(assignment, ","), ids[topic]))
		for _, n := range numbers {
			put("/brokers/topics/"+topic+"/partitions/"+n+"/state", fmt.Sprintf(`{"controller_epoch":1,"leader":%d,"version":1,"leader_epoch":%d,"isr":[%d]}`,
				id, lastEpoch(t, filepath.Join(data, topic+"-"+n, "leader-epoch-checkpoint")), id))
		}
	}
	return id
}

// lastEpoch is the last leader epoch of a checkpoint file; 0 if there is none.
func lastEpoch(t *testing.T, path string) (epoch int) {
	t.Helper()
	b, _ := os.ReadFile(path)
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if i < 2 { // version and count
			continue
		}
		first, _, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(first)
		if err != nil {
			t.Fatalf("%s: %q", path, line)
		}
		epoch = n
	}
	return epoch
}

// properties reads the lines of a file that have a key and a value.
func properties(t *testing.T, path, separator string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		if key, value, ok := strings.Cut(line, separator); ok {
			all[key] = strings.TrimSpace(value)
		}
	}
	return all
}
