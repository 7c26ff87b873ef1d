package group

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
	"ottla/broker/record"
	"ottla/broker/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryLog is the partitions of __consumer_offsets in memory.
type memoryLog struct {
	mu      sync.Mutex
	logs    map[int32][]byte
	ends    map[int32]int64
	leader  map[int32]int32 // leader epoch
	delay   time.Duration   // of an append
	fail    func(batches []byte) error
	appends int
	scans   chan struct{} // when set, a scan waits for it
}

func newMemoryLog() *memoryLog {
	return &memoryLog{logs: map[int32][]byte{}, ends: map[int32]int64{}, leader: map[int32]int32{}}
}

func (l *memoryLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *memoryLog) Append(ctx context.Context, p, leaderEpoch int32, batches []byte) error {
	l.mu.Lock()
	delay := l.delay
	l.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return fmt.Errorf("append: %w", ctx.Err())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	if epoch, ok := l.leader[p]; !ok || epoch != leaderEpoch {
		return kerr.NotLeaderForPartition
	}
	if l.fail != nil {
		if err := l.fail(batches); err != nil {
			return err
		}
	}
	for rest := batches; len(rest) > 0; {
		e, err := record.NextEntry(rest)
		if err != nil {
			return err
		}
		if err := record.CheckEntryCRC(rest); err != nil {
			return err
		}
		record.SetBaseOffset(rest, l.ends[p])
		record.SetLeaderEpoch(rest, leaderEpoch)
		l.ends[p] += int64(e.Header.LastOffsetDelta) + 1
		rest = rest[e.Size:]
	}
	l.logs[p] = append(l.logs[p], batches...)
	return nil
}

func (l *memoryLog) Scan(ctx context.Context, p, leaderEpoch int32, maxBytes int, each func([]byte) error) error {
	l.mu.Lock()
	log, gate, epoch := append([]byte(nil), l.logs[p]...), l.scans, l.leader[p]
	l.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if epoch != leaderEpoch {
		return kerr.NotLeaderForPartition
	}
	for len(log) > 0 {
		size := 0
		for size < len(log) {
			e, err := record.NextEntry(log[size:])
			if err != nil {
				return err
			}
			if size > 0 && size+e.Size > maxBytes {
				break
			}
			size += e.Size
		}
		if err := each(log[:size]); err != nil {
			return err
		}
		log = log[size:]
	}
	return nil
}

// cluster is the topics of a cluster whose partitions broker 0 leads.
type cluster struct {
	mu      sync.Mutex
	topics  map[string]int32
	changed chan struct{}
	refuse  error  // of Ensure
	made    func() // after __consumer_offsets has been made
	ensured int
	offsets map[string]int64
}

func newCluster(topics map[string]int32) *cluster {
	return &cluster{topics: topics, changed: make(chan struct{}), offsets: map[string]int64{}}
}

func (c *cluster) PartitionCount(name string) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.topics[name]
}

func (c *cluster) HasPartition(name string, p int32) bool {
	return p >= 0 && p < c.PartitionCount(name)
}

func (c *cluster) Leader(name string, p int32, listener string) (Broker, bool) {
	return Broker{ID: 0, Host: "127.0.0.1", Port: 14310}, c.HasPartition(name, p) && listener == "PLAINTEXT"
}

func (c *cluster) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *cluster) Ensure(_ context.Context, name string, partitions int32, replicas int16, configs map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ensured++
	if c.refuse != nil {
		return c.refuse
	}
	if replicas != 1 || configs["cleanup.policy"] != "compact" || configs["compression.type"] != "producer" || configs["segment.bytes"] != "104857600" {
		return fmt.Errorf("topic with %d replicas and %v", replicas, configs)
	}
	go func() { // the controller
		c.made()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.topics[name] = partitions
		close(c.changed)
		c.changed = make(chan struct{})
	}()
	return nil
}

func (c *cluster) Set(_ context.Context, group, name string, p int32, offset int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offsets[fmt.Sprint(group, "/", name, "/", p)] = offset
	return nil
}

func (c *cluster) Get(_ context.Context, group, name string, p int32) (int64, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offset, ok := c.offsets[fmt.Sprint(group, "/", name, "/", p)]
	return offset, ok, nil
}

// broker is a coordinator with its surroundings.
type broker struct {
	*Coordinator
	t        *testing.T
	log      *memoryLog
	cluster  *cluster
	registry *api.Registry
}

func testConfig() Config {
	return Config{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, InitialRebalanceDelay: 3 * time.Second,
		MaxSize: 1 << 30, OffsetMetadataMaxBytes: 4096, OffsetsRetention: 7 * 24 * time.Hour, RetentionCheckPeriod: 10 * time.Minute,
		CommitTimeout: 5 * time.Second, LoadBufferBytes: 300, OffsetsTopicPartitions: 50, OffsetsTopicSegmentBytes: 104857600,
		OffsetsTopicReplicas: 1, Now: time.Now, Random: rand.Read, Logger: zerolog.Nop(),
	}
}

// start starts a coordinator on a log. Its topics are t and u, with 4 partitions each.
func start(t *testing.T, log *memoryLog, change func(*Config)) *broker {
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	b := &broker{t: t, log: log, cluster: newCluster(map[string]int32{"t": 4, "u": 4, topic.ConsumerOffsets: 2}), registry: api.NewRegistry()}
	b.Coordinator = New(cfg, log, b.cluster, b.cluster, b.cluster)
	b.Register(b.registry)
	return b
}

// lead makes the coordinator leader of both partitions.
func (b *broker) lead(epoch int32) {
	for p := range int32(2) {
		b.log.set(func() { b.log.leader[p] = epoch })
		b.Elected(p, epoch)
	}
}

// call serves a request as the network would: from bytes to bytes.
func call[R kmsg.Response](b *broker, ctx context.Context, version int16, req kmsg.Request) (R, error) {
	var none R
	req.SetVersion(version)
	entry, ok := b.registry.Lookup(req.Key())
	if !ok || version < entry.Min || version > entry.Max {
		b.t.Errorf("%s version %d is not served", kmsg.NameForKey(req.Key()), version)
	}
	answer, err := entry.Handle(ctx, &api.Request{
		Key: req.Key(), Version: version, ClientID: "client", Body: req.AppendTo(nil),
		Conn: &api.Conn{Listener: "PLAINTEXT", ClientHost: "10.0.0.1"},
	})
	if err != nil {
		return none, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(answer.AppendTo(nil)); err != nil {
		b.t.Errorf("%s version %d: answer does not decode: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp.(R), nil
}

// must is call that may not fail.
func must[R kmsg.Response](b *broker, version int16, req kmsg.Request) R {
	b.t.Helper()
	r, err := call[R](b, context.Background(), version, req)
	if err != nil {
		b.t.Errorf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return r
}

func joinRequest(group, member string) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = group, member, "consumer", 10_000, 30_000
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{"t"}
	r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: m.AppendTo(nil)}}
	return r
}

func syncRequest(group, member string, generation int32, assignments map[string]string) *kmsg.SyncGroupRequest {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = group, member, generation
	for id, a := range assignments {
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: []byte(a)})
	}
	return r
}

func heartbeatRequest(group, member string, generation int32) *kmsg.HeartbeatRequest {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.Generation = group, member, generation
	return r
}

// commitRequest commits one offset for partition 0 of t.
func commitRequest(group, member string, generation int32, offset int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Group, r.MemberID, r.Generation = group, member, generation
	r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: offset, Timestamp: -1, LeaderEpoch: 3}}}}
	return r
}

// fetched reads the group's offset for partition 0 of t.
func (b *broker) fetched(group string) (int64, int16) {
	b.t.Helper()
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Group = group
	r.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	resp := must[*kmsg.OffsetFetchResponse](b, 7, r)
	if resp.ErrorCode != 0 {
		return -1, resp.ErrorCode
	}
	p := resp.Topics[0].Partitions[0]
	return p.Offset, p.ErrorCode
}

// join brings a member into a group on its own and through its sync.
func (b *broker) join(group string) (member string, generation int32) {
	b.t.Helper()
	j := must[*kmsg.JoinGroupResponse](b, 3, joinRequest(group, ""))
	if j.ErrorCode != 0 {
		b.t.Fatalf("join: %v", kerr.ErrorForCode(j.ErrorCode))
	}
	s := must[*kmsg.SyncGroupResponse](b, 3, syncRequest(group, j.MemberID, j.Generation, map[string]string{j.MemberID: "all"}))
	if s.ErrorCode != 0 || string(s.MemberAssignment) != "all" {
		b.t.Fatalf("sync: %v, %q", kerr.ErrorForCode(s.ErrorCode), s.MemberAssignment)
	}
	return j.MemberID, j.Generation
}
