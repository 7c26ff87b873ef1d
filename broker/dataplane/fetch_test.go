package dataplane

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/commitlog"
	"ottla/broker/network"
	"ottla/broker/partition"
	"ottla/broker/record"
)

type fetchAsk struct {
	number int32
	offset int64
	max    int32 // 0: 1 MiB
	epoch  int32 // current leader epoch
}

// fetchRequest asks for partitions of one topic, which the caller names.
func fetchRequest(version int16, wait, min int32, asks ...fetchAsk) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.ReplicaID, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = version, -1, wait, min, 50<<20, -1
	t := kmsg.NewFetchRequestTopic()
	for _, a := range asks {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = a.number, a.offset, a.max, a.epoch
		if a.max == 0 {
			p.PartitionMaxBytes = 1 << 20
		}
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// fetchOne reads partition 0 without waiting.
func fetchOne(c *testConn, name string, offset int64) *kmsg.FetchResponseTopicPartition {
	q := fetchRequest(11, 0, 1, fetchAsk{offset: offset, epoch: -1})
	q.Topics[0].Topic = name
	return &call[*kmsg.FetchResponse](c, q).Topics[0].Partitions[0]
}

func mustProduce(t testing.TB, c *testConn, name string, number int32, values ...string) {
	t.Helper()
	if r := only(call[*kmsg.ProduceResponse](c, produceOne(9, 1, name, number, batch(t, record.None, values...)))); r.ErrorCode != 0 {
		t.Fatalf("produce: %+v", r)
	}
}

// values lists the records of an answer.
func values(t testing.TB, records []byte) (vs []string) {
	t.Helper()
	for r, err := range record.All(records) {
		if err != nil {
			t.Fatal(err)
		}
		vs = append(vs, string(r.Value))
	}
	return vs
}

func TestLongPoll(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 0}})
	consumer, producer := b.dial(), b.dial()
	send := func(wait, min int32, offsets ...int64) {
		q := fetchRequest(11, wait, min, fetchAsk{number: 0, offset: offsets[0], epoch: -1}, fetchAsk{number: 1, offset: offsets[1], epoch: -1})
		q.Topics[0].Topic = "t"
		consumer.send(q)
	}
	waits := func() bool {
		return b.partition("t", 0).Fetches.Waiting() == 1 && b.partition("t", 1).Fetches.Waiting() == 1
	}
	answer := func() []kmsg.FetchResponseTopicPartition {
		return receive[*kmsg.FetchResponse](consumer, consumer.id, 11).Topics[0].Partitions
	}
	// Nothing comes: empty, and both partitions named, when the time is over.
	began := time.Now()
	send(60, 1, 0, 0)
	if ps := answer(); len(ps) != 2 || len(ps[0].RecordBatches)+len(ps[1].RecordBatches) != 0 || time.Since(began) < 60*time.Millisecond {
		t.Fatalf("%v after %v", ps, time.Since(began))
	}
	// A record in either wakes it.
	send(60_000, 1, 0, 0)
	eventually(t, "it waits", waits)
	mustProduce(t, producer, "t", 1, "x")
	if ps := answer(); len(ps[0].RecordBatches) != 0 || len(values(t, ps[1].RecordBatches)) != 1 {
		t.Fatalf("%v", ps)
	}
	// A minimum that takes several produces, over both partitions.
	send(60_000, 200, 0, 1)
	eventually(t, "it waits", waits)
	mustProduce(t, producer, "t", 0, "a")
	mustProduce(t, producer, "t", 1, "b")
	if !waits() {
		t.Fatal("answered too early")
	}
	mustProduce(t, producer, "t", 0, "c")
	if ps := answer(); len(values(t, ps[0].RecordBatches)) != 2 || len(values(t, ps[1].RecordBatches)) != 1 {
		t.Fatalf("%v", ps)
	}
	// A change of leader ends the wait, also of who had found something, though not enough.
	send(60_000, 10_000, 0, 0)
	eventually(t, "it waits", waits)
	if _, err := b.partition("t", 1).MakeFollower(partition.State{Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1, ISR: []int32{1}, Replicas: []int32{0, 1}}); err != nil {
		t.Fatal(err)
	}
	if ps := answer(); ps[0].ErrorCode != 0 || len(ps[0].RecordBatches) == 0 || ps[1].ErrorCode != kerr.NotLeaderForPartition.Code || len(ps[1].RecordBatches) != 0 {
		t.Fatalf("%v", ps)
	}
	// The end of the server does, too.
	q := fetchRequest(11, 60_000, 1, fetchAsk{offset: 2, epoch: -1})
	q.Topics[0].Topic = "t"
	consumer.send(q)
	eventually(t, "it waits", func() bool { return b.partition("t", 0).Fetches.Waiting() == 1 })
}

func TestFetchLimits(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0, 0, 0}})
	c := b.dial()
	size := len(batch(t, record.None, "0123456789"))
	for n := range int32(3) {
		for range 4 {
			mustProduce(t, c, "t", n, "0123456789")
		}
	}
	lens := func(version int16, max int32, asks ...fetchAsk) (ls []int) {
		q := fetchRequest(version, 0, 1, asks...)
		q.Topics[0].Topic, q.MaxBytes = "t", max
		for _, p := range call[*kmsg.FetchResponse](c, q).Topics[0].Partitions {
			if p.ErrorCode != 0 || p.HighWatermark != 4 {
				t.Errorf("%+v", p)
			}
			ls = append(ls, len(p.RecordBatches))
		}
		return ls
	}
	s32 := int32(size)
	at := func(n int32, max int32) fetchAsk { return fetchAsk{number: n, max: max, epoch: -1} }
	for _, x := range []struct {
		name    string
		version int16
		max     int32
		asks    []fetchAsk
		want    []int
	}{
		{"everything", 11, 1 << 20, []fetchAsk{at(0, 1<<20), at(1, 1<<20)}, []int{4 * size, 4 * size}},
		{"partition limits, half a batch at the end", 11, 1 << 20, []fetchAsk{at(0, 2*s32+5), at(1, s32)}, []int{2*size + 5, size}},
		{"first batch larger than all limits", 11, 1, []fetchAsk{at(2, 1), at(0, 1)}, []int{size, 0}},
		{"answer limit", 11, 5*s32 + 3, []fetchAsk{at(0, 1<<20), at(1, 1<<20), at(2, 1<<20)}, []int{4 * size, size + 3, 0}},
		{"a later partition gives no half batch alone", 11, 4*s32 + 3, []fetchAsk{at(0, 1<<20), at(1, 1<<20)}, []int{4 * size, 0}},
		{"no limit at all", 4, 1<<31 - 1, []fetchAsk{at(0, 1<<31-1)}, []int{4 * size}},
		{"negative limits", 11, -5, []fetchAsk{at(0, -7)}, []int{size}},
	} {
		if got := lens(x.version, x.max, x.asks...); fmt.Sprint(got) != fmt.Sprint(x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
}

func TestLeaderEpochFences(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0}})
	c := b.dial()
	mustProduce(t, c, "t", 0, "a", "b")
	if _, err := b.partition("t", 0).MakeLeader(partition.State{LeaderEpoch: 3, PartitionEpoch: 3, ISR: []int32{0}, Replicas: []int32{0}}); err != nil {
		t.Fatal(err)
	}
	mustProduce(t, c, "t", 0, "c")
	id := b.partition("t", 0).Log().TopicID()
	get := func(current, last int32, offset int64) kmsg.FetchResponseTopicPartition {
		q := fetchRequest(17, 0, 1, fetchAsk{offset: offset, epoch: current})
		q.Topics[0].TopicID, q.Topics[0].Partitions[0].LastFetchedEpoch = id, last
		return call[*kmsg.FetchResponse](c, q).Topics[0].Partitions[0]
	}
	if p := get(2, -1, 0); p.ErrorCode != kerr.FencedLeaderEpoch.Code || p.CurrentLeader.LeaderID != 0 || p.CurrentLeader.LeaderEpoch != 3 {
		t.Errorf("old epoch: %+v", p)
	}
	if p := get(4, -1, 0); p.ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("new epoch: %+v", p)
	}
	if p := get(3, 0, 2); p.ErrorCode != 0 || len(values(t, p.RecordBatches)) != 1 || p.DivergingEpoch.Epoch != -1 {
		t.Errorf("matching: %+v", p)
	}
	// A reader with offset 3 of epoch 0: ours ended at 2.
	if p := get(3, 0, 3); p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.DivergingEpoch.Epoch != 0 || p.DivergingEpoch.EndOffset != 2 {
		t.Errorf("diverging: %+v", p)
	}
}

// Readers of committed data stop at the first open transaction and are told which ones were aborted.
func TestIsolationLevels(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0}})
	p := b.partition("t", 0)
	add := func(records []byte) {
		t.Helper()
		h, err := record.ParseHeader(records)
		if err != nil {
			t.Fatal(err)
		}
		set := &commitlog.AppendSet{Records: records, Batches: []record.Header{h}, LogAppendTime: -1}
		if _, err := p.Append([]*commitlog.AppendSet{set}, []int16{-1}); err != nil || set.Err != nil {
			t.Fatal(err, set.Err)
		}
	}
	data := func(pid int64, seq int32, v string) {
		bu := record.NewBuilder(record.BuilderOptions{})
		bu.SetProducer(pid, 0, seq, true)
		bu.Append(nil, []byte(v), nil, 1)
		out, err := bu.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		add(out)
	}
	data(1, 0, "aborted")                                                       // 0
	data(2, 0, "committed")                                                     // 1
	add(record.NewControlBatch(record.Marker{Type: record.Abort}, 1, 0, 0, 1))  // 2
	data(1, 1, "open")                                                          // 3
	add(record.NewControlBatch(record.Marker{Type: record.Commit}, 2, 0, 0, 1)) // 4
	c := b.dial()
	get := func(version int16, isolation int8, offset int64) kmsg.FetchResponseTopicPartition {
		q := fetchRequest(version, 0, 1, fetchAsk{offset: offset, epoch: -1})
		q.IsolationLevel, q.Topics[0].Topic = isolation, "t"
		return call[*kmsg.FetchResponse](c, q).Topics[0].Partitions[0]
	}
	if r := get(11, 0, 0); r.HighWatermark != 5 || r.LastStableOffset != 3 || len(values(t, r.RecordBatches)) != 5 || r.AbortedTransactions != nil {
		t.Errorf("read_uncommitted: %+v", r)
	}
	r := get(11, 1, 0)
	if r.HighWatermark != 5 || r.LastStableOffset != 3 || len(values(t, r.RecordBatches)) != 3 || len(r.AbortedTransactions) != 1 || r.AbortedTransactions[0].ProducerID != 1 || r.AbortedTransactions[0].FirstOffset != 0 {
		t.Errorf("read_committed: %+v", r)
	}
	if r := get(11, 1, 3); len(r.RecordBatches) != 0 || r.AbortedTransactions == nil || len(r.AbortedTransactions) != 0 {
		t.Errorf("read_committed at the last stable offset: %+v", r)
	}
	// Old clients get no control batches, and get past them when there is nothing else.
	if r := get(3, 0, 2); len(r.RecordBatches) == 0 || values(t, r.RecordBatches)[0] != "open" {
		t.Errorf("version 3 at a control batch: %+v", r)
	}
	if r := get(2, 0, 4); r.ErrorCode != 0 || len(r.RecordBatches) != 0 {
		t.Errorf("version 2 at a last control batch: %+v", r)
	}
	// ListOffsets goes by the isolation level.
	for isolation, want := range map[int8]int64{0: 5, 1: 3} {
		q := kmsg.NewPtrListOffsetsRequest()
		q.Version, q.ReplicaID, q.IsolationLevel = 5, -1, isolation
		lt := kmsg.NewListOffsetsRequestTopic()
		lt.Topic = "t"
		lp := kmsg.NewListOffsetsRequestTopicPartition()
		lp.Timestamp = -1
		lt.Partitions = append(lt.Partitions, lp)
		q.Topics = append(q.Topics, lt)
		if got := call[*kmsg.ListOffsetsResponse](c, q).Topics[0].Partitions[0]; got.Offset != want {
			t.Errorf("latest at isolation %d: %+v", isolation, got)
		}
	}
}

func TestOldClientsGetConvertedRecords(t *testing.T) {
	b := newTestBroker(t, nil)
	b.make(topicSpec{name: "t", leaders: []int32{0}})
	b.make(topicSpec{name: "never", leaders: []int32{0}, settings: func(s *partition.Settings) { s.NoDownConversion = true }})
	b.make(topicSpec{name: "zstd", leaders: []int32{0}})
	c := b.dial()
	get := func(version int16, name string, offset int64) kmsg.FetchResponseTopicPartition {
		q := fetchRequest(version, 0, 1, fetchAsk{offset: offset, epoch: -1, max: 8 << 20})
		q.Topics[0].Topic = name
		return call[*kmsg.FetchResponse](c, q).Topics[0].Partitions[0]
	}
	// More than is converted at once: it comes piece by piece, nothing missing, nothing twice.
	long := string(make([]byte, 100_000))
	for i := range 20 {
		mustProduce(t, c, "t", 0, fmt.Sprint(i), long)
	}
	for version := int16(0); version <= 3; version++ {
		next := int64(0)
		for next < 40 {
			r := get(version, "t", next)
			if r.ErrorCode != 0 || len(r.RecordBatches) == 0 || len(r.RecordBatches) > convertPartitionMax {
				t.Fatalf("version %d at %d: error %d, %d bytes", version, next, r.ErrorCode, len(r.RecordBatches))
			}
			for rec, err := range record.All(r.RecordBatches) {
				if err != nil || rec.Offset != next {
					t.Fatalf("version %d: offset %d instead of %d, %v", version, rec.Offset, next, err)
				}
				next++
			}
			if magic := r.RecordBatches[16]; int16(magic) != version/2 {
				t.Fatalf("version %d: magic %d", version, magic)
			}
		}
	}
	mustProduce(t, c, "never", 0, "x")
	if r := get(3, "never", 0); r.ErrorCode != kerr.UnsupportedVersion.Code {
		t.Errorf("conversion switched off: %+v", r)
	}
	if r := only(call[*kmsg.ProduceResponse](c, produceOne(9, 1, "zstd", 0, batch(t, record.Zstd, "x")))); r.ErrorCode != 0 {
		t.Fatal(r.ErrorCode)
	}
	if r := get(3, "zstd", 0); r.ErrorCode != kerr.UnsupportedCompressionType.Code {
		t.Errorf("zstd for version 3: %+v", r)
	}
	s := b.partition("zstd", 0).Settings()
	s.Compression = record.Compression{Forced: true, Codec: record.Zstd}
	b.partition("zstd", 0).SetSettings(s)
	if r := get(9, "zstd", 0); r.ErrorCode != kerr.UnsupportedCompressionType.Code {
		t.Errorf("zstd for version 9: %+v", r)
	}
	if r := get(10, "zstd", 0); r.ErrorCode != 0 || len(r.RecordBatches) == 0 {
		t.Errorf("zstd for version 10: %+v", r)
	}
}

// One client that never reads its socket, and five hundred that wait, do not keep others from producing and reading.
func TestStuckAndWaitingReadersHoldNobodyUp(t *testing.T) {
	b := newTestBroker(t, func(c *network.Config) { c.RequestTimeout = time.Minute })
	b.make(topicSpec{name: "t", leaders: []int32{0}})
	producer := b.dial()
	big := string(make([]byte, 900_000))
	for range 40 {
		mustProduce(t, producer, "t", 0, big)
	}
	stuck := b.dial()
	q := fetchRequest(11, 0, 1, fetchAsk{max: 50 << 20, epoch: -1})
	q.Topics[0].Topic = "t"
	stuck.send(q)
	var wg sync.WaitGroup
	const readers = 500
	for range readers {
		c := b.dial()
		q := fetchRequest(11, 60_000, 1, fetchAsk{offset: 40, epoch: -1})
		q.Topics[0].Topic = "t"
		c.send(q)
		wg.Go(func() {
			got := receive[*kmsg.FetchResponse](c, 1, 11).Topics[0].Partitions[0]
			if len(got.RecordBatches) == 0 || int64(binary.BigEndian.Uint64(got.RecordBatches)) != 40 {
				t.Errorf("reader got %d bytes", len(got.RecordBatches))
			}
		})
	}
	p := b.partition("t", 0)
	eventually(t, "all wait", func() bool { return p.Fetches.Waiting() == readers })
	mustProduce(t, producer, "t", 0, "wake up")
	wg.Wait()
	eventually(t, "nobody is left", func() bool { return p.Fetches.Waiting() == 0 })
	mustProduce(t, producer, "t", 0, "and on")
	stuck.Close()
}
