package record_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/record"
	"ottla/broker/topic"
)

// exchange is one line of testdata/wire: what a client asked and Apache Kafka 3.9.2 answered.
type exchange struct {
	N                 int
	What, API         string
	Version           int16
	Request, Response string
	Unanswered        bool
}

// exchanges reads the recorded Produce requests.
func exchanges(t *testing.T) []exchange {
	t.Helper()
	f, err := os.Open("../../testdata/wire/produce.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var x exchange
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		if x.API == "Produce" {
			all = append(all, x)
		}
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%d exchanges, %v", len(all), err)
	}
	return all
}

// decode reads request and answer of an exchange; the answer is nil when there is none.
func (x exchange) decode(t *testing.T) (*kmsg.ProduceRequest, *kmsg.ProduceResponse) {
	t.Helper()
	unhex := func(s string, header int) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if x.Version >= 9 {
			header++ // tags
		}
		return b[header:]
	}
	frame, err := hex.DecodeString(x.Request)
	if err != nil {
		t.Fatal(err)
	}
	clientID := int(frame[9])
	q := kmsg.NewPtrProduceRequest()
	q.SetVersion(x.Version)
	if err := q.ReadFrom(unhex(x.Request, 10+clientID)); err != nil {
		t.Fatalf("exchange %d: %v", x.N, err)
	}
	if x.Response == "" {
		return q, nil
	}
	r := kmsg.NewPtrProduceResponse()
	r.SetVersion(x.Version)
	if err := r.ReadFrom(unhex(x.Response, 4)); err != nil {
		t.Fatalf("exchange %d: %v", x.N, err)
	}
	return q, r
}

// differs lists what we answer otherwise than Apache Kafka, on purpose.
var differs = map[string]string{
	"gzip that is no gzip": "a batch of magic 2 that needs no conversion is never opened: it is stored, and its consumers meet the error",
}

// outside lists recorded errors that others than Validate decide on.
var outside = map[int16]bool{
	kerr.UnknownTopicOrPartition.Code: true, kerr.NotLeaderForPartition.Code: true, kerr.InvalidRequiredAcks.Code: true,
	kerr.OutOfOrderSequenceNumber.Code: true, kerr.InvalidProducerEpoch.Code: true, kerr.TransactionalIDAuthorizationFailed.Code: true,
}

// TestValidateAsRecorded gives Validate every recorded Produce and expects Apache Kafka's error, message and log start.
func TestValidateAsRecorded(t *testing.T) {
	const logStart = 0
	seen := map[int16]int{}
	for _, x := range exchanges(t) {
		q, r := x.decode(t)
		if r == nil {
			continue
		}
		for i, qt := range q.Topics {
			for j, qp := range qt.Partitions {
				want := r.Topics[i].Partitions[j]
				if outside[want.ErrorCode] {
					continue
				}
				o := record.ValidateOptions{
					Version: x.Version, Partition: topic.Partition{Topic: qt.Topic, Partition: qp.Partition}, MessageBytesMax: 1048588,
					SegmentBytes: 1 << 30, Compacted: qt.Topic == "compacted", TimestampBeforeMax: record.NoTimestampLimit,
					TimestampAfterMax: record.NoTimestampLimit, Now: 1_795_347_378_542,
				}
				if qt.Topic == "small" {
					o.MessageBytesMax = 300
				}
				if qt.Topic == "append-time" {
					o.TimestampType = record.LogAppendTime
				}
				v, err := record.Validate(bytes.Clone(qp.Records), o)
				if difference := differs[x.What]; difference != "" {
					if err != nil {
						t.Errorf("exchange %d, %s: %v, although %s", x.N, x.What, err, difference)
					}
					continue
				}
				got := kmsg.NewProduceResponseTopicPartition()
				got.BaseOffset, got.LogStartOffset = -1, -1
				var rejection *record.Rejection
				switch {
				case errors.As(err, &rejection):
					got.ErrorCode = rejection.Code.Code
					if !rejection.BeforeLog && x.Version >= 5 {
						got.LogStartOffset = logStart
					}
					if x.Version >= 8 {
						if m := rejection.Message(); m != "" {
							got.ErrorMessage = &m
						}
						for _, e := range rejection.Records {
							got.ErrorRecords = append(got.ErrorRecords, kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: e.Index, ErrorMessage: &e.Message})
						}
					}
				case err != nil:
					t.Errorf("exchange %d, %s: %v is no Rejection", x.N, x.What, err)
				}
				seen[got.ErrorCode]++
				if (v.LogAppendTime != -1) != (want.LogAppendTime != -1) && want.LogAppendTime != 1700000000001 { // that one is a duplicate's
					t.Errorf("exchange %d, %s: append time %d, recorded %d", x.N, x.What, v.LogAppendTime, want.LogAppendTime)
				}
				got.Partition, got.BaseOffset, got.LogAppendTime, got.CurrentLeader = want.Partition, want.BaseOffset, want.LogAppendTime, want.CurrentLeader
				if want.ErrorCode == 0 {
					got.LogStartOffset = want.LogStartOffset
					checkStored(t, x, qp.Records, v)
				}
				if len(want.ErrorRecords) == 0 {
					want.ErrorRecords = nil
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(kmsg.Tags{})); diff != "" {
					t.Errorf("exchange %d, %s, version %d: recorded -, ours + (%v)\n%s", x.N, x.What, x.Version, err, diff)
				}
			}
		}
	}
	for _, code := range []int16{0, 2, 10, 76, 87, -1} {
		if seen[code] == 0 {
			t.Errorf("no exchange led to error %d", code)
		}
	}
}

// checkStored compares the records of what is to be stored with those that the client sent.
func checkStored(t *testing.T, x exchange, sent []byte, v record.Validated) {
	t.Helper()
	if len(v.Batches) != 1 || v.Batches[0].Size() != len(v.Records) {
		t.Fatalf("exchange %d, %s: %d batches", x.N, x.What, len(v.Batches))
	}
	if err := record.CheckCRC(v.Records); err != nil {
		t.Errorf("exchange %d, %s: %v", x.N, x.What, err)
	}
	h, err := record.ParseHeader(v.Records)
	if err != nil || h != v.Batches[0] {
		t.Errorf("exchange %d, %s: header %+v is not that of the records, %+v (%v)", x.N, x.What, v.Batches[0], h, err)
	}
	want, got := collect(t, sent), collect(t, v.Records)
	for i := range want {
		want[i].Offset = int64(i)
		if v.LogAppendTime != -1 {
			want[i].Timestamp = v.LogAppendTime
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(kmsg.Tags{})); diff != "" {
		t.Errorf("exchange %d, %s: sent -, stored +\n%s", x.N, x.What, diff)
	}
}

// collect copies all records of a region.
func collect(t testing.TB, region []byte) []record.Record {
	t.Helper()
	var all []record.Record
	for rec, err := range record.All(region) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, clone(rec))
	}
	return all
}

// clone is rec in memory of its own.
func clone(rec *record.Record) record.Record {
	c := record.Record{Offset: rec.Offset, Timestamp: rec.Timestamp, Key: bytes.Clone(rec.Key), Value: bytes.Clone(rec.Value)}
	for _, h := range rec.Headers {
		c.Headers = append(c.Headers, record.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
	}
	return c
}
