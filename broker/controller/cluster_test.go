package controller_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"ottla/broker/api"
	"ottla/broker/controller"
	"ottla/broker/controller/planner"
	"ottla/broker/metadata"
	"ottla/broker/peer"
	"ottla/broker/peer/peertest"
	"ottla/broker/topic"
	"ottla/broker/znode"
	"ottla/broker/znode/znodetest"
	"ottla/internal/fs"
)

func TestMain(m *testing.M) {
	code := znodetest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

const deadline = 30 * time.Second

// await polls until done, or fails the test.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// node is a broker of which everything is real but the logs: registration, controller, metadata, handlers, sockets.
type node struct {
	t         *testing.T
	id        int32
	client    *znode.Client
	registrar atomic.Pointer[znode.Registrar]
	ctl       *controller.Controller
	topics    *controller.Topics
	store     *metadata.Store
	inner     *peertest.Server // for controllers
	outer     *peertest.Server // for clients
	dir       string

	mu      sync.Mutex
	roles   map[topic.Partition]kmsg.LeaderAndISRRequestTopicPartition
	ids     map[topic.Partition]topic.ID
	deleted []topic.Partition
	errs    map[topic.Partition]int16 // to answer LeaderAndIsr and StopReplica with
	order   []int16                   // keys of the controller's requests
}

type nodeConfig struct {
	id       int32
	address  string // of ZooKeeper
	dir      string
	deletion bool
	rack     string
	config   func(*controller.Config)
}

// start brings a node up on the test's chroot.
func start(t *testing.T, nc nodeConfig) *node {
	t.Helper()
	if nc.dir == "" {
		nc.dir = t.TempDir()
	}
	n := &node{
		t: t, id: nc.id, store: metadata.NewStore(), dir: nc.dir,
		roles: map[topic.Partition]kmsg.LeaderAndISRRequestTopicPartition{}, ids: map[topic.Partition]topic.ID{}, errs: map[topic.Partition]int16{},
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel).With().Int32("node", nc.id).Logger()
	var err error
	n.client, err = znode.Open(ctx, znode.Config{
		Servers: []string{nc.address}, Chroot: znodetest.Chroot(t), SessionTimeout: 2 * time.Second, ConnectTimeout: deadline, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.inner = peertest.Serve(t, n.serveController())
	s, err := n.client.Session(ctx)
	if err == nil {
		err = s.MakePersistentPaths(ctx)
	}
	if err == nil {
		_, err = s.ClusterID(ctx, rand.Read)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := znode.Register(ctx, n.client, znode.Registration{
		Broker: znode.Broker{ID: nc.id, JMXPort: -1, Rack: nc.rack, Endpoints: []znode.Endpoint{{Listener: "PLAINTEXT", Host: n.inner.Host, Port: n.inner.Port}}},
		Marks:  znode.MarkFiles{FS: fs.OS, Dirs: []string{nc.dir}}, Now: time.Now, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.registrar.Store(r)
	cfg := controller.Config{
		BrokerID: nc.id, Listener: "PLAINTEXT", DeleteTopics: true, Peer: peer.Config{ClientID: strconv.Itoa(int(nc.id)), Logger: log},
		Now: time.Now, Random: rand.Read, Logger: log, AutoRebalance: true, RebalanceInterval: time.Minute, RebalancePercentage: 10,
	}
	if nc.config != nil {
		nc.config(&cfg)
	}
	if n.ctl, err = controller.Start(ctx, n.client, cfg); err != nil {
		t.Fatal(err)
	}
	n.topics = controller.NewTopics(n.client, cache{n.store}, configs{}, controller.TopicsConfig{Partitions: 2, Replicas: 1, Random: rand.Read, Logger: log})
	h := &controller.Handlers{Controller: n.ctl, Topics: n.topics, Metadata: cache{n.store}, Configs: configs{}, DeleteTopics: cfg.DeleteTopics, Logger: log}
	reg := api.NewRegistry()
	api.RegisterVersions(reg, func() int64 { return 0 })
	h.Register(reg)
	n.outer = peertest.Serve(t, reg)
	t.Cleanup(n.stop)
	return n
}

// stop ends the node as a clean stop does: its session is closed.
func (n *node) stop() {
	n.outer.Close()
	n.ctl.Close()
	n.client.Close()
	n.inner.Close()
}

func (n *node) epoch() int64 {
	if r := n.registrar.Load(); r != nil {
		return r.Epoch()
	}
	return -1
}

// serveController is what a broker does with a controller's requests, but for the logs.
func (n *node) serveController() *api.Registry {
	reg := api.NewRegistry()
	fence := &metadata.Fence{BrokerEpoch: n.epoch}
	(&metadata.Updater{Store: n.store, Fence: fence, Deleted: func([]topic.Partition) {}}).Register(reg)
	api.Register(reg, 7, 7, func(_ context.Context, _ *api.Request, q *kmsg.LeaderAndISRRequest) (kmsg.Response, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.order = append(n.order, q.Key())
		resp := kmsg.NewPtrLeaderAndISRResponse()
		if err := fence.Check(q.ControllerEpoch, q.BrokerEpoch); err != nil {
			resp.ErrorCode = api.Code(err)
			return resp, nil
		}
		for _, ts := range q.TopicStates {
			rt := kmsg.NewLeaderAndISRResponseTopic()
			rt.TopicID = ts.TopicID
			for _, p := range ts.PartitionStates {
				tp := topic.Partition{Topic: ts.Topic, Partition: p.Partition}
				rp := kmsg.NewLeaderAndISRResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, n.errs[tp]
				old, known := n.roles[tp]
				switch {
				case rp.ErrorCode != 0:
				case known && p.LeaderEpoch <= old.LeaderEpoch:
					rp.ErrorCode = kerr.StaleControllerEpoch.Code
				default:
					n.roles[tp], n.ids[tp] = p, ts.TopicID
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil
	})
	api.RegisterStopReplica(reg, 4, 4, func(_ context.Context, _ *api.Request, q *api.StopReplicaRequest) (kmsg.Response, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.order = append(n.order, q.Key())
		resp := kmsg.NewPtrStopReplicaResponse()
		if err := fence.Check(q.ControllerEpoch, q.BrokerEpoch); err != nil {
			resp.ErrorCode = api.Code(err)
			return resp, nil
		}
		for _, qt := range q.Topics {
			for _, p := range qt.PartitionStates {
				tp := topic.Partition{Topic: qt.Topic, Partition: p.Partition}
				rp := kmsg.NewStopReplicaResponsePartition()
				rp.Topic, rp.Partition, rp.ErrorCode = qt.Topic, p.Partition, n.errs[tp]
				if p.Delete && rp.ErrorCode == 0 {
					delete(n.roles, tp)
					n.deleted = append(n.deleted, tp)
				}
				resp.Partitions = append(resp.Partitions, rp)
			}
		}
		return resp, nil
	})
	return reg
}

// leads says whether the node was told that it leads the partition.
func (n *node) leads(name string, id int32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.roles[topic.Partition{Topic: name, Partition: id}]
	return ok && p.Leader == n.id
}

func (n *node) setError(name string, id int32, code int16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs[topic.Partition{Topic: name, Partition: id}] = code
}

func (n *node) wasDeleted(name string, id int32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.deleted, topic.Partition{Topic: name, Partition: id})
}

// leader is the leader in the node's metadata, -1 for none.
func (n *node) leader(name string, id int32) int32 {
	p, ok := n.store.Load().Partition(topic.Partition{Topic: name, Partition: id})
	if !ok {
		return -1
	}
	return p.Leader
}

func (n *node) session() *znode.Session {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	s, err := n.client.Session(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// ask sends a request of a version to the node's client port.
func ask[R kmsg.Response](n *node, version int16, q kmsg.Request) R {
	n.t.Helper()
	q.SetVersion(version)
	c, err := net.Dial("tcp", net.JoinHostPort(n.outer.Host, strconv.Itoa(int(n.outer.Port))))
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(deadline))
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, q, 1)); err != nil {
		n.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		n.t.Fatalf("%s v%d: %v", kmsg.NameForKey(q.Key()), version, err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		n.t.Fatal(err)
	}
	b = b[4:]
	if q.IsFlexible() {
		b = b[1:]
	}
	resp := q.ResponseKind()
	if err := resp.ReadFrom(b); err != nil {
		n.t.Fatal(err)
	}
	return resp.(R)
}

// create asks for a topic and returns its answer.
func create(n *node, version int16, change func(*kmsg.CreateTopicsRequest, *kmsg.CreateTopicsRequestTopic)) kmsg.CreateTopicsResponseTopic {
	n.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = int32(deadline.Milliseconds())
	qt := kmsg.NewCreateTopicsRequestTopic()
	qt.NumPartitions, qt.ReplicationFactor = 1, 1
	change(q, &qt)
	q.Topics = append(q.Topics, qt)
	resp := ask[*kmsg.CreateTopicsResponse](n, version, q)
	if len(resp.Topics) != len(q.Topics) { // also a topic that is named twice is answered as often
		n.t.Fatalf("%+v", resp)
	}
	return resp.Topics[len(q.Topics)-1]
}

func mustCreate(n *node, name string, partitions int32) topic.ID {
	n.t.Helper()
	a := create(n, 7, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) {
		t.Topic, t.NumPartitions = name, partitions
	})
	if a.ErrorCode != 0 || a.NumPartitions != partitions || a.ReplicationFactor != 1 {
		n.t.Fatalf("create %s: %+v %s", name, a, deref(a.ErrorMessage))
	}
	return a.TopicID
}

func deref(s *string) string {
	if s == nil {
		return "<null>"
	}
	return *s
}

// controllerOf waits until one of the nodes is controller.
func controllerOf(t *testing.T, nodes ...*node) *node {
	t.Helper()
	var found *node
	await(t, "election", func() bool {
		for _, n := range nodes {
			if n.ctl.IsActive() {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// know waits until the nodes know of each other.
func know(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		await(t, fmt.Sprintf("broker %d knows %d brokers", n.id, len(nodes)), func() bool { return len(n.store.Load().Brokers()) == len(nodes) })
	}
}

// cache is the metadata store as the handlers see it.
type cache struct{ store *metadata.Store }

func (c cache) Places() []planner.Place {
	var ps []planner.Place
	for _, b := range c.store.Load().Brokers() {
		p := planner.Place{ID: b.ID}
		if b.Rack != nil {
			p.Rack = *b.Rack
		}
		ps = append(ps, p)
	}
	return ps
}

func (c cache) HasTopic(name string) bool { _, ok := c.store.Load().Topic(name); return ok }

func (c cache) Partitions(name string) int {
	t, ok := c.store.Load().Topic(name)
	if !ok {
		return 0
	}
	return len(t.Partitions)
}

func (c cache) IsLed(name string, partitions int) bool {
	t, ok := c.store.Load().Topic(name)
	if !ok || len(t.Partitions) < partitions {
		return false
	}
	return !slices.ContainsFunc(t.Partitions[:partitions], func(p metadata.Partition) bool { return p.Leader < 0 })
}

func (c cache) All() (all []topic.Partition) {
	for t := range c.store.Load().Topics() {
		for _, p := range t.Partitions {
			all = append(all, topic.Partition{Topic: t.Name, Partition: p.ID})
		}
	}
	return all
}

func (c cache) LeaderOf(tp topic.Partition) int32 {
	if p, ok := c.store.Load().Partition(tp); ok {
		return p.Leader
	}
	return -1
}

func (c cache) TopicName(id topic.ID) (string, bool) {
	t, ok := c.store.Load().TopicByID(id)
	if !ok {
		return "", false
	}
	return t.Name, true
}

func (c cache) Wait(ctx context.Context, done func() bool) error {
	_, err := c.store.Wait(ctx, func(*metadata.Image) bool { return done() })
	return err
}

// configs knows one key.
type configs struct{}

func (configs) Validate(_ string, overrides map[string]string) error {
	for name, value := range overrides {
		if name != "retention.ms" {
			return planner.Refuse(kerr.InvalidConfig, "Unknown topic config name: %s", name)
		}
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return planner.Refuse(kerr.InvalidConfig, "Invalid value %s for configuration retention.ms: Not a number of type LONG", value)
		}
	}
	return nil
}

func (configs) Describe(overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	c := kmsg.NewCreateTopicsResponseTopicConfig()
	c.Name = "retention.ms"
	if v, ok := overrides[c.Name]; ok {
		c.Value = &v
	}
	return []kmsg.CreateTopicsResponseTopicConfig{c}
}
