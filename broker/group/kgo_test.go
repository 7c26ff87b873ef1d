package group

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/metadata"
	"ottla/broker/network"
	"ottla/broker/topic"
)

// served is a coordinator behind a real listener, with a topic "t" of 12 partitions in which there is never anything to read.
func served(t *testing.T) (address string) {
	t.Helper()
	registry := api.NewRegistry()
	server := network.New(network.Config{
		Listeners: []network.Listener{{Name: "PLAINTEXT", Addr: "127.0.0.1:0"}}, Registry: registry, Logger: zerolog.Nop(),
	})
	if err := server.Bind(); err != nil {
		t.Fatal(err)
	}
	address = server.Addr("PLAINTEXT").String()
	host, portText, _ := net.SplitHostPort(address)
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}

	store := metadata.NewStore()
	update := kmsg.NewPtrUpdateMetadataRequest()
	update.Version = 8
	endpoint := kmsg.UpdateMetadataRequestLiveBrokerEndpoint{ListenerName: "PLAINTEXT", Host: host, Port: int32(port)}
	update.LiveBrokers = []kmsg.UpdateMetadataRequestLiveBroker{{Endpoints: []kmsg.UpdateMetadataRequestLiveBrokerEndpoint{endpoint}}}
	for name, n := range map[string]int32{"t": 12, topic.ConsumerOffsets: 2} {
		s := kmsg.UpdateMetadataRequestTopicState{Topic: name, TopicID: topic.ID{byte(n)}}
		for p := range n {
			s.PartitionStates = append(s.PartitionStates, kmsg.UpdateMetadataRequestTopicPartition{Partition: p, ISR: []int32{0}, Replicas: []int32{0}})
		}
		update.TopicStates = append(update.TopicStates, s)
	}
	store.Apply(update)

	b := start(t, newMemoryLog(), func(c *Config) { c.InitialRebalanceDelay = 100 * time.Millisecond })
	b.Coordinator.metadata = located{b.cluster, Broker{Host: host, Port: int32(port)}}
	b.cluster.topics["t"] = 12
	b.Register(registry)
	b.lead(0)
	api.RegisterVersions(registry, func() int64 { return -1 })
	(&metadata.Query{Store: store, ClusterID: "c"}).Register(registry)
	registerEmptyTopics(registry)
	server.Start()
	t.Cleanup(func() {
		b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return address
}

// located is a cluster whose broker 0 has a real address.
type located struct {
	*cluster
	broker Broker
}

func (l located) Leader(name string, p int32, _ string) (Broker, bool) {
	return l.broker, l.HasPartition(name, p)
}

// registerEmptyTopics answers consumers that there is nothing to read.
func registerEmptyTopics(r *api.Registry) {
	api.Register(r, 0, 9, func(_ context.Context, _ *api.Request, q *kmsg.ListOffsetsRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrListOffsetsResponse()
		for _, t := range q.Topics {
			rt := kmsg.ListOffsetsResponseTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.ListOffsetsResponseTopicPartition{Partition: p.Partition, LeaderEpoch: -1})
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil
	})
	api.Register(r, 4, 12, func(ctx context.Context, _ *api.Request, q *kmsg.FetchRequest) (kmsg.Response, error) {
		select {
		case <-time.After(time.Duration(q.MaxWaitMillis) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		resp := kmsg.NewPtrFetchResponse()
		for _, t := range q.Topics {
			rt := kmsg.FetchResponseTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.FetchResponseTopicPartition{Partition: p.Partition, PreferredReadReplica: -1})
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil
	})
}

// crowd is some consumers of one group, and what each of them owns.
type crowd struct {
	t       *testing.T
	address string
	mu      sync.Mutex
	owned   map[string]map[int32]bool
	clients map[string]*kgo.Client
}

func (c *crowd) join(name string, options ...kgo.Opt) {
	c.t.Helper()
	change := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, ps map[string][]int32) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, p := range ps["t"] {
				if to {
					c.owned[name][p] = true
				} else {
					delete(c.owned[name], p)
				}
			}
		}
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.address), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ClientID(name), kgo.HeartbeatInterval(50 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond), kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, options...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.owned[name] = map[int32]bool{}
	c.clients[name] = cl
	c.mu.Unlock()
}

func (c *crowd) leave(name string) {
	c.clients[name].Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.owned, name)
	delete(c.clients, name)
}

// settle waits until the partitions are spread over all consumers, each with one owner.
func (c *crowd) settle() {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		c.mu.Lock()
		owners := map[int32]int{}
		spread := true
		for _, ps := range c.owned {
			spread = spread && len(ps) == 12/len(c.owned)
			for p := range ps {
				owners[p]++
			}
		}
		text := fmt.Sprint(c.owned)
		c.mu.Unlock()
		twice := slices.ContainsFunc(slices.Collect(maps.Values(owners)), func(n int) bool { return n > 1 })
		if spread && len(owners) == 12 && !twice {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the group does not settle: %s", text)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// TestFranzGo runs real consumers against the coordinator over the network: eager and cooperative, joining, leaving, and a static
// one that restarts.
func TestFranzGo(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	} {
		t.Run(name, func(t *testing.T) {
			c := &crowd{t: t, address: served(t), owned: map[string]map[int32]bool{}, clients: map[string]*kgo.Client{}}
			defer func() {
				for _, cl := range c.clients {
					cl.Close()
				}
			}()
			b := kgo.Balancers(balancer)
			c.join("a", b)
			c.settle()
			c.join("b", b)
			c.settle()
			c.join("c", b)
			c.join("d", b)
			c.settle()
			c.leave("a")
			c.settle()
			c.leave("b")
			c.settle()

			c.join("static", b, kgo.InstanceID("i1"))
			c.settle()
			adm := kadm.NewClient(c.clients["c"])
			before := describe(t, adm)
			c.leave("static") // a static member that closes stays a member
			c.mu.Lock()
			c.owned["static"] = map[int32]bool{}
			c.mu.Unlock()
			c.join("static", b, kgo.InstanceID("i1"))
			c.settle()
			if after := describe(t, adm); len(after.Members) != 3 || len(before.Members) != 3 {
				t.Errorf("%d members, %d before the restart", len(after.Members), len(before.Members))
			}

			offsets := kadm.Offsets{}
			for p := range int32(12) {
				offsets.Add(kadm.Offset{Topic: "t", Partition: p, At: int64(100 + p), LeaderEpoch: 0, Metadata: "m"})
			}
			if err := adm.CommitAllOffsets(t.Context(), "other", offsets); err != nil {
				t.Error(err)
			}
			read, err := adm.FetchOffsets(t.Context(), "other")
			if err != nil || len(read["t"]) != 12 || read["t"][7].At != 107 || read["t"][7].Metadata != "m" {
				t.Errorf("%v, %v", read, err)
			}
			groups, err := adm.ListGroups(t.Context())
			if err != nil || len(groups) != 2 || groups["g"].State != "Stable" || groups["other"].State != "Empty" {
				t.Errorf("%v, %v", groups, err)
			}
		})
	}
}

func describe(t *testing.T, adm *kadm.Client) kadm.DescribedGroup {
	t.Helper()
	groups, err := adm.DescribeGroups(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	return groups["g"]
}
