package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/controller"
	"ottla/broker/topic"
	"ottla/broker/znode"
	"ottla/broker/znode/znodetest"
)

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// testLifeOfATopic makes one on three brokers, lets a broker die and come back, grows it and deletes it.
func testLifeOfATopic(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	c := start(t, nodeConfig{id: 2, address: address})
	know(t, a, b, c)
	id := mustCreate(a, "t", 6)
	nodes := []*node{a, b, c}
	for p := range int32(6) {
		leader := a.leader("t", p)
		if leader < 0 {
			t.Fatalf("t-%d has no leader when the answer comes", p)
		}
		await(t, fmt.Sprintf("LeaderAndIsr of t-%d", p), func() bool { return nodes[leader].leads("t", p) })
		tp := topic.Partition{Topic: "t", Partition: p}
		n := nodes[leader]
		n.mu.Lock()
		if role := n.roles[tp]; !role.IsNew || role.LeaderEpoch != 0 || !slices.Equal(role.ISR, []int32{leader}) || n.ids[tp] != id {
			t.Errorf("t-%d: %+v", p, role)
		}
		n.mu.Unlock()
	}
	counts := map[int32]int{}
	for p := range int32(6) {
		counts[a.leader("t", p)]++
	}
	if counts[0] != 2 || counts[1] != 2 || counts[2] != 2 {
		t.Errorf("leaders: %v", counts)
	}

	c.stop()
	await(t, "partitions of the dead broker without leader", func() bool {
		without := 0
		for p := range int32(6) {
			if b.leader("t", p) == -1 {
				without++
			}
		}
		return without == 2
	})
	c = start(t, nodeConfig{id: 2, address: address, dir: c.dir})
	nodes[2] = c
	led := func(n *node, count int32) func() bool {
		return func() bool {
			for p := range count {
				if n.leader("t", p) < 0 {
					return false
				}
			}
			return true
		}
	}
	await(t, "the broker's partitions are back", led(b, 6))
	await(t, "the broker that came knows all", led(c, 6))

	q := kmsg.NewPtrCreatePartitionsRequest()
	q.TimeoutMillis = 20_000
	q.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 9}}
	if r := ask[*kmsg.CreatePartitionsResponse](a, 3, q); r.Topics[0].ErrorCode != 0 {
		t.Fatal(r.Topics[0])
	}
	await(t, "new partitions have leaders", led(b, 9))

	d := kmsg.NewPtrDeleteTopicsRequest()
	d.TimeoutMillis = 20_000
	d.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: id}}
	r := ask[*kmsg.DeleteTopicsResponse](a, 6, d)
	if r.Topics[0].ErrorCode != 0 || deref(r.Topics[0].Topic) != "t" {
		t.Fatal(r.Topics[0])
	}
	s, ctx := a.session(), ctxOf(t)
	await(t, "znodes are removed", func() bool {
		for _, path := range []string{znode.DeleteTopicPath("t"), znode.TopicPath("t"), znode.EntityPath("topics", "t")} {
			if _, exists, err := s.Exists(ctx, path); exists || err != nil {
				return false
			}
		}
		return true
	})
	for p := range int32(9) {
		if !slices.ContainsFunc(nodes, func(n *node) bool { return n.wasDeleted("t", p) }) {
			t.Errorf("no broker deleted t-%d", p)
		}
	}
	await(t, "brokers forget the topic", func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return cache{n.store}.HasTopic("t") })
	})
	if again := mustCreate(a, "t", 1); again == id {
		t.Error("the same id again")
	}
}

// testExpiryOfTheController cuts the controller off until its session is gone, and lets it come back.
func testExpiryOfTheController(t *testing.T, address string) {
	proxy := znodetest.NewProxy(t, address)
	a := start(t, nodeConfig{id: 0, address: proxy.Address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	mustCreate(a, "t", 4)
	old, epoch := a.session(), a.epoch()
	proxy.Cut()
	lost := make(chan error, 1)
	go func() { // what is said under the old session, while cut off, must not be said later
		_, err := old.Write(context.Background(), znode.Fence{}, znode.Create("/late", nil))
		lost <- err
	}()
	await(t, "another controller", b.ctl.IsActive)
	s, ctx := b.session(), ctxOf(t)
	id, _, _, _, err := s.Controller(ctx)
	if id != 1 || err != nil {
		t.Fatal(id, err)
	}
	proxy.Heal()
	await(t, "the old controller resigns", func() bool { return !a.ctl.IsActive() })
	await(t, "registration in a new session", func() bool { return a.epoch() > epoch })
	know(t, a, b)
	if err := <-lost; err == nil {
		t.Error("a write of the old session succeeded")
	}
	if _, exists, err := s.Exists(ctx, "/late"); exists || err != nil {
		t.Errorf("a write of the old session was carried out: %v", err)
	}
	await(t, "all partitions have leaders again", func() bool {
		for p := range int32(4) {
			if a.leader("t", p) < 0 || b.leader("t", p) < 0 {
				return false
			}
		}
		return true
	})
	mustCreate(b, "u", 4)
	await(t, "the broker that was away leads partitions of a new topic", func() bool { return a.leads("u", 0) || a.leads("u", 1) })

	// And the other way round: every watch works again in the new session.
	b.stop()
	await(t, "it is elected again", a.ctl.IsActive)
	mustCreate(a, "v", 1)
}

// testOperatorDeletesController forces an election. Partitions that have leaders do not notice.
func testOperatorDeletesController(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	know(t, a)
	mustCreate(a, "t", 2)
	s, ctx := a.session(), ctxOf(t)
	for round := range 3 {
		if _, err := s.Write(ctx, znode.Fence{}, znode.Delete(znode.ControllerPath, -1)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(round + 2)
		await(t, "election "+want, func() bool {
			data, _, err := s.Get(ctx, znode.ControllerEpochPath)
			return err == nil && string(data) == want && a.ctl.IsActive()
		})
	}
	states, _, err := s.PartitionStates(ctx, []topic.Partition{{Topic: "t", Partition: 0}, {Topic: "t", Partition: 1}})
	for tp, st := range states {
		if st.LeaderEpoch != 0 || st.Version != 0 || st.ControllerEpoch != 1 {
			t.Errorf("%s was written: %+v", tp, st)
		}
	}
	if len(states) != 2 || err != nil {
		t.Error(states, err)
	}
	mustCreate(a, "u", 1)
}

// testToolsThatWriteZnodes does what kafka-topics --zookeeper, kafka-reassign-partitions and others do.
func testToolsThatWriteZnodes(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	know(t, a)
	s, ctx := a.session(), ctxOf(t)
	write := func(op znode.Op) {
		t.Helper()
		if _, err := s.Write(ctx, znode.Fence{}, op); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(path string) {
		t.Helper()
		await(t, path+" is removed", func() bool { _, exists, err := s.Exists(ctx, path); return !exists && err == nil })
	}
	// kafka-topics of 0.10 and of 2.7: versions 1 and 2, without id; one with two replicas, of which one is no broker
	write(znode.Create("/config/topics/v1", []byte(`{"version":1,"config":{}}`)))
	write(znode.Create("/brokers/topics/v1", []byte(`{"version":1,"partitions":{"0":[0]}}`)))
	write(znode.Create("/brokers/topics/v2", []byte(`{"version":2,"partitions":{"0":[7,0],"1":[0,7]},"adding_replicas":{},"removing_replicas":{}}`)))
	for _, tp := range []topic.Partition{{Topic: "v1", Partition: 0}, {Topic: "v2", Partition: 0}, {Topic: "v2", Partition: 1}} {
		await(t, "leader of "+tp.String(), func() bool { return a.leads(tp.Topic, tp.Partition) })
		node, err := s.Topic(ctx, tp.Topic)
		if err != nil || node.ID.IsZero() {
			t.Errorf("%s: %+v, %v", tp, node, err)
		}
		a.mu.Lock()
		if a.ids[tp] != node.ID {
			t.Errorf("%s: LeaderAndIsr has id %s, the node %s", tp, a.ids[tp], node.ID)
		}
		a.mu.Unlock()
	}
	states, _, _ := s.PartitionStates(ctx, []topic.Partition{{Topic: "v2", Partition: 0}})
	if st := states[topic.Partition{Topic: "v2"}]; st.Leader != 0 || !slices.Equal(st.ISR, []int32{0}) {
		t.Errorf("v2-0: %+v", st)
	}
	// garbage is left alone, and repaired by whoever wrote it
	write(znode.Create("/brokers/topics/bad", []byte(`{"partitions":{"x":[0]}}`)))
	write(znode.Create("/brokers/topics/good", []byte(`{"partitions":{"0":[0]}}`)))
	await(t, "leader of good", func() bool { return a.leads("good", 0) })
	write(znode.Set("/brokers/topics/bad", []byte(`{"partitions":{"0":[0]}}`), -1))
	await(t, "leader of bad", func() bool { return a.leads("bad", 0) })
	// kafka-topics --alter of 2.7 drops the id; the controller knows it
	before, _ := s.Topic(ctx, "v1")
	write(znode.Set("/brokers/topics/v1", []byte(`{"version":2,"partitions":{"0":[0],"1":[0]},"adding_replicas":{},"removing_replicas":{}}`), -1))
	await(t, "leader of v1-1", func() bool { return a.leads("v1", 1) })
	if after, err := s.Topic(ctx, "v1"); err != nil || after.ID != before.ID || len(after.Partitions) != 2 {
		t.Errorf("%+v, %v; want id %s", after, err, before.ID)
	}
	for range 2 { // requests that come and go
		write(znode.Create(znode.ReassignPath, []byte(`{"version":1,"partitions":[{"topic":"v1","partition":0,"replicas":[0]}]}`)))
		gone(znode.ReassignPath)
		write(znode.Create(znode.PreferredElectionPath, []byte(`{"version":1,"partitions":[{"topic":"v1","partition":0},{"topic":"no","partition":0}]}`)))
		gone(znode.PreferredElectionPath)
		write(znode.Create(znode.PreferredElectionPath, []byte(`not JSON`)))
		gone(znode.PreferredElectionPath)
		write(znode.Create(znode.DeleteTopicPath("nobody"), nil))
		gone(znode.DeleteTopicPath("nobody"))
	}
	write(znode.Create(znode.DeleteTopicPath("v2"), nil))
	await(t, "v2 leaves the metadata", func() bool { return !cache{a.store}.HasTopic("v2") })
	start(t, nodeConfig{id: 7, address: address}) // it might have had a copy: deletion waits for it
	gone(znode.DeleteTopicPath("v2"))
}

// testLogDirFailure: a broker reports one, is asked, and tells which partitions it lost; later they are back.
func testLogDirFailure(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	know(t, a)
	mustCreate(a, "t", 2)
	s, ctx := a.session(), ctxOf(t)
	a.setError("t", 1, kerr.KafkaStorageError.Code)
	if err := s.NotifyLogDirFailure(ctx, 0); err != nil {
		t.Fatal(err)
	}
	await(t, "t-1 loses its leader", func() bool { return a.leader("t", 1) == -1 })
	if a.leader("t", 0) != 0 {
		t.Error("t-0 lost its leader, too")
	}
	if left, err := s.Children(ctx, znode.LogDirEventsPath); len(left) > 0 || err != nil {
		t.Errorf("notifications left: %v, %v", left, err)
	}
	a.mu.Lock()
	delete(a.errs, topic.Partition{Topic: "t", Partition: 1})
	// "NONE also at an equal leader epoch": as a broker does whose disk has space again
	delete(a.roles, topic.Partition{Topic: "t", Partition: 1})
	a.mu.Unlock()
	if err := s.NotifyLogDirFailure(ctx, 0); err != nil {
		t.Fatal(err)
	}
	await(t, "t-1 is led again", func() bool { return a.leader("t", 1) == 0 })
}

// testDeletionWaitsForABroker deletes a topic while one of its brokers is down, and the controller changes meanwhile.
func testDeletionWaitsForABroker(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	mustCreate(a, "t", 4)
	b.stop()
	d := kmsg.NewPtrDeleteTopicsRequest()
	d.TimeoutMillis, d.TopicNames = 20_000, []string{"t"}
	if r := ask[*kmsg.DeleteTopicsResponse](a, 3, d); r.Topics[0].ErrorCode != 0 {
		t.Fatal(r.Topics[0]) // brokers have dropped it from their metadata: that is what the request waits for
	}
	s, ctx := a.session(), ctxOf(t)
	if requested, err := s.IsDeletionRequested(ctx, "t"); !requested || err != nil {
		t.Fatal(requested, err)
	}
	got := create(a, 7, func(_ *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic) { t.Topic = "t" })
	if got.ErrorCode != kerr.TopicAlreadyExists.Code || deref(got.ErrorMessage) != "Topic 't' is marked for deletion." {
		t.Error(got.ErrorCode, deref(got.ErrorMessage))
	}
	if _, err := s.Write(ctx, znode.Fence{}, znode.Delete(znode.ControllerPath, -1)); err != nil {
		t.Fatal(err)
	}
	await(t, "election", func() bool {
		data, _, err := s.Get(ctx, znode.ControllerEpochPath)
		return err == nil && string(data) == "2" && a.ctl.IsActive()
	})
	b = start(t, nodeConfig{id: 1, address: address, dir: b.dir})
	await(t, "the topic is removed", func() bool { _, exists, err := s.Exists(ctx, znode.TopicPath("t")); return !exists && err == nil })
	know(t, a, b)
}

// testTree compares the znodes of a broker with those of Apache Kafka 3.9: fresh, with topics, stopped.
func testTree(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	know(t, a)
	s, ctx := a.session(), ctxOf(t)
	compare := func(file string, got map[string]string) {
		t.Helper()
		if diff := cmp.Diff(golden(t, file), got); diff != "" {
			t.Errorf("%s: Apache Kafka's tree (-), ours (+):\n%s", file, diff)
		}
	}
	compare("single-fresh", tree(t, s, "/"))

	if err := a.topics.AutoCreate(ctx, "auto.created"); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string]string{ // as kafka-topics of 0.10 does
		"/config/topics/by-zookeeper-0.10": `{"version":1,"config":{}}`, "/brokers/topics/by-zookeeper-0.10": `{"version":1,"partitions":{"0":[0]}}`,
	} {
		if _, err := s.Write(ctx, znode.Fence{}, znode.Create(path, []byte(data))); err != nil {
			t.Fatal(err)
		}
	}
	q := kmsg.NewPtrAllocateProducerIDsRequest()
	q.BrokerID, q.BrokerEpoch = 0, a.epoch()
	if r := ask[*kmsg.AllocateProducerIDsResponse](a, 0, q); r.ErrorCode != 0 {
		t.Fatal(r)
	}
	await(t, "leaders", func() bool { return a.leads("auto.created", 1) && a.leads("by-zookeeper-0.10", 0) })
	topics := map[string]string{}
	for path, node := range tree(t, s, "/") {
		if strings.HasPrefix(path, "/brokers/topics/") || strings.HasPrefix(path, "/config/topics/") || path == znode.ProducerIDBlockPath {
			topics[path] = node
		}
	}
	compare("single-after-topics", topics)

	for _, name := range []string{"auto.created", "by-zookeeper-0.10"} {
		if err := a.topics.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		await(t, "removal of "+name, func() bool { asked, err := s.IsDeletionRequested(ctx, name); return !asked && err == nil })
	}
	other := start(t, nodeConfig{id: 1, address: address}) // to look at the tree with
	know(t, a, other)
	a.stop()
	controllerOf(t, other)
	await(t, "its nodes vanish", func() bool {
		_, exists, err := other.session().Exists(ctx, "/brokers/ids/0")
		return !exists && err == nil
	})
	stopped := tree(t, other.session(), "/")
	for _, path := range []string{"/brokers/ids/1", znode.ControllerPath, znode.ControllerEpochPath, znode.ProducerIDBlockPath} {
		delete(stopped, path)
	}
	want := golden(t, "single-stopped")
	delete(want, znode.ControllerEpochPath)
	delete(want, znode.ProducerIDBlockPath)
	if diff := cmp.Diff(want, stopped); diff != "" {
		t.Errorf("stopped: Apache Kafka's tree (-), ours (+):\n%s", diff)
	}
}

// golden reads a recorded tree: the shape of each node.
func golden(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("../../testdata/znodes/" + name + ".normal.json")
	if err != nil {
		t.Fatal(err)
	}
	var nodes []struct {
		Path string
		Text string
		Null bool
		ACL  []string
		Stat struct{ Version, EphemeralOwner string }
	}
	if err := json.Unmarshal(data, &nodes); err != nil {
		t.Fatal(err)
	}
	shapes := map[string]string{}
	for _, n := range nodes {
		if n.Path == "/" || strings.HasPrefix(n.Path, "/zookeeper") {
			continue
		}
		if !slices.Equal(n.ACL, []string{"world:anyone:rwcda"}) {
			t.Fatalf("%s: ACL %v", n.Path, n.ACL)
		}
		shapes[n.Path] = shape(n.Text, n.Null, n.Stat.Version, n.Stat.EphemeralOwner != "0")
	}
	return shapes
}

// tree reads the shapes of all nodes below path.
func tree(t *testing.T, s *znode.Session, path string) map[string]string {
	t.Helper()
	ctx, shapes := ctxOf(t), map[string]string{}
	var walk func(path string)
	walk = func(path string) {
		names, err := s.Children(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			child := strings.TrimSuffix(path, "/") + "/" + name
			data, stat, err := s.Get(ctx, child)
			if err != nil {
				t.Fatal(err)
			}
			shapes[child] = shape(string(data), data == nil, fmt.Sprint(stat.Version), stat.EphemeralOwner != 0)
			walk(child)
		}
	}
	walk(path)
	return shapes
}

// shape is a node's data without what differs from run to run: the JSON's fields and the types of their values.
func shape(text string, null bool, version string, ephemeral bool) string {
	s := "v" + version
	if ephemeral {
		s += " ephemeral"
	}
	if null {
		return s + " null"
	}
	for _, placeholder := range []string{"<port>"} {
		text = strings.ReplaceAll(text, ":"+placeholder, ":1")
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		return s + " " + text
	}
	var list []string
	for k, v := range fields {
		if k == "version" || k == "status" || k == "brokerid" || k == "kraftControllerEpoch" || k == "jmx_port" {
			list = append(list, fmt.Sprintf("%s=%v(%T)", k, v, v))
			continue
		}
		list = append(list, fmt.Sprintf("%s(%T)", k, v))
	}
	sort.Strings(list)
	return s + " " + strings.Join(list, " ")
}

// testManyPartitions makes thousands of partitions at once; writes are pipelined, each broker gets one LeaderAndIsr.
func testManyPartitions(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address, config: func(c *controller.Config) { c.AutoRebalance = false }})
	controllerOf(t, a)
	know(t, a)
	a.mu.Lock()
	before := len(a.order)
	a.mu.Unlock()
	count := int32(2000)
	if os.Getenv("OTTLA_LONG") != "" {
		count = 10_000
	}
	begin := time.Now()
	mustCreate(a, "many", count)
	t.Logf("%d partitions in %v", count, time.Since(begin).Round(time.Millisecond))
	a.mu.Lock()
	if n := len(a.order) - before; n != 1 {
		t.Errorf("%d requests for one batch", n)
	}
	a.mu.Unlock()
	begin = time.Now()
	s, ctx := a.session(), ctxOf(t)
	if err := a.topics.Delete(ctx, "many"); err != nil {
		t.Fatal(err)
	}
	await(t, "removal", func() bool {
		_, exists, err := s.Exists(ctx, znode.DeleteTopicPath("many"))
		return !exists && err == nil
	})
	t.Logf("removed in %v", time.Since(begin).Round(time.Millisecond))
}
