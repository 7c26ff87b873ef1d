package oracle

import (
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch is a record batch of magic 2 with one record a value, written at a fixed time.
func batch(values ...string) []byte { return sequencedBatch(-1, -1, -1, values...) }

const batchTime = 1700000000000

func sequencedBatch(id int64, epoch int16, sequence int32, values ...string) []byte {
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(values) - 1), FirstTimestamp: batchTime, MaxTimestamp: batchTime,
		ProducerID: id, ProducerEpoch: epoch, FirstSequence: sequence, NumRecords: int32(len(values)),
	}
	for i, v := range values {
		r := kmsg.Record{OffsetDelta: int32(i), Value: []byte(v)}
		body := r.AppendTo(nil)
		r.Length = int32(len(body) - 1)
		b.Records = append(b.Records, r.AppendTo(nil)...)
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// messageSet is one message of magic 0 or 1.
func messageSet(magic byte, value string) []byte {
	m := []byte{magic, 0}
	if magic == 1 {
		m = binary.BigEndian.AppendUint64(m, batchTime)
	}
	m = kbin.AppendNullableBytes(m, nil)
	m = kbin.AppendBytes(m, []byte(value))
	m = append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(m)), m...)
	out := binary.BigEndian.AppendUint64(nil, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(len(m)))
	return append(out, m...)
}

func produce(acks int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = acks, 1000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	return q
}

// formatOf are records in the format that a version of Produce wants.
func formatOf(version int16, value string) []byte {
	switch {
	case version < 2:
		return messageSet(0, value)
	case version < 3:
		return messageSet(1, value)
	}
	return batch(value)
}

func fetch(t *target, version int16, topic string, partition int32, offset int64) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 50, 1, 1<<20, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	q.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: t.topicIDs[topic], Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return q
}

func records(l *lab) {
	l.versions("produce", 0, 11, func(_ *target, v int16) kmsg.Request { return produce(1, "wire", 0, formatOf(v, "value")) })
	l.versions("produce acks all", 0, 11, func(_ *target, v int16) kmsg.Request { return produce(-1, "wire", 1, formatOf(v, "value")) })
	l.versions("produce appended time", 0, 11, func(_ *target, v int16) kmsg.Request { return produce(1, "append-time", 0, formatOf(v, "value")) })
	for what, q := range map[string]*kmsg.ProduceRequest{
		"two acks": produce(2, "wire", 0, nil), "unknown topic": produce(1, "no-such-topic", 0, nil), "unknown partition": produce(1, "wire", 9, nil),
		"elsewhere": produce(1, "elsewhere", 0, nil), "internal": produce(1, "__consumer_offsets", 0, nil), "bad name": produce(1, "bad name", 0, nil),
		"no key": produce(1, "compacted", 0, nil), "in sync": produce(-1, "insync2", 0, nil), "too large": produce(1, "small", 0, nil),
	} {
		l.versions("produce "+what, 0, 11, func(_ *target, v int16) kmsg.Request {
			value := "value"
			if what == "too large" {
				value = strings.Repeat("large ", 100)
			}
			q.Topics[0].Partitions[0].Records = formatOf(v, value)
			return q
		})
	}
	odd := map[string]func(b []byte) []byte{
		"empty records": func([]byte) []byte { return []byte{} }, "null records": func([]byte) []byte { return nil },
		"wrong checksum": func(b []byte) []byte { b[17]++; return b }, "two batches": func(b []byte) []byte { return append(b, batch("second")...) },
		"cut": func(b []byte) []byte { return b[:len(b)-3] }, "garbage behind": func(b []byte) []byte { return append(b, 1, 2, 3) },
		"magic 1 claimed": func(b []byte) []byte { b[16] = 1; return b }, "magic 3": func(b []byte) []byte { b[16] = 3; return b },
		"codec 7": func(b []byte) []byte { b[22] = 7; return resum(b) }, "control": func(b []byte) []byte { b[22] = 0x20; return resum(b) },
		"transactional": func(b []byte) []byte { b[22] = 0x10; return resum(b) }, "count of records": func(b []byte) []byte { b[60] = 9; return resum(b) },
		"negative count": func(b []byte) []byte { b[57] = 0xff; return resum(b) }, "last offset delta": func(b []byte) []byte { b[26] = 5; return resum(b) },
		"base offset 7": func(b []byte) []byte { b[7] = 7; return b }, "length below": func(b []byte) []byte { b[11] = 3; return b },
	}
	for _, what := range sortedNames(odd) {
		first := int16(3)
		if what == "null records" {
			first = 11 // Apache Kafka leaves it without an answer, which takes time
		}
		l.versions("produce "+what, first, 11, func(_ *target, _ int16) kmsg.Request { return produce(1, "wire", 0, odd[what](batch("value"))) })
	}
	l.versions("old format in v3", 3, 4, func(*target, int16) kmsg.Request { return produce(1, "wire", 0, messageSet(1, "old")) })
	l.versions("new format in v2", 0, 2, func(*target, int16) kmsg.Request { return produce(1, "wire", 0, batch("new")) })

	producers(l)

	for _, v := range []int16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17} {
		for what, at := range map[string]struct {
			topic     string
			partition int32
			offset    int64
		}{
			"fetch": {"wire", 0, 0}, "fetch middle": {"wire", 0, 5}, "fetch beyond": {"wire", 0, 100000}, "fetch negative": {"wire", 0, -3}, "fetch unknown topic": {"nobody", 0, 0},
			"fetch unknown partition": {"wire", 7, 0}, "fetch elsewhere": {"elsewhere", 0, 0}, "fetch appended time": {"append-time", 0, 0}, "fetch empty": {"empty", 0, 0},
		} {
			l.each(what, v, func(t *target) kmsg.Request { return fetch(t, v, at.topic, at.partition, at.offset) })
		}
		l.each("fetch of an unknown id", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 0)
			q.Topics[0].TopicID = [16]byte{1, 2, 3}
			return q
		})
		l.each("fetch at other epochs", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 0)
			q.Topics[0].Partitions[0].CurrentLeaderEpoch = 7
			return q
		})
		l.each("fetch diverging", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 3)
			q.Topics[0].Partitions[0].LastFetchedEpoch = 7
			return q
		})
		l.each("fetch little", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 0)
			q.Topics[0].Partitions[0].PartitionMaxBytes, q.MaxBytes = 10, 10
			return q
		})
		l.each("fetch of an unknown session", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 0)
			q.SessionID, q.SessionEpoch = 99, 3
			return q
		})
		l.each("fetch committed", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 0)
			q.IsolationLevel = 1
			return q
		})
		l.each("fetch as a replica", v, func(t *target) kmsg.Request {
			q := fetch(t, v, "wire", 0, 0)
			if q.ReplicaID = 5; v >= 15 {
				q.ReplicaState.ID = 5
			}
			return q
		})
	}
	sessions(l)
	offsets(l)
}

// resum gives a batch the checksum that it should have.
func resum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// producers has idempotent producers.
func producers(l *lab) {
	initialize := func(t *target) kmsg.Request {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 1000, -1, -1
		return q
	}
	for _, t := range []*target{l.ours, l.theirs} { // the first block of ids is asked of the controller
		await(l, t.name+" gives producer ids", func() bool {
			r, ok := l.call(t, initialize(t), 0).(*kmsg.InitProducerIDResponse)
			return ok && r.ErrorCode == 0
		})
	}
	for v := int16(0); v <= 5; v++ {
		l.each("producer id", v, initialize)
		l.each("producer id with half a state", v, func(*target) kmsg.Request {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.TransactionTimeoutMillis, q.ProducerID = 1000, 5
			q.ProducerEpoch = -1
			return q
		})
		l.each("producer id with a state", v, func(t *target) kmsg.Request {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 1000, 5, 3
			return q
		})
		l.each("producer id for an empty transactional id", v, func(*target) kmsg.Request {
			q := kmsg.NewPtrInitProducerIDRequest()
			q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = kmsg.StringPtr(""), 1000, -1, -1
			return q
		})
	}
	for _, x := range []struct {
		what     string
		id       int64
		epoch    int16
		sequence int32
	}{
		{"first", 77001, 3, 0}, {"next", 77001, 3, 1}, {"same", 77001, 3, 1}, {"gap", 77001, 3, 9}, {"older epoch", 77001, 2, 2}, {"next epoch", 77001, 4, 0},
		{"next epoch in the middle", 77001, 5, 4}, {"unknown", 77002, 0, 5}, {"no epoch", 77003, -1, 0}, {"no sequence", 77003, 0, -1},
	} {
		l.each("sequence "+x.what, 9, func(*target) kmsg.Request {
			return produce(-1, "idempotent", 0, sequencedBatch(x.id, x.epoch, x.sequence, "value"))
		})
	}
	describe := kmsg.NewPtrDescribeProducersRequest()
	for _, name := range []string{"idempotent", "wire", "elsewhere", "nobody", "bad name"} {
		describe.Topics = append(describe.Topics, kmsg.DescribeProducersRequestTopic{Topic: name, Partitions: []int32{0, 9}})
	}
	l.same("describe producers", 0, 0, describe)
}

// sessions has incremental fetches.
func sessions(l *lab) {
	for v := int16(7); v <= 17; v++ {
		begin := func(t *target) *kmsg.FetchRequest {
			q := fetch(t, v, "wire", 0, 0)
			q.SessionEpoch, q.MaxWaitMillis = 0, 0
			return q
		}
		l.each("session begins", v, func(t *target) kmsg.Request { return begin(t) })
		for _, t := range []*target{l.ours, l.theirs} {
			if r, ok := t.lastResponse.(*kmsg.FetchResponse); ok {
				t.session = r.SessionID
			}
		}
		next := func(what string, epoch int32, change func(q *kmsg.FetchRequest, t *target)) {
			l.each("session "+what, v, func(t *target) kmsg.Request {
				q := begin(t)
				q.SessionID, q.SessionEpoch, q.Topics = t.session, epoch, nil
				change(q, t)
				return q
			})
		}
		next("goes on", 1, func(*kmsg.FetchRequest, *target) {})
		next("at the end", 2, func(q *kmsg.FetchRequest, t *target) { q.Topics = fetch(t, v, "wire", 0, 100000).Topics })
		next("adds", 3, func(q *kmsg.FetchRequest, t *target) { q.Topics = fetch(t, v, "append-time", 0, 0).Topics })
		next("forgets", 4, func(q *kmsg.FetchRequest, t *target) {
			q.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "wire", TopicID: t.topicIDs["wire"], Partitions: []int32{0}}}
		})
		next("repeats an epoch", 2, func(*kmsg.FetchRequest, *target) {})
		next("ends", -1, func(*kmsg.FetchRequest, *target) {})
	}
}

func offsets(l *lab) {
	ask := func(topic string, partition, epoch int32, timestamp int64, n int32, isolation int8) *kmsg.ListOffsetsRequest {
		q := kmsg.NewPtrListOffsetsRequest()
		q.ReplicaID, q.IsolationLevel = -1, isolation
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.Timestamp, p.MaxNumOffsets = partition, epoch, timestamp, n
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		return q
	}
	for ts := int64(-7); ts <= 1; ts++ {
		l.same("list offsets special", 0, 9, ask("wire", 0, -1, ts, 5, 0))
		l.same("list offsets of nothing", 0, 9, ask("empty", 0, -1, ts, 5, 1))
	}
	l.same("list offsets by time", 0, 9, ask("wire", 0, -1, batchTime, 1, 0))
	l.same("list offsets later", 0, 9, ask("wire", 0, -1, batchTime+1, 1, 0))
	l.same("list offsets at another epoch", 0, 9, ask("wire", 0, 3, -1, 1, 0))
	l.same("list offsets of nobody", 0, 9, ask("nobody", 0, -1, -1, 1, 0))
	l.same("list offsets elsewhere", 0, 9, ask("elsewhere", 0, -1, -1, 1, 0))
	l.same("list no offsets", 0, 9, ask("wire", 0, -1, -1, 0, 0))
	twice := ask("wire", 0, -1, -1, 1, 0)
	twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
	l.same("list offsets twice", 0, 9, twice)
	debug := ask("wire", 0, -1, -1, 1, 0)
	debug.ReplicaID = -2
	l.same("list offsets for debugging", 0, 9, debug)

	for _, epoch := range []int32{-2, -1, 0, 1, 9} {
		for _, current := range []int32{-1, 0, 4} {
			q := kmsg.NewPtrOffsetForLeaderEpochRequest()
			q.ReplicaID = -1
			for _, name := range []string{"wire", "nobody", "elsewhere", "empty", "wire"} {
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.CurrentLeaderEpoch, p.LeaderEpoch = current, epoch
				q.Topics = append(q.Topics, kmsg.OffsetForLeaderEpochRequestTopic{Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p, p}})
			}
			l.same("offset for leader epoch", 0, 4, q)
		}
	}
	for v := int16(0); v <= 2; v++ {
		q := kmsg.NewPtrDeleteRecordsRequest()
		q.TimeoutMillis = 500
		for name, offset := range map[string]int64{"wire": int64(v), "nobody": 0, "elsewhere": 0, "append-time": 1 << 40, "empty": -1, "__consumer_offsets": 0, "small": -2} {
			p := kmsg.NewDeleteRecordsRequestTopicPartition()
			p.Offset = offset
			q.Topics = append(q.Topics, kmsg.DeleteRecordsRequestTopic{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{p}})
		}
		l.each("delete records", v, func(*target) kmsg.Request { return q })
	}
	l.same("list offsets after a deletion", 0, 9, ask("wire", 0, -1, -2, 1, 0))
}
