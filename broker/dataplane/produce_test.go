package dataplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/partition"
	"ottla/broker/record"
	"ottla/internal/fs"
)

// batch makes one v2 batch of the values.
func batch(t testing.TB, codec record.Codec, values ...string) []byte {
	t.Helper()
	b := record.NewBuilder(record.BuilderOptions{Codec: codec, LeaderEpoch: -1})
	for i, v := range values {
		b.Append([]byte("key"), []byte(v), nil, 1700000000000+int64(i))
	}
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(out)
}

// produceRequest has records for partitions of one topic, in the order given.
func produceRequest(version, acks int16, name string, records map[int32][]byte, order ...int32) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = name
	for _, n := range order {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = n, records[n]
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	return q
}

func produceOne(version, acks int16, name string, number int32, records []byte) *kmsg.ProduceRequest {
	return produceRequest(version, acks, name, map[int32][]byte{number: records}, number)
}

func only(r *kmsg.ProduceResponse) *kmsg.ProduceResponseTopicPartition {
	return &r.Topics[0].Partitions[0]
}

// Everything that franz-go writes comes back, in each codec, by an idempotent producer and by a plain one.
func TestFranzGoRoundTrip(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 0, 0}})
	seeds := kgo.SeedBrokers(b.net.Addr("PLAINTEXT").String())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	want := map[string]bool{}
	for name, codec := range map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()} {
		for _, plain := range []bool{false, true} {
			opts := []kgo.Opt{seeds, kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)}
			if plain {
				opts = append(opts, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
			}
			cl, err := kgo.NewClient(opts...)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 300 {
				value := fmt.Sprintf("%s-%v-%d", name, plain, i)
				want[value] = true
				cl.Produce(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 3), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("%s: %v", value, err)
					}
				})
			}
			if err := cl.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			cl.Close()
		}
	}
	for _, level := range []kgo.IsolationLevel{kgo.ReadUncommitted(), kgo.ReadCommitted()} {
		cl, err := kgo.NewClient(seeds, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(level), kgo.FetchMaxWait(100*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		got, next := map[string]bool{}, map[int32]int64{}
		for len(got) < len(want) {
			fs := cl.PollFetches(ctx)
			if err := fs.Err(); err != nil {
				t.Fatalf("after %d of %d: %v", len(got), len(want), err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				if r.Offset != next[r.Partition] || !want[string(r.Value)] || got[string(r.Value)] || len(r.Headers) != 1 {
					t.Errorf("offset %d of partition %d: %q", r.Offset, r.Partition, r.Value)
				}
				next[r.Partition] = r.Offset + 1
				got[string(r.Value)] = true
			})
		}
		cl.Close()
	}
}

// Requests in one read are one append per partition; each is answered for itself.
func TestSweepAnswersEachRequestForItself(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 0}})
	c := b.dial()
	bad := batch(t, record.None, "bad")
	bad[len(bad)-1] ^= 1
	good := func(v string) []byte { return batch(t, record.None, v, v+"'") }
	var all []byte
	add := func(q *kmsg.ProduceRequest) {
		c.id++
		f := requestFrame(q, c.id)
		all = append(all, byte(len(f)>>24), byte(len(f)>>16), byte(len(f)>>8), byte(len(f)))
		all = append(all, f...)
	}
	add(produceOne(7, 1, "t", 0, good("a")))
	add(produceOne(7, -1, "t", 0, good("b")))
	add(produceOne(7, 1, "t", 0, bad))
	add(produceOne(7, 0, "t", 0, good("c"))) // no answer
	add(produceRequest(7, 1, "t", map[int32][]byte{0: good("d"), 1: good("e"), 7: good("f")}, 1, 0, 7))
	add(produceOne(7, 5, "t", 0, good("g")))
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	type result struct {
		partition int32
		code      int16
		base      int64
	}
	want := map[int32][]result{
		1: {{0, 0, 0}}, 2: {{0, 0, 2}}, 3: {{0, kerr.CorruptMessage.Code, -1}},
		5: {{1, 0, 0}, {0, 0, 6}, {7, kerr.UnknownTopicOrPartition.Code, -1}}, 6: {{0, kerr.InvalidRequiredAcks.Code, -1}},
	}
	for _, id := range []int32{1, 2, 3, 5, 6} {
		var got []result
		for _, p := range receive[*kmsg.ProduceResponse](c, id, 7).Topics[0].Partitions {
			got = append(got, result{p.Partition, p.ErrorCode, p.BaseOffset})
		}
		if !slices.Equal(got, want[id]) {
			t.Errorf("request %d: %v, want %v", id, got, want[id])
		}
	}
	if end := b.partition("t", 0).Log().LogEnd(); end != 8 {
		t.Errorf("log end %d", end)
	}
}

func TestRefusedProduces(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 1}})
	b.make(topicSpec{name: "__consumer_offsets", leaders: []int32{0}})
	b.make(topicSpec{name: "offline", leaders: []int32{0}})
	for tp := range b.replicas {
		if tp.Topic == "offline" {
			b.offline[tp] = kerr.KafkaStorageError
		}
	}
	c := b.dial()
	records := func() []byte { return batch(t, record.None, "v") }
	txn := kmsg.NewPtrProduceRequest()
	*txn = *produceOne(9, -1, "t", 0, records())
	txn.TransactionID = kmsg.StringPtr("id")
	builder := record.NewBuilder(record.BuilderOptions{})
	builder.SetProducer(7, 0, 0, true)
	builder.Append(nil, []byte("v"), nil, 1)
	inTxn, err := builder.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		q    *kmsg.ProduceRequest
		want *kerr.Error
	}{
		"internal topic":        {produceOne(9, 1, "__consumer_offsets", 0, records()), kerr.InvalidTopicException},
		"transactional id":      {txn, kerr.TransactionalIDAuthorizationFailed},
		"transactional batch":   {produceOne(9, 1, "t", 0, inTxn), kerr.TransactionalIDAuthorizationFailed},
		"another broker's":      {produceOne(9, 1, "t", 1, records()), kerr.NotLeaderForPartition},
		"unknown partition":     {produceOne(9, 1, "t", 2, records()), kerr.UnknownTopicOrPartition},
		"negative partition":    {produceOne(9, 1, "t", -1, records()), kerr.UnknownTopicOrPartition},
		"offline log directory": {produceOne(9, 1, "offline", 0, records()), kerr.KafkaStorageError},
	} {
		if p := only(call[*kmsg.ProduceResponse](c, x.q)); p.ErrorCode != x.want.Code || p.BaseOffset != -1 {
			t.Errorf("%s: error %d, base offset %d", name, p.ErrorCode, p.BaseOffset)
		}
	}
}

// pair is a partition on brokers 0 and 1, both in the ISR, led here.
func pair(b *testBroker) *partition.Partition {
	b.make(topicSpec{name: "pair", leaders: []int32{0}, replicas: []int32{0, 1}})
	return b.partition("pair", 0)
}

// follow acknowledges everything before offset as broker 1.
func follow(c *testConn, id [16]byte, offset int64) *kmsg.FetchResponseTopicPartition {
	q := fetchRequest(13, 0, 1, fetchAsk{offset: offset, epoch: -1})
	q.ReplicaID = 1
	q.Topics[0].TopicID = id
	return &call[*kmsg.FetchResponse](c, q).Topics[0].Partitions[0]
}

// Pipelined produces with acks=all are appended at once and answered, in order, when the follower has them.
func TestPipelinedAcksAllWaitForTheFollower(t *testing.T) {
	b := newTestBroker(t, nil)
	p := pair(b)
	id := p.Log().TopicID()
	producer, follower, consumer := b.dial(), b.dial(), b.dial()
	for range 5 {
		producer.send(produceOne(9, -1, "pair", 0, batch(t, record.None, "a", "b")))
	}
	eventually(t, "all five are in the log", func() bool { return p.Log().LogEnd() == 10 })
	// The follower sees them, consumers do not.
	if r := follow(follower, id, 0); r.HighWatermark != 0 || len(r.RecordBatches) == 0 {
		t.Fatalf("follower: high watermark %d, %d bytes", r.HighWatermark, len(r.RecordBatches))
	}
	if r := fetchOne(consumer, "pair", 0); r.HighWatermark != 0 || len(r.RecordBatches) != 0 {
		t.Fatalf("consumer: high watermark %d, %d bytes", r.HighWatermark, len(r.RecordBatches))
	}
	// Nor does who calls himself a debugging consumer.
	debugging := fetchRequest(11, 0, 1, fetchAsk{epoch: -1})
	debugging.ReplicaID, debugging.Topics[0].Topic = -2, "pair"
	if r := call[*kmsg.FetchResponse](consumer, debugging).Topics[0].Partitions[0]; r.HighWatermark != 0 || len(r.RecordBatches) != 0 {
		t.Fatalf("debugging consumer: high watermark %d, %d bytes", r.HighWatermark, len(r.RecordBatches))
	}
	if r := follow(follower, id, 4); r.HighWatermark != 4 {
		t.Fatalf("high watermark %d after the follower's fetch at 4", r.HighWatermark)
	}
	for i := range int32(2) {
		if r := only(receive[*kmsg.ProduceResponse](producer, i+1, 9)); r.ErrorCode != 0 || r.BaseOffset != 2*int64(i) {
			t.Errorf("answer %d: %+v", i+1, r)
		}
	}
	// Another API on the same connection waits for the rest.
	producer.send(kmsg.NewPtrApiVersionsRequest())
	follow(follower, id, 10)
	for i := int32(2); i < 5; i++ {
		if r := only(receive[*kmsg.ProduceResponse](producer, i+1, 9)); r.ErrorCode != 0 || r.BaseOffset != 2*int64(i) {
			t.Errorf("answer %d: %+v", i+1, r)
		}
	}
	receive[*kmsg.ApiVersionsResponse](producer, 6, 0)
	// A consumer that waits for what is written, but not committed yet, is let go when it is.
	producer.send(produceOne(9, -1, "pair", 0, batch(t, record.None, "c")))
	eventually(t, "it is in the log", func() bool { return p.Log().LogEnd() == 11 })
	q := fetchRequest(11, 60_000, 1, fetchAsk{offset: 10, epoch: -1})
	q.Topics[0].Topic = "pair"
	consumer.send(q)
	eventually(t, "the consumer waits", func() bool { return p.Fetches.Waiting() == 1 })
	follow(follower, id, 11)
	if r := receive[*kmsg.FetchResponse](consumer, consumer.id, 11).Topics[0].Partitions[0]; len(r.RecordBatches) == 0 {
		t.Errorf("consumer: %+v", r)
	}
	if r := fetchOne(consumer, "pair", 0); r.HighWatermark != 11 {
		t.Errorf("high watermark %d", r.HighWatermark)
	}
}

func TestAcksAllEndsWithItsTimeLeadershipOrReplicas(t *testing.T) {
	b := newTestBroker(t, nil)
	p := pair(b)
	c := b.dial()
	q := produceOne(9, -1, "pair", 0, batch(t, record.None, "a"))
	q.TimeoutMillis = 30
	if r := only(call[*kmsg.ProduceResponse](c, q)); r.ErrorCode != kerr.RequestTimedOut.Code {
		t.Errorf("timeout: %+v", r)
	}
	c.send(produceOne(10, -1, "pair", 0, batch(t, record.None, "b")))
	eventually(t, "it waits", func() bool { return p.Produces.Waiting() == 1 })
	if _, err := p.MakeFollower(partition.State{Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1, ISR: []int32{0, 1}, Replicas: []int32{0, 1}}); err != nil {
		t.Fatal(err)
	}
	r := only(receive[*kmsg.ProduceResponse](c, 2, 10))
	if r.ErrorCode != kerr.NotLeaderForPartition.Code || r.CurrentLeader.LeaderID != 1 || r.CurrentLeader.LeaderEpoch != 1 {
		t.Errorf("leadership lost: %+v", r)
	}
	if p.Produces.Waiting() != 0 {
		t.Error("a waiter is left")
	}
	b.partition("pair", 0).SetSettings(func() partition.Settings { s := partition.DefaultSettings(); s.MinISR = 2; return s }())
	if _, err := p.MakeLeader(partition.State{Leader: 0, LeaderEpoch: 2, PartitionEpoch: 2, ISR: []int32{0}, Replicas: []int32{0, 1}}); err != nil {
		t.Fatal(err)
	}
	if r := only(call[*kmsg.ProduceResponse](c, produceOne(9, -1, "pair", 0, batch(t, record.None, "c")))); r.ErrorCode != kerr.NotEnoughReplicas.Code {
		t.Errorf("min ISR: %+v", r)
	}
	if r := only(call[*kmsg.ProduceResponse](c, produceOne(9, 1, "pair", 0, batch(t, record.None, "d")))); r.ErrorCode != 0 || r.BaseOffset != 2 {
		t.Errorf("acks=1: %+v", r)
	}
}

// A producer that goes away before it is answered leaves nothing behind: neither at the partition, nor in its connection's buffer.
func TestProducerThatGoesAway(t *testing.T) {
	b := newTestBroker(t, nil)
	p := pair(b)
	c := b.dial()
	for range 3 {
		c.send(produceOne(9, -1, "pair", 0, batch(t, record.None, "a")))
	}
	eventually(t, "all three wait", func() bool { return p.Produces.Waiting() == 3 })
	c.Close()
	eventually(t, "nobody waits", func() bool { return p.Produces.Waiting() == 0 })
}

func TestPendingAnswerKeepsNoRecords(t *testing.T) {
	b := newTestBroker(t, nil)
	pair(b)
	h := &Produce{cfg: Config{Replicas: b, Metadata: b, Now: b.now}, waiting: new(atomic.Int64)}
	req := &api.Request{Version: 9, Body: produceOne(9, -1, "pair", 0, batch(t, record.None, "a")).AppendTo(nil), Conn: &api.Conn{}}
	a := h.sweep(context.Background(), []*api.Request{req})[0]
	q := a.(*produce)
	if q.waiter == nil {
		t.Fatal("it does not wait")
	}
	if part := &q.parts[0]; part.records != nil || part.set.Records != nil {
		t.Error("a pending answer holds on to the buffer of its connection")
	}
	if _, err := a.Result(); err != nil {
		t.Fatal(err)
	}
}

// flush.messages=1: no acknowledgement and no reader before the disk has it.
func TestDurabilityPrecedesVisibility(t *testing.T) {
	b := newTestBroker(t, nil)
	disk := fs.NewFaulty(fs.OS)
	b.make(topicSpec{name: "t", leaders: []int32{0}, fs: disk, log: func(s *commitlog.Settings) { s.FlushMessages = 1 }})
	p := b.partition("t", 0)
	producer, consumer := b.dial(), b.dial()
	if r := only(call[*kmsg.ProduceResponse](producer, produceOne(9, 1, "t", 0, batch(t, record.None, "a")))); r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	stall := make(chan struct{})
	rule := disk.Inject(fs.Rule{Op: fs.OpDatasync | fs.OpSync, Stall: stall})
	for i, acks := range []int16{1, -1, 1} {
		producer.send(produceOne(9, acks, "t", 0, batch(t, record.None, fmt.Sprint(i))))
	}
	eventually(t, "all are in the log and one sync is on its way", func() bool { return p.Log().LogEnd() == 4 && rule.Hits() > 0 })
	if r := fetchOne(consumer, "t", 0); r.HighWatermark != 1 {
		t.Errorf("a reader sees %d before it is safe", r.HighWatermark)
	}
	if p.Produces.Waiting() == 0 {
		t.Error("acknowledged before it is safe")
	}
	rule.Remove()
	close(stall)
	for i := range int32(3) {
		if r := only(receive[*kmsg.ProduceResponse](producer, i+2, 9)); r.ErrorCode != 0 || r.BaseOffset != int64(i)+1 {
			t.Errorf("answer %d: %+v", i+2, r)
		}
	}
	if r := fetchOne(consumer, "t", 0); r.HighWatermark != 4 {
		t.Errorf("high watermark %d", r.HighWatermark)
	}
	// A sync that fails is the end of the log; who waits is told.
	disk.Inject(fs.Rule{Op: fs.OpDatasync | fs.OpSync, Err: errors.New("bad disk")})
	if r := only(call[*kmsg.ProduceResponse](producer, produceOne(9, 1, "t", 0, batch(t, record.None, "lost")))); r.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("failed sync: %+v", r)
	}
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
