package metadata

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/topic"
)

var ordersID = topic.ID{1, 2, 3}

// update is a version 8 request with brokers 0 and 1 (1 has no EXTERNAL listener) and the given partitions of one topic.
func update(name string, id topic.ID, ps ...kmsg.UpdateMetadataRequestTopicPartition) *kmsg.UpdateMetadataRequest {
	req := kmsg.NewPtrUpdateMetadataRequest()
	req.Version, req.ControllerID = 8, 1
	for i, names := range [][]string{{"PLAINTEXT", "EXTERNAL"}, {"PLAINTEXT"}} {
		b := kmsg.NewUpdateMetadataRequestLiveBroker()
		b.ID = int32(1 - i) // unsorted on the wire
		for _, n := range names {
			e := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
			e.ListenerName, e.Host, e.Port = n, "h", 9092+int32(i)
			b.Endpoints = append(b.Endpoints, e)
		}
		req.LiveBrokers = append(req.LiveBrokers, b)
	}
	if name != "" {
		req.TopicStates = []kmsg.UpdateMetadataRequestTopicState{{Topic: name, TopicID: id, PartitionStates: ps}}
	}
	return req
}

func state(partition, leader int32, replicas ...int32) kmsg.UpdateMetadataRequestTopicPartition {
	p := kmsg.NewUpdateMetadataRequestTopicPartition()
	p.Partition, p.Leader, p.Replicas, p.ISR = partition, leader, replicas, replicas
	return p
}

func TestApplyMergesPartitionsAndReplacesBrokers(t *testing.T) {
	s := NewStore()
	if got := s.Load().Controller(); got != -1 {
		t.Errorf("controller of an empty image = %d", got)
	}
	s.Apply(update("orders", ordersID, state(2, 0, 0), state(0, 1, 1)))
	before := s.Load()
	s.Apply(update("orders", ordersID, state(1, 0, 0), state(2, 1, 0, 1)))

	if p, _ := before.Partition(topic.Partition{Topic: "orders", Partition: 2}); p.Leader != 0 {
		t.Error("an image changed after it was published")
	}
	orders, ok := s.Load().TopicByID(ordersID)
	if !ok {
		t.Fatal("topic not found by its id")
	}
	var leaders []int32
	for _, p := range orders.Partitions {
		leaders = append(leaders, p.ID, p.Leader)
	}
	if want := []int32{0, 1, 1, 0, 2, 1}; !slices.Equal(leaders, want) {
		t.Errorf("partitions and leaders %v, want %v", leaders, want)
	}
	if got := s.Load().Controller(); got != 1 {
		t.Errorf("controller = %d, want 1", got)
	}

	gone := update("", topic.ID{})
	gone.LiveBrokers = gone.LiveBrokers[1:]
	s.Apply(gone)
	if got := s.Load().Controller(); got != -1 {
		t.Errorf("a controller that is not alive is reported as %d", got)
	}
	if s.Load().TopicCount() != 1 {
		t.Error("a request without partitions dropped topics")
	}
}

func TestApplyDeletes(t *testing.T) {
	s := NewStore()
	s.Apply(update("orders", ordersID, state(0, 0, 0), state(1, 0, 0)))
	deleted := s.Apply(update("orders", ordersID, state(1, LeaderDeleted), state(0, LeaderDeleted)))
	want := []topic.Partition{{Topic: "orders", Partition: 0}, {Topic: "orders", Partition: 1}}
	if diff := cmp.Diff(want, deleted); diff != "" {
		t.Error(diff)
	}
	if _, ok := s.Load().Topic("orders"); ok {
		t.Error("the topic is still there")
	}
	if _, ok := s.Load().TopicByID(ordersID); ok {
		t.Error("the topic's id is still there")
	}
}

func TestApplyForgetsTheIDOfATopicMadeAnew(t *testing.T) {
	s := NewStore()
	s.Apply(update("orders", ordersID, state(0, 0, 0)))
	other := topic.ID{9}
	s.Apply(update("orders", other, state(0, 0, 0)))
	if _, ok := s.Load().TopicByID(ordersID); ok {
		t.Error("the old id still names the topic")
	}
	if _, ok := s.Load().TopicByID(other); !ok {
		t.Error("the new id does not name the topic")
	}
}

func TestOldUpdateVersions(t *testing.T) {
	req := kmsg.NewPtrUpdateMetadataRequest()
	req.Version = 2
	b := kmsg.NewUpdateMetadataRequestLiveBroker()
	e := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
	e.Host, e.Port, e.SecurityProtocol = "h", 1, 3
	b.Endpoints = append(b.Endpoints, e)
	req.LiveBrokers = append(req.LiveBrokers, b)
	p0, p1, other := state(0, 0, 0), state(1, 0, 0), state(0, 0, 0)
	p0.Topic, p1.Topic, other.Topic = "a", "a", "b"
	req.PartitionStates = append(req.PartitionStates, p0, other, p1)
	s := NewStore()
	s.Apply(req)
	if a, ok := s.Load().Topic("a"); !ok || len(a.Partitions) != 2 {
		t.Errorf("topic a = %+v", a)
	}
	if b, ok := s.Load().Broker(0); !ok || b.Endpoints[0].Listener != "SASL_SSL" {
		t.Errorf("broker 0 = %+v", b)
	}
}

func TestWaitSeesAChangeThatComesLater(t *testing.T) {
	s := NewStore()
	go s.Apply(update("orders", ordersID, state(0, 0, 0)))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := s.Wait(ctx, func(im *Image) bool { _, ok := im.Topic("orders"); return ok }); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := s.Wait(ctx, func(*Image) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v after its context was cancelled", err)
	}
}

func TestFence(t *testing.T) {
	f := &Fence{BrokerEpoch: func() int64 { return 100 }}
	for _, c := range []struct {
		controller int32
		broker     int64
		want       error
	}{{5, 100, nil}, {5, -1, nil}, {5, 101, nil}, {6, 99, kerr.StaleBrokerEpoch}, {4, 100, kerr.StaleControllerEpoch}, {6, 100, nil}, {5, 100, kerr.StaleControllerEpoch}} {
		if err := f.Check(c.controller, c.broker); err != c.want {
			t.Errorf("Check(%d, %d) = %v, want %v", c.controller, c.broker, err, c.want)
		}
	}
}

// ask sends a Metadata request through the registry, as the network would.
// Two controllers speak at once: what the first has said is done before the second is heard, or it could come last.
func TestUpdatesComeOneAtATime(t *testing.T) {
	s := NewStore()
	reg := api.NewRegistry()
	deleting, release := make(chan struct{}), make(chan struct{})
	(&Updater{Store: s, Fence: &Fence{BrokerEpoch: func() int64 { return 1 }}, Deleted: func([]topic.Partition) {
		close(deleting)
		<-release
	}}).Register(reg)
	e, _ := reg.Lookup(6)
	send := func(epoch int32, p kmsg.UpdateMetadataRequestTopicPartition) {
		req := update("orders", ordersID, p)
		req.ControllerEpoch, req.BrokerEpoch = epoch, 1
		if _, err := e.Handle(context.Background(), &api.Request{Key: 6, Version: 8, Body: req.AppendTo(nil)}); err != nil {
			t.Error(err)
		}
	}
	send(1, state(0, 0, 0))
	var both sync.WaitGroup
	both.Go(func() { send(1, state(0, LeaderDeleted)) })
	<-deleting
	heard := make(chan struct{})
	both.Go(func() { defer close(heard); send(2, state(0, 1, 1)) })
	select {
	case <-heard:
		t.Error("the second was heard in the middle of the first")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	both.Wait()
	if p, ok := s.Load().Partition(topic.Partition{Topic: "orders"}); !ok || p.Leader != 1 {
		t.Errorf("%+v", p)
	}
}

func ask(t *testing.T, q *Query, version int16, listener string, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	t.Helper()
	reg := api.NewRegistry()
	q.Register(reg)
	e, _ := reg.Lookup(3)
	req.Version = version
	r := &api.Request{Key: 3, Version: version, Body: req.AppendTo(nil), Conn: &api.Conn{Listener: listener}}
	resp, err := e.Handle(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	out := kmsg.NewPtrMetadataResponse()
	out.Version = version
	if err := out.ReadFrom(resp.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	return out
}

func named(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestMetadataAnswers(t *testing.T) {
	s := NewStore()
	s.Apply(update("orders", ordersID, state(0, 0, 0, 7), state(1, 1, 1), state(2, 7, 7), state(3, NoLeader, 0)))
	var made []string
	q := &Query{Store: s, ClusterID: "c", AutoCreate: func(_ context.Context, name string) error {
		made = append(made, name)
		return nil
	}}
	codes := func(rt kmsg.MetadataResponseTopic) (codes []int16) {
		for _, p := range rt.Partitions {
			codes = append(codes, p.ErrorCode)
		}
		return codes
	}

	for _, c := range []struct {
		version  int16
		listener string
		want     []int16
	}{
		{0, "PLAINTEXT", []int16{9, 0, 5, 5}}, // only v0 says REPLICA_NOT_AVAILABLE
		{1, "PLAINTEXT", []int16{0, 0, 5, 5}},
		{12, "PLAINTEXT", []int16{0, 0, 5, 5}},
		{5, "EXTERNAL", []int16{5, 0, 5, 5}},
		{6, "EXTERNAL", []int16{72, 0, 5, 5}}, // LISTENER_NOT_FOUND
	} {
		resp := ask(t, q, c.version, c.listener, named("orders", "orders"))
		if len(resp.Topics) != 1 || !slices.Equal(codes(resp.Topics[0]), c.want) {
			t.Errorf("v%d on %s: %d topics, codes %v, want %v", c.version, c.listener, len(resp.Topics), codes(resp.Topics[0]), c.want)
		}
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != 0 && p.ErrorCode != 9 && p.Leader != NoLeader {
				t.Errorf("v%d: partition %d without a reachable leader names %d", c.version, p.Partition, p.Leader)
			}
		}
	}

	if resp := ask(t, q, 12, "PLAINTEXT", named()); len(resp.Topics) != 0 || len(resp.Brokers) != 2 || resp.ControllerID != 1 || *resp.ClusterID != "c" {
		t.Errorf("no topics asked for: %+v", resp)
	}
	for _, req := range []*kmsg.MetadataRequest{kmsg.NewPtrMetadataRequest(), named()} {
		version := int16(0)
		if req.Topics == nil {
			version = 12
		}
		if resp := ask(t, q, version, "PLAINTEXT", req); len(resp.Topics) != 1 {
			t.Errorf("v%d, all topics: %d", version, len(resp.Topics))
		}
	}
	byID := kmsg.NewPtrMetadataRequest()
	byID.Topics = []kmsg.MetadataRequestTopic{{TopicID: ordersID}, {TopicID: topic.ID{5}}}
	if resp := ask(t, q, 12, "PLAINTEXT", byID); resp.Topics[0].ErrorCode != 0 || *resp.Topics[0].Topic != "orders" || resp.Topics[1].ErrorCode != 100 {
		t.Errorf("by id: %+v", resp.Topics)
	}
	if resp := ask(t, q, 10, "PLAINTEXT", byID); resp.Topics[0].ErrorCode != 42 || len(resp.Brokers) != 0 {
		t.Errorf("by id in v10: %+v", resp)
	}

	if resp := ask(t, q, 8, "PLAINTEXT", named("new")); resp.Topics[0].ErrorCode != 3 || len(made) != 0 {
		t.Errorf("unknown without leave to create: %+v, made %v", resp.Topics, made)
	}
	if resp := ask(t, q, 3, "PLAINTEXT", named("new", "no/good")); resp.Topics[0].ErrorCode != 5 || resp.Topics[1].ErrorCode != 17 || !slices.Equal(made, []string{"new"}) {
		t.Errorf("unknown, auto-created: %+v, made %v", resp.Topics, made)
	}
	ops := named("orders")
	ops.IncludeClusterAuthorizedOperations, ops.IncludeTopicAuthorizedOperations = true, true
	if resp := ask(t, q, 8, "PLAINTEXT", ops); resp.AuthorizedOperations != 8096 || resp.Topics[0].AuthorizedOperations != 3576 {
		t.Errorf("operations %d and %d, want those recorded from Apache Kafka: 8096 and 3576", resp.AuthorizedOperations, resp.Topics[0].AuthorizedOperations)
	}
}

// A broker that has just started must not say that there are no brokers and no topics.
func TestMetadataWaitsForTheFirstImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore()
		q := &Query{Store: s, ClusterID: "c"}
		go func() {
			time.Sleep(time.Second)
			s.Apply(update("orders", ordersID, state(0, 0, 0)))
		}()
		if resp := ask(t, q, 12, "PLAINTEXT", named("orders")); len(resp.Brokers) != 2 || resp.Topics[0].ErrorCode != 0 {
			t.Errorf("answered before the image: %+v", resp)
		}
		begin := time.Now()
		if resp := ask(t, &Query{Store: NewStore(), ClusterID: "c"}, 12, "PLAINTEXT", named()); len(resp.Brokers) != 0 || time.Since(begin) != firstImagePatience {
			t.Errorf("without a controller: %+v after %v", resp, time.Since(begin))
		}
	})
}
