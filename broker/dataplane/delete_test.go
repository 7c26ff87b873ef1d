package dataplane

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/record"
	"ottla/broker/topic"
)

func deleteRequest(version int16, timeout time.Duration, topicName string, offsets map[int32]int64) *kmsg.DeleteRecordsRequest {
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.Version, q.TimeoutMillis = version, int32(timeout.Milliseconds())
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topicName
	for p, offset := range offsets {
		x := kmsg.NewDeleteRecordsRequestTopicPartition()
		x.Partition, x.Offset = p, offset
		t.Partitions = append(t.Partitions, x)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// TestDeleteRecords: what each version answers, and what a client sees of the log afterwards.
func TestDeleteRecords(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 1}})
	b.make(topicSpec{name: "compacted", leaders: []int32{0}, log: func(s *commitlog.Settings) { s.Compact, s.Delete = true, false }})
	b.make(topicSpec{name: topic.ConsumerOffsets, leaders: []int32{0}})
	b.make(topicSpec{name: "broken", leaders: []int32{0}})
	b.mu.Lock()
	b.replicas[topic.Partition{Topic: "broken"}].Log().Fail(errors.New("disk"))
	b.mu.Unlock()
	c := b.dial()
	for range 10 {
		mustProduce(t, c, "t", 0, "x")
	}
	for version := int16(0); version <= deleteRecordsMax; version++ {
		at := int64(version) + 1
		for _, x := range []struct {
			topic  string
			p      int32
			offset int64
			code   *kerr.Error
			low    int64
		}{
			{"t", 0, at, nil, at},
			{"t", 0, at - 1, nil, at}, // it never moves back
			{"t", 0, 11, kerr.OffsetOutOfRange, -1},
			{"t", 0, -2, kerr.OffsetOutOfRange, -1},
			{"t", 1, 0, kerr.NotLeaderForPartition, -1},
			{"t", 2, 0, kerr.UnknownTopicOrPartition, -1},
			{"none", 0, 0, kerr.UnknownTopicOrPartition, -1},
			{"compacted", 0, 0, kerr.PolicyViolation, -1},
			{topic.ConsumerOffsets, 0, 0, kerr.InvalidTopicException, -1},
			{"broken", 0, 0, kerr.KafkaStorageError, -1},
		} {
			r := call[*kmsg.DeleteRecordsResponse](c, deleteRequest(version, time.Second, x.topic, map[int32]int64{x.p: x.offset}))
			got, code := r.Topics[0].Partitions[0], int16(0)
			if x.code != nil {
				code = x.code.Code
			}
			if got.Partition != x.p || got.ErrorCode != code || got.LowWatermark != x.low {
				t.Errorf("v%d, %s-%d at %d: %+v, want error %d and low watermark %d", version, x.topic, x.p, x.offset, got, code, x.low)
			}
		}
		if got := listOffset(t, c, "t", -2); got != at {
			t.Errorf("the log begins at %d, want %d", got, at)
		}
		f := fetchOne(c, "t", at-1)
		if f.ErrorCode != kerr.OffsetOutOfRange.Code {
			t.Errorf("fetch below the log start: error %d", f.ErrorCode)
		}
		if f = fetchOne(c, "t", at); f.ErrorCode != 0 || f.LogStartOffset != at || f.HighWatermark != 10 || len(f.RecordBatches) == 0 {
			t.Errorf("fetch at the log start: %d, [%d, %d), %d bytes", f.ErrorCode, f.LogStartOffset, f.HighWatermark, len(f.RecordBatches))
		}
	}
	r := call[*kmsg.DeleteRecordsResponse](c, deleteRequest(2, time.Second, "t", map[int32]int64{0: -1}))
	if got := r.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.LowWatermark != 10 {
		t.Errorf("up to the high watermark: %+v", got)
	}
	if start, end := listOffset(t, c, "t", -2), listOffset(t, c, "t", -1); start != 10 || end != 10 {
		t.Errorf("[%d, %d), want an empty log at 10", start, end)
	}
	mustProduce(t, c, "t", 0, "x")
	if f := fetchOne(c, "t", 10); f.ErrorCode != 0 || len(f.RecordBatches) == 0 {
		t.Errorf("the next record: %+v", f)
	}
}

// TestDeleteRecordsWaits: the answer is due once every live replica begins there, or the time is over.
func TestDeleteRecordsWaits(t *testing.T) {
	b := newTestBroker(t, nil)
	id := pair(b).Log().TopicID()
	c, follower := b.dial(), b.dial()
	call[*kmsg.ProduceResponse](c, produceOne(9, 1, "pair", 0, batch(t, record.None, "x")))
	follow := func(logStart int64) {
		q := fetchRequest(17, 0, 0, fetchAsk{offset: 1, epoch: -1})
		q.ReplicaState.ID, q.ReplicaState.Epoch, q.Topics[0].TopicID = 1, -1, id
		q.Topics[0].Partitions[0].LogStartOffset = logStart
		call[*kmsg.FetchResponse](follower, q)
	}
	follow(0)
	r := call[*kmsg.DeleteRecordsResponse](c, deleteRequest(2, 50*time.Millisecond, "pair", map[int32]int64{0: -1}))
	if got := r.Topics[0].Partitions[0]; got.ErrorCode != kerr.RequestTimedOut.Code || got.LowWatermark != 0 {
		t.Errorf("a follower that does not follow: %+v", got)
	}
	// The wait is for others, and no time of the client's.
	waits := new(api.Waits)
	h := &deletes{cfg: Config{Replicas: b, Metadata: b, Now: b.now, Random: rand.Read}, waiting: new(atomic.Int64)}
	if _, err := h.handle(api.WithWaits(context.Background(), waits), nil, deleteRequest(2, 50*time.Millisecond, "pair", map[int32]int64{0: -1})); err != nil || waits.Total() < 50*time.Millisecond {
		t.Errorf("of 50 ms %v were waited: %v", waits.Total(), err)
	}
	c.send(deleteRequest(2, 20*time.Second, "pair", map[int32]int64{0: -1}))
	follow(1)
	r = receive[*kmsg.DeleteRecordsResponse](c, c.id, 2)
	if got := r.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.LowWatermark != 1 {
		t.Errorf("once it has followed: %+v", got)
	}
}

func listOffset(t testing.TB, c *testConn, name string, timestamp int64) int64 {
	t.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version, q.ReplicaID = 5, -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = name
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp, p.CurrentLeaderEpoch = timestamp, -1
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	r := call[*kmsg.ListOffsetsResponse](c, q).Topics[0].Partitions[0]
	if r.ErrorCode != 0 {
		t.Fatalf("ListOffsets: error %d", r.ErrorCode)
	}
	return r.Offset
}
