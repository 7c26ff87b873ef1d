package dataplane

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
	"ottla/broker/commitlog"
	"ottla/broker/network"
	"ottla/broker/partition"
	"ottla/broker/topic"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(readersEnv); spec != "" {
		beReaders(spec)
		return
	}
	goleak.VerifyTestMain(m)
}

// testBroker is network + dataplane + real logs, with a metadata handler of its own. It is broker 0.
type testBroker struct {
	t    testing.TB
	dir  string
	net  *network.Server
	logs []*commitlog.Log

	clock atomic.Int64 // ms; 0: the real time
	pid   atomic.Int64

	mu       sync.Mutex
	topics   map[string]*testTopic
	replicas map[topic.Partition]*partition.Partition
	offline  map[topic.Partition]error
}

type testTopic struct {
	id      topic.ID
	leaders []int32
}

// topicSpec describes a topic to make. Partitions led by another broker have no log here.
type topicSpec struct {
	name     string
	id       topic.ID
	leaders  []int32
	replicas []int32 // default: the leader alone
	settings func(*partition.Settings)
	log      func(*commitlog.Settings)
	fs       fs.FS
}

func newTestBroker(t testing.TB, change func(*network.Config)) *testBroker {
	b := &testBroker{t: t, dir: t.TempDir(), topics: map[string]*testTopic{}, replicas: map[topic.Partition]*partition.Partition{}, offline: map[topic.Partition]error{}}
	r := api.NewRegistry()
	Register(r, Config{Replicas: b, Metadata: b, Now: b.now, Random: rand.Read})
	api.Register(r, 0, 4, b.apiVersions(r))
	api.Register(r, 0, 12, b.metadata)
	api.Register(r, 0, 5, b.initProducerID)
	cfg := network.Config{Listeners: []network.Listener{{Name: "PLAINTEXT", Addr: "127.0.0.1:0"}}, Registry: r, Logger: zerolog.Nop()}
	if change != nil {
		change(&cfg)
	}
	b.net = network.New(cfg)
	if err := b.net.Bind(); err != nil {
		t.Fatal(err)
	}
	b.net.Start()
	t.Cleanup(b.close)
	return b
}

func (b *testBroker) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.net.Close(ctx); err != nil {
		b.t.Errorf("close network: %v", err)
	}
	for _, p := range b.replicas {
		p.Close()
	}
	for _, l := range b.logs {
		if err := l.Close(true); err != nil && l.Err() == nil {
			b.t.Errorf("close log: %v", err)
		}
	}
}

func (b *testBroker) now() time.Time {
	if ms := b.clock.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Now()
}

// make adds a topic and leads the partitions that are this broker's.
func (b *testBroker) make(s topicSpec) {
	b.t.Helper()
	if s.id.IsZero() {
		var err error
		if s.id, err = topic.NewID(rand.Read); err != nil {
			b.t.Fatal(err)
		}
	}
	if s.fs == nil {
		s.fs = fs.OS
	}
	for i, leader := range s.leaders {
		if leader != 0 {
			continue
		}
		tp := topic.Partition{Topic: s.name, Partition: int32(i)}
		ls, ps := commitlog.DefaultSettings(), partition.DefaultSettings()
		if s.log != nil {
			s.log(&ls)
		}
		if s.settings != nil {
			s.settings(&ps)
		}
		l, err := commitlog.Open(commitlog.Options{FS: s.fs, Dir: filepath.Join(b.dir, tp.String()), Partition: tp, Settings: ls, Now: b.now, Logger: zerolog.Nop()})
		if err != nil {
			b.t.Fatal(err)
		}
		if err := l.AssignTopicID(s.id); err != nil {
			b.t.Fatal(err)
		}
		p := partition.New(partition.Options{Partition: tp, Log: l, Settings: ps, LagMax: 30 * time.Second, Live: func(int32) bool { return true }, Now: b.now})
		replicas := s.replicas
		if replicas == nil {
			replicas = []int32{0}
		}
		if _, err := p.MakeLeader(partition.State{Leader: 0, ISR: replicas, Replicas: replicas}); err != nil {
			b.t.Fatal(err)
		}
		b.logs = append(b.logs, l)
		b.mu.Lock()
		b.replicas[tp] = p
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[s.name] = &testTopic{s.id, s.leaders}
}

func (b *testBroker) partition(name string, number int32) *partition.Partition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replicas[topic.Partition{Topic: name, Partition: number}]
}

// Lookup implements Replicas.
func (b *testBroker) Lookup(name string, number int32) (*partition.Partition, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tp := topic.Partition{Topic: name, Partition: number}
	return b.replicas[tp], b.offline[tp]
}

// Knows implements Metadata.
func (b *testBroker) Knows(name string, number int32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	return t != nil && number >= 0 && int(number) < len(t.leaders)
}

// TopicName implements Metadata.
func (b *testBroker) TopicName(id topic.ID) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, t := range b.topics {
		if t.id == id {
			return name, true
		}
	}
	return "", false
}

// Leader implements Metadata. The other broker's address is the one of the recording.
func (b *testBroker) Leader(name string, number int32, _ string) (Leader, bool) {
	if !b.Knows(name, number) {
		return Leader{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := Leader{ID: b.topics[name].leaders[number], Host: "127.0.0.1", Port: 14311}
	if l.ID == 0 {
		l.Port = int32(b.port())
	}
	return l, true
}

func (b *testBroker) port() int { return b.net.Addr("PLAINTEXT").(*net.TCPAddr).Port }

func (b *testBroker) apiVersions(r *api.Registry) func(context.Context, *api.Request, *kmsg.ApiVersionsRequest) (kmsg.Response, error) {
	return func(context.Context, *api.Request, *kmsg.ApiVersionsRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrApiVersionsResponse()
		for _, e := range r.Entries() {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MinVersion, k.MaxVersion = e.Key, e.Min, e.Max
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
		return resp, nil
	}
}

func (b *testBroker) metadata(_ context.Context, _ *api.Request, q *kmsg.MetadataRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrMetadataResponse()
	self := kmsg.NewMetadataResponseBroker()
	self.Host, self.Port = "127.0.0.1", int32(b.port())
	resp.Brokers = append(resp.Brokers, self)
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, t := range b.topics {
		if q.Topics != nil {
			asked := false
			for _, a := range q.Topics {
				asked = asked || a.Topic != nil && *a.Topic == name || topic.ID(a.TopicID) == t.id
			}
			if !asked {
				continue
			}
		}
		rt := kmsg.NewMetadataResponseTopic()
		rt.Topic, rt.TopicID = kmsg.StringPtr(name), t.id
		for i, leader := range t.leaders {
			rp := kmsg.NewMetadataResponseTopicPartition()
			rp.Partition, rp.Leader, rp.LeaderEpoch, rp.Replicas, rp.ISR = int32(i), leader, 0, []int32{leader}, []int32{leader}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func (b *testBroker) initProducerID(context.Context, *api.Request, *kmsg.InitProducerIDRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = b.pid.Add(1), 0
	return resp, nil
}

// testConn is a connection that speaks in frames.
type testConn struct {
	t testing.TB
	net.Conn
	id int32
}

func (b *testBroker) dial() *testConn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.net.Addr("PLAINTEXT").String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &testConn{t: b.t, Conn: c}
}

// exchange sends a frame (without its length) and returns the answer's; io.EOF when the connection was closed instead.
func (c *testConn) exchange(frame []byte) ([]byte, error) {
	if err := c.sendFrame(frame); err != nil {
		return nil, io.EOF
	}
	return c.readFrame()
}

func (c *testConn) sendFrame(frame []byte) error {
	_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

func (c *testConn) readFrame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		return nil, io.EOF
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// requestFrame makes a request without its length word.
func requestFrame(req kmsg.Request, id int32) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(req.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = append(binary.BigEndian.AppendUint16(b, 4), "test"...)
	if req.IsFlexible() {
		b = append(b, 0)
	}
	return req.AppendTo(b)
}

func (c *testConn) send(req kmsg.Request) {
	c.t.Helper()
	c.id++
	if err := c.sendFrame(requestFrame(req, c.id)); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads the next answer, which must be to the request with the id.
func receive[R kmsg.Response](c *testConn, id int32, version int16) R {
	c.t.Helper()
	b, err := c.readFrame()
	if err != nil {
		c.t.Fatalf("answer %d: %v", id, err)
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != id {
		c.t.Fatalf("answer to %d instead of %d", got, id)
	}
	return decodeAnswer[R](c.t, b, version)
}

func decodeAnswer[R kmsg.Response](t testing.TB, frame []byte, version int16) R {
	t.Helper()
	var zero R
	resp := kmsg.ResponseForKey(zero.Key()).(R)
	resp.SetVersion(version)
	at := 4
	if resp.IsFlexible() && resp.Key() != 18 {
		at++
	}
	if err := resp.ReadFrom(frame[at:]); err != nil {
		t.Fatalf("decode answer: %v", err)
	}
	return resp
}

func call[R kmsg.Response](c *testConn, req kmsg.Request) R {
	c.t.Helper()
	c.send(req)
	return receive[R](c, c.id, req.GetVersion())
}
