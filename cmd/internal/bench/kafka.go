package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/record"
	"ottla/cmd/internal/client"
)

// Versions of the requests: the newest without flexible fields, whose answers have everything at fixed places. Brokers from 2.3
// to 4.x serve them.
const (
	produceVersion = 7
	fetchVersion   = 11
)

// scratch is a topic for a run: one made for it, and deleted after it, or the user's own.
type scratch struct {
	adm     *kadm.Client
	topic   string
	leaders []string // address of each partition's leader
	own     bool
}

// kafkaFlags say which topic to use.
type kafkaFlags struct {
	client.Kafka
	topic      string
	partitions int
	replicas   int
	configs    []string
}

// prepare makes or finds the topic.
func prepare(ctx context.Context, k *kafkaFlags, connections int) (*scratch, error) {
	cl, err := k.Open(ctx, kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	s := &scratch{adm: kadm.NewClient(cl), topic: k.topic, own: k.topic == ""}
	s.adm.SetTimeoutMillis(int32(k.Timeout.Milliseconds()))
	ctx, cancel := k.Context(ctx)
	defer cancel()
	if s.own {
		s.topic = fmt.Sprintf("ottla-bench-%08x", rand.Uint32())
		n := k.partitions
		if n <= 0 {
			n = connections
		}
		configs := map[string]*string{}
		for _, c := range k.configs {
			key, value, ok := strings.Cut(c, "=")
			if !ok {
				cl.Close()
				return nil, fmt.Errorf("--config %s: want key=value", c)
			}
			configs[key] = &value
		}
		if _, err := s.adm.CreateTopic(ctx, int32(n), int16(k.replicas), configs, s.topic); err != nil {
			cl.Close()
			return nil, fmt.Errorf("create topic %s: %w", s.topic, err)
		}
	}
	if err := s.find(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// find waits until all partitions have leaders.
func (s *scratch) find(ctx context.Context) error {
	for {
		leaders, err := s.lookup(ctx)
		if err == nil {
			s.leaders = leaders
			return nil
		}
		if !s.own {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s has no leaders: %w", s.topic, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *scratch) lookup(ctx context.Context) ([]string, error) {
	m, err := s.adm.Metadata(ctx, s.topic)
	if err != nil {
		return nil, err
	}
	t := m.Topics[s.topic]
	if t.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", s.topic, t.Err)
	}
	at := map[int32]string{}
	for _, b := range m.Brokers {
		at[b.NodeID] = net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
	}
	var leaders []string
	for _, p := range t.Partitions.Sorted() {
		if at[p.Leader] == "" {
			return nil, fmt.Errorf("partition %d of topic %s has no leader", p.Partition, s.topic)
		}
		leaders = append(leaders, at[p.Leader])
	}
	if len(leaders) == 0 {
		return nil, fmt.Errorf("topic %s has no partitions yet", s.topic)
	}
	return leaders, nil
}

// close deletes a topic of our own.
func (s *scratch) close() {
	if s.own {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = s.adm.DeleteTopics(ctx, s.topic) // the user can see and delete it, should this fail
	}
	s.adm.Close()
}

// dial connects to the leader of a partition.
func (s *scratch) dial(ctx context.Context, partition int) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	return d.DialContext(ctx, "tcp", s.leaders[partition])
}

var layout = kmsg.NewRequestFormatter(kmsg.FormatterClientID("ottla-bench"))

// batchOf lays out a batch of records with values of size bytes, until it has the bytes; at least one record.
func batchOf(bytes, size int, codec record.Codec) (batch []byte, records int, err error) {
	b := record.NewBuilder(record.BuilderOptions{Codec: codec})
	now := time.Now().UnixMilli()
	rng := rand.New(rand.NewPCG(1, 2)) // the same data in each run
	plain := record.HeaderSize
	for records = 0; records == 0 || plain+size+10 <= bytes; records++ {
		value := make([]byte, size)
		for i := range value {
			value[i] = "etaoin shrdlu, bcfgjkmp"[rng.IntN(23)] // compresses as text does
		}
		b.Append(nil, value, nil, now)
		plain += size + 10
	}
	batch, err = b.Bytes()
	return batch, records, err
}

// produceRequest lays out a request for one partition, with its length.
func produceRequest(topic string, partition int, acks int16, batch []byte) []byte {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = int32(partition), batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis, q.Topics = produceVersion, acks, 30_000, []kmsg.ProduceRequestTopic{t}
	return layout.AppendRequest(nil, q, 0)
}

var errShort = errors.New("the answer is too short")

// produced reads the answer to a produceRequest.
func produced(frame []byte, topic string) (base int64, err error) {
	at := 4 + 4 + 2 + len(topic) + 4 + 4 // correlation, topics, name, partitions, partition
	if len(frame) < at+2+8 {
		return 0, errShort
	}
	if err := kerr.ErrorForCode(int16(binary.BigEndian.Uint16(frame[at:]))); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(frame[at+2:])), nil
}

// producing is the exchange of a connection that produces to one partition.
type producing struct {
	topic   string
	request []byte
	records int
	bytes   int
}

func (x *producing) next(b []byte, _ time.Time) []byte { return append(b, x.request...) }

func (x *producing) answer(frame []byte) (records, bytes int, err error) {
	_, err = produced(frame, x.topic)
	return x.records, x.bytes, err
}

// fetching is the exchange of a connection that reads one partition from its start to its end, over and over.
type fetching struct {
	topic   string
	request []byte
	start   int64
	offset  int64
	end     int64
	at      int // of the offset in the request
	tail    bool
	seen    func(base int64, records int) // of each batch; may be nil
}

// fetchWait is how long a fetch at the end of the log may wait.
const fetchWait = 500 * time.Millisecond

func newFetching(topic string, partition int, start, end int64, maxBytes int32) *fetching {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = int32(partition), marker, maxBytes, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.FetchRequestTopicPartition{p}
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.Topics = fetchVersion, int32(fetchWait.Milliseconds()), 1, maxBytes, []kmsg.FetchRequestTopic{t}
	q.SessionEpoch = -1
	x := &fetching{topic: topic, start: start, offset: start, end: end, request: layout.AppendRequest(nil, q, 0)}
	var m [8]byte
	binary.BigEndian.PutUint64(m[:], uint64(marker))
	x.at = strings.Index(string(x.request), string(m[:]))
	return x
}

// marker is an offset that is found again in the request.
const marker int64 = 0x6f74746c6121_0a07

func (x *fetching) next(b []byte, _ time.Time) []byte {
	if x.offset >= x.end && !x.tail {
		x.offset = x.start
	}
	at := len(b) + x.at
	b = append(b, x.request...)
	binary.BigEndian.PutUint64(b[at:], uint64(x.offset))
	return b
}

// answer steps over the batches by their headers; records are not looked at.
func (x *fetching) answer(frame []byte) (records, bytes int, err error) {
	at := 4 + 4 // correlation, throttle
	if len(frame) < at+2 {
		return 0, 0, errShort
	}
	if err := kerr.ErrorForCode(int16(binary.BigEndian.Uint16(frame[at:]))); err != nil {
		return 0, 0, err
	}
	at += 2 + 4 + 4 + 2 + len(x.topic) + 4 + 4 // error, session, topics, name, partitions, partition
	if len(frame) < at+2+24+4 {
		return 0, 0, errShort
	}
	if err := kerr.ErrorForCode(int16(binary.BigEndian.Uint16(frame[at:]))); err != nil {
		return 0, 0, err
	}
	at += 2 + 24 // error, high watermark, last stable offset, log start
	aborted := int(int32(binary.BigEndian.Uint32(frame[at:])))
	at += 4 + max(aborted, 0)*16 + 4 // and the preferred replica
	if at < 0 || len(frame) < at+4 {
		return 0, 0, errShort
	}
	size := int(int32(binary.BigEndian.Uint32(frame[at:])))
	data := frame[at+4:]
	if size > len(data) {
		return 0, 0, errShort
	}
	for data = data[:max(size, 0)]; len(data) >= record.HeaderSize; {
		h, err := record.ParseHeader(data)
		if err != nil {
			return 0, 0, err
		}
		if int(h.Size()) > len(data) { // cut off by the broker, as it may
			break
		}
		if h.LastOffset() >= x.offset {
			if x.seen != nil {
				x.seen(h.BaseOffset, int(h.Count))
			}
			x.offset = h.LastOffset() + 1
			records += int(h.Count)
			bytes += int(h.Size())
		}
		data = data[h.Size():]
	}
	if records == 0 && !x.tail {
		return 0, 0, fmt.Errorf("nothing at offset %d of %d: the broker deleted it, or a batch is larger than --fetch", x.offset, x.end)
	}
	return records, bytes, nil
}
