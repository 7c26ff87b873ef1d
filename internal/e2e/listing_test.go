//go:build unix

package e2e

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// part is a partition as a consumer of one isolation level sees it.
type part struct {
	Topic     string
	Partition int32
	Isolation string // read_uncommitted or read_committed
}

func (p part) String() string { return fmt.Sprintf("%s-%d %s", p.Topic, p.Partition, p.Isolation) }

// listing is all that a consumer can read of a partition.
type listing struct {
	Begin, End int64
	Records    []entry
}

type entry struct {
	Offset        int64
	Epoch         int32 // -1 before format v2
	Timestamp     int64
	TimestampType string
	Key, Value    text
	Headers       [][2]text
}

// text is bytes that may be null.
type text struct {
	Null  bool
	Bytes string
}

func textOf(b []byte) text { return text{b == nil, string(b)} }

// UnmarshalJSON reads a string, null, or {"base64":…}.
func (x *text) UnmarshalJSON(b []byte) error {
	var s string
	var encoded struct{ Base64 []byte }
	switch {
	case string(b) == "null":
		x.Null = true
		return nil
	case json.Unmarshal(b, &s) == nil:
		x.Bytes = s
		return nil
	}
	err := json.Unmarshal(b, &encoded)
	x.Bytes = string(encoded.Base64)
	return err
}

// MarshalJSON is for the differences that a failing test prints.
func (x text) MarshalJSON() ([]byte, error) {
	if x.Null {
		return []byte("null"), nil
	}
	return json.Marshal(base64.StdEncoding.EncodeToString([]byte(x.Bytes)))
}

var isolations = map[string]kgo.IsolationLevel{"read_uncommitted": kgo.ReadUncommitted(), "read_committed": kgo.ReadCommitted()}

// recordedListing reads what a consumer of the recorded cluster was served.
func recordedListing(t *testing.T, name string) map[part]*listing {
	t.Helper()
	f, err := os.Open(filepath.Join(Root, "testdata", "logs", name+".records.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[part]*listing{}
	for lines := bufio.NewScanner(unzipped); lines.Scan(); {
		row := struct {
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
		}{}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		p := part{row.Topic, row.Partition, row.Isolation}
		if row.Begin != nil {
			all[p] = &listing{Begin: *row.Begin, End: *row.End}
			continue
		}
		e := entry{row.Offset, -1, row.Timestamp, row.TimestampType, row.Key, row.Value, row.Headers}
		if row.Epoch != nil {
			e.Epoch = *row.Epoch
		}
		all[p].Records = append(all[p].Records, e)
	}
	return all
}

// list reads all partitions of the topics at both isolation levels. franz-go asks and decodes; the requests are made here, since
// only so the end of what is visible is known for certain.
func list(t *testing.T, addresses string, topics ...string) map[part]*listing {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, addresses)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var details kadm.TopicDetails
	Await(t, 30*time.Second, "every partition has a leader", func() (err error) {
		details, err = adm.ListTopicsWithInternal(ctx, topics...)
		if err != nil {
			return err
		}
		for _, d := range details {
			if d.Err != nil {
				return fmt.Errorf("%s: %w", d.Topic, d.Err)
			}
			for _, p := range d.Partitions {
				if p.Err != nil {
					return fmt.Errorf("%s-%d: %w", p.Topic, p.Partition, p.Err)
				}
			}
		}
		return nil
	})
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	all := map[part]*listing{}
	for level, isolation := range isolations {
		ends, err := adm.ListEndOffsets(ctx, topics...)
		if level == "read_committed" {
			ends, err = adm.ListCommittedOffsets(ctx, topics...)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range details {
			for _, p := range d.Partitions {
				start, _ := starts.Lookup(p.Topic, p.Partition)
				end, ok := ends.Lookup(p.Topic, p.Partition)
				if !ok || start.Err != nil || end.Err != nil {
					t.Fatalf("offsets of %s-%d: %v, %v", p.Topic, p.Partition, start.Err, end.Err)
				}
				l := &listing{Begin: start.Offset, End: end.Offset}
				readPartition(t, ctx, cl, d.ID, p, isolation, l)
				all[part{p.Topic, p.Partition, level}] = l
			}
		}
	}
	return all
}

func readPartition(t *testing.T, ctx context.Context, cl *kgo.Client, id kadm.TopicID, p kadm.PartitionDetail, isolation kgo.IsolationLevel, l *listing) {
	t.Helper()
	level := int8(0)
	if isolation == kgo.ReadCommitted() {
		level = 1
	}
	for offset := l.Begin; offset < l.End; {
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = 500, 1, 1<<20, level, -1
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = p.Topic, id
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.Partition, offset, 1<<16
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		raw, err := cl.Broker(int(p.Leader)).RetriableRequest(ctx, req)
		if err != nil {
			t.Fatalf("fetch %s-%d at %d: %v", p.Topic, p.Partition, offset, err)
		}
		resp := raw.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil || len(resp.Topics) != 1 {
			t.Fatalf("fetch %s-%d at %d: %v, %+v", p.Topic, p.Partition, offset, err, resp)
		}
		got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: p.Topic, Partition: p.Partition, Offset: offset, IsolationLevel: isolation},
			&resp.Topics[0].Partitions[0], decompressor{kgo.DefaultDecompressor()}, nil)
		if got.Err != nil {
			t.Fatalf("fetch %s-%d at %d: %v", p.Topic, p.Partition, offset, got.Err)
		}
		for _, r := range got.Records {
			l.Records = append(l.Records, entryOf(r))
		}
		if next <= offset {
			t.Fatalf("fetch %s-%d at %d brought nothing, and the end is %d", p.Topic, p.Partition, offset, l.End)
		}
		offset = next
	}
}

// decompressor also reads LZ4 as it is in messages of format v0: the header's checksum covers too much there (KIP-57), which
// franz-go takes for damage.
type decompressor struct{ kgo.Decompressor }

func (d decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	out, err := d.Decompressor.Decompress(src, codec)
	const flags, checksum = 4, 6
	if err == nil || codec != kgo.CodecLz4 || len(src) <= checksum || src[flags]&0x08 != 0 {
		return out, err
	}
	mended := slices.Clone(src)
	for sum := range 256 {
		mended[checksum] = byte(sum)
		if out, err := d.Decompressor.Decompress(mended, codec); err == nil {
			return out, nil
		}
	}
	return out, err
}

func entryOf(r *kgo.Record) entry {
	e := entry{Offset: r.Offset, Epoch: r.LeaderEpoch, Timestamp: r.Timestamp.UnixMilli(), Key: textOf(r.Key), Value: textOf(r.Value), Headers: [][2]text{}}
	e.TimestampType = map[int8]string{-1: "NoTimestampType", 0: "CreateTime", 1: "LogAppendTime"}[r.Attrs.TimestampType()]
	if e.TimestampType == "NoTimestampType" {
		e.Timestamp = -1
	}
	for _, h := range r.Headers {
		e.Headers = append(e.Headers, [2]text{textOf([]byte(h.Key)), textOf(h.Value)})
	}
	return e
}

// sameListings fails the test for every difference between what is served now and what was.
func sameListings(t *testing.T, got, want map[part]*listing) {
	t.Helper()
	for p, w := range want {
		g := got[p]
		if g == nil {
			t.Errorf("%v is missing", p)
			continue
		}
		if g.Begin != w.Begin || g.End != w.End || len(g.Records) != len(w.Records) {
			t.Errorf("%v: %d records in [%d, %d), want %d in [%d, %d)", p, len(g.Records), g.Begin, g.End, len(w.Records), w.Begin, w.End)
		}
		for i := range min(len(g.Records), len(w.Records)) {
			if diff := cmp.Diff(w.Records[i], g.Records[i]); diff != "" {
				t.Errorf("%v, record %d (- as it was, + as it is):\n%s", p, i, diff)
				break
			}
		}
	}
}

// topicsOf are the topics of a listing.
func topicsOf(all map[part]*listing) (topics []string) {
	for p := range all {
		topics = append(topics, p.Topic)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}
