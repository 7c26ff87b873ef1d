package controller_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/controller"
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// testCreateTopicsRefuses: codes and texts are those that Apache Kafka 3.9 was recorded with, but for the ones about copies.
func testCreateTopicsRefuses(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	mustCreate(a, "wire", 1)
	mustCreate(a, "made.x", 1)
	type request = kmsg.CreateTopicsRequest
	type topicOf = kmsg.CreateTopicsRequestTopic
	config := func(name, value string) []kmsg.CreateTopicsRequestTopicConfig {
		return []kmsg.CreateTopicsRequestTopicConfig{{Name: name, Value: &value}}
	}
	assigned := func(lists ...[]int32) (as []kmsg.CreateTopicsRequestTopicReplicaAssignment) {
		for i, l := range lists {
			as = append(as, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: l})
		}
		return as
	}
	for _, c := range []struct {
		name   string
		change func(*request, *topicOf)
		code   *kerr.Error
		text   string
	}{
		{"exists", func(_ *request, t *topicOf) { t.Topic = "wire" }, kerr.TopicAlreadyExists, "Topic 'wire' already exists."},
		{"bad name", func(_ *request, t *topicOf) { t.Topic = "a/b" }, kerr.InvalidTopicException,
			"Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{"no partitions", func(_ *request, t *topicOf) { t.NumPartitions = 0 }, kerr.InvalidPartitions, "Number of partitions must be larger than 0."},
		{"factor 9", func(_ *request, t *topicOf) { t.ReplicationFactor = 9 }, kerr.InvalidReplicationFactor, "Replication factor: 9 larger than available brokers: 2."},
		{"factor 0", func(_ *request, t *topicOf) { t.ReplicationFactor = 0 }, kerr.InvalidReplicationFactor, "Replication factor must be larger than 0."},
		{"factor 2", func(_ *request, t *topicOf) { t.ReplicationFactor = 2 }, kerr.InvalidReplicationFactor,
			"Replication factor: 2 is not available: this version keeps one copy of each partition. Use replication factor 1."},
		{"two replicas", func(_ *request, t *topicOf) {
			t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = -1, -1, assigned([]int32{0, 1})
		}, kerr.InvalidReplicationFactor, "Replication factor: 2 is not available: this version keeps one copy of each partition. Use replication factor 1."},
		{"unknown config", func(_ *request, t *topicOf) { t.Configs = config("no.such.config", "1") }, kerr.InvalidConfig, "Unknown topic config name: no.such.config"},
		{"bad value", func(_ *request, t *topicOf) { t.Configs = config("retention.ms", "soon") }, kerr.InvalidConfig,
			"Invalid value soon for configuration retention.ms: Not a number of type LONG"},
		{"null config", func(_ *request, t *topicOf) {
			t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
		}, kerr.InvalidConfig, "Null value not supported for topic configs: retention.ms"},
		{"collides", func(_ *request, t *topicOf) { t.Topic = "made_x" }, kerr.InvalidTopicException, "Topic 'made_x' collides with existing topics: made.x"},
		{"both", func(_ *request, t *topicOf) { t.ReplicaAssignment = assigned([]int32{0}) }, kerr.InvalidRequest,
			"Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time."},
		{"uneven", func(_ *request, t *topicOf) {
			t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = -1, -1, assigned([]int32{0}, []int32{0, 1})
		}, kerr.InvalidReplicaAssignment, "All partitions should have the same number of replicas"},
		{"empty replicas", func(_ *request, t *topicOf) {
			t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = -1, -1, assigned(nil)
		}, kerr.InvalidReplicaAssignment, "Replica assignment is empty"},
		{"hole", func(_ *request, t *topicOf) {
			t.NumPartitions, t.ReplicationFactor = -1, -1
			t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{0}}}
		}, kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence"},
		{"twice", func(q *request, t *topicOf) { q.Topics = append(q.Topics, *t) }, kerr.InvalidRequest, "Found multiple entries for this topic."},
		{"KRaft's log", func(_ *request, t *topicOf) { t.Topic = "__cluster_metadata" }, kerr.InvalidRequest, "Creation of internal topic __cluster_metadata is prohibited."},
		{"no time", func(q *request, _ *topicOf) { q.TimeoutMillis = 0 }, kerr.RequestTimedOut, "<null>"},
	} {
		for version := int16(0); version <= 7; version++ {
			got := create(a, version, func(q *request, qt *topicOf) {
				qt.Topic = "fresh"
				c.change(q, qt)
			})
			text := c.text
			if version == 0 {
				text = "<null>"
			}
			if c.name == "no time" { // it is made nevertheless
				if version > 0 {
					continue
				}
			}
			if got.ErrorCode != c.code.Code || deref(got.ErrorMessage) != text || got.NumPartitions != -1 && c.name != "no time" {
				t.Errorf("%s, v%d: %v %q, want %v %q", c.name, version, kerr.ErrorForCode(got.ErrorCode), deref(got.ErrorMessage), c.code, text)
			}
		}
	}
	for version := int16(0); version <= 7; version++ {
		got := create(b, version, func(_ *request, t *topicOf) { t.Topic = "nc" })
		want := "" // Kafka's: an empty text
		if version == 0 {
			want = "<null>"
		}
		if got.ErrorCode != kerr.NotController.Code || deref(got.ErrorMessage) != want {
			t.Errorf("not the controller, v%d: %v %q", version, kerr.ErrorForCode(got.ErrorCode), deref(got.ErrorMessage))
		}
	}
}

// testCreateTopicsValidatesOnly answers as if, and makes nothing.
func testCreateTopicsValidatesOnly(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	know(t, a)
	for version := int16(1); version <= 7; version++ {
		got := create(a, version, func(q *kmsg.CreateTopicsRequest, qt *kmsg.CreateTopicsRequestTopic) {
			q.ValidateOnly, qt.Topic = true, "not-made"
			if version >= 4 {
				qt.NumPartitions, qt.ReplicationFactor = -1, -1
			}
		})
		if got.ErrorCode != 0 || version >= 5 && (got.NumPartitions < 1 || got.ReplicationFactor != 1 || len(got.Configs) == 0) || got.TopicID != [16]byte{} {
			t.Errorf("v%d: %+v", version, got)
		}
	}
	if _, exists, err := a.session().Exists(ctxOf(t), znode.EntityPath("topics", "not-made")); exists || err != nil {
		t.Error(exists, err)
	}
}

// testCreateWithAssignmentAndConfigs, as kafka-topics --replica-assignment does.
func testCreateWithAssignmentAndConfigs(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 3, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 8, address: address})
	know(t, a, b)
	value := "1000"
	got := create(a, 7, func(_ *kmsg.CreateTopicsRequest, qt *kmsg.CreateTopicsRequestTopic) {
		qt.Topic, qt.NumPartitions, qt.ReplicationFactor = "t", -1, -1
		qt.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{3}}, {Partition: 0, Replicas: []int32{8}}}
		qt.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: &value}}
	})
	if got.ErrorCode != 0 || got.NumPartitions != 2 || len(got.Configs) != 1 || deref(got.Configs[0].Value) != "1000" {
		t.Fatalf("%+v %s", got, deref(got.ErrorMessage))
	}
	if a.leader("t", 0) != 8 || a.leader("t", 1) != 3 {
		t.Error("not as assigned")
	}
	s, ctx := a.session(), ctxOf(t)
	if config, exists, err := s.Entity(ctx, "topics", "t"); config["retention.ms"] != "1000" || !exists || err != nil {
		t.Error(config, exists, err)
	}
	// a broker that is none: made, and waits for it
	got = create(a, 7, func(q *kmsg.CreateTopicsRequest, qt *kmsg.CreateTopicsRequestTopic) {
		q.TimeoutMillis, qt.Topic, qt.NumPartitions, qt.ReplicationFactor = 200, "u", -1, -1
		qt.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{9}}}
	})
	if got.ErrorCode != kerr.RequestTimedOut.Code {
		t.Errorf("%+v", got)
	}
	c := start(t, nodeConfig{id: 9, address: address})
	await(t, "the broker leads", func() bool { return c.leads("u", 0) })
}

func testCreatePartitionsRefuses(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	mustCreate(a, "t", 4)
	list := func(ls ...[]int32) (as []kmsg.CreatePartitionsRequestTopicAssignment) {
		for _, l := range ls {
			as = append(as, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: l})
		}
		return as
	}
	for _, c := range []struct {
		topics []kmsg.CreatePartitionsRequestTopic
		code   *kerr.Error
		text   string
	}{
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "no-such-topic", Count: 4}}, kerr.UnknownTopicOrPartition, "The topic 'no-such-topic' does not exist."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 1}}, kerr.InvalidPartitions, "Topic currently has 4 partitions, which is higher than the requested 1."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 4}}, kerr.InvalidPartitions, "Topic already has 4 partitions."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 5}, {Topic: "t", Count: 6}}, kerr.InvalidRequest, "Duplicate topic in request."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 5, Assignment: list([]int32{5}, []int32{7})}}, kerr.InvalidReplicaAssignment, "Unknown broker(s) in replica assignment: 5, 7."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 6, Assignment: list([]int32{0})}}, kerr.InvalidReplicaAssignment,
			"Increasing the number of partitions by 2 but 1 assignments provided."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 5, Assignment: list([]int32{0, 1})}}, kerr.InvalidReplicaAssignment,
			"Inconsistent replication factor between partitions, partition 0 has 1 while partitions [4] have replication factors [2], respectively."},
		{[]kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 5, Assignment: list([]int32{0, 0})}}, kerr.InvalidReplicaAssignment,
			"Duplicate brokers not allowed in replica assignment: 0, 0 for partition id 4."},
	} {
		for version := int16(0); version <= 3; version++ {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.TimeoutMillis, q.Topics = 10_000, c.topics
			r := ask[*kmsg.CreatePartitionsResponse](a, version, q)
			if len(r.Topics) != 1 || r.Topics[0].ErrorCode != c.code.Code || deref(r.Topics[0].ErrorMessage) != c.text {
				t.Errorf("v%d: %+v %q, want %q", version, r.Topics, deref(r.Topics[0].ErrorMessage), c.text)
			}
		}
	}
	q := kmsg.NewPtrCreatePartitionsRequest()
	q.TimeoutMillis, q.Topics = 10_000, []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 6, Assignment: list([]int32{1}, []int32{1})}}
	q.ValidateOnly = true
	if r := ask[*kmsg.CreatePartitionsResponse](a, 3, q); r.Topics[0].ErrorCode != 0 {
		t.Error(r.Topics[0])
	}
	if node, err := a.session().Topic(ctxOf(t), "t"); len(node.Partitions) != 4 || err != nil {
		t.Error(node, err)
	}
	q.ValidateOnly = false
	if r := ask[*kmsg.CreatePartitionsResponse](a, 3, q); r.Topics[0].ErrorCode != 0 || a.leader("t", 4) != 1 || a.leader("t", 5) != 1 {
		t.Error(r.Topics[0])
	}
	if r := ask[*kmsg.CreatePartitionsResponse](b, 3, q); r.Topics[0].ErrorCode != kerr.NotController.Code {
		t.Error(r.Topics[0])
	}
}

func testDeleteTopicsRefuses(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address, config: func(c *controller.Config) { c.DeleteTopics = false }})
	know(t, a, b)
	id := mustCreate(a, "t", 1)
	name := "t"
	for version := int16(0); version <= 5; version++ {
		q := kmsg.NewPtrDeleteTopicsRequest()
		q.TimeoutMillis, q.TopicNames = 1000, []string{"no-such-topic"}
		if r := ask[*kmsg.DeleteTopicsResponse](a, version, q); r.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code || r.Topics[0].ErrorMessage != nil {
			t.Errorf("v%d: %+v", version, r.Topics[0])
		}
		if r := ask[*kmsg.DeleteTopicsResponse](b, version, q); r.Topics[0].ErrorCode != kerr.NotController.Code || r.Topics[0].ErrorMessage != nil {
			t.Errorf("v%d: %+v", version, r.Topics[0])
		}
	}
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TimeoutMillis = 1000
	q.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: topic.ID{1}}}
	if r := ask[*kmsg.DeleteTopicsResponse](a, 6, q); r.Topics[0].ErrorCode != kerr.UnknownTopicID.Code || r.Topics[0].Topic != nil {
		t.Errorf("%+v", r.Topics)
	}
	q.Topics = append(q.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name, TopicID: id})
	if r := ask[*kmsg.DeleteTopicsResponse](a, 6, q); r.Topics[0].ErrorCode != kerr.InvalidRequest.Code || r.Topics[1].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("a topic named twice over: %+v", r.Topics)
	}
	a.stop()
	controllerOf(t, b)
	for version, code := range map[int16]int16{2: kerr.InvalidRequest.Code, 3: kerr.TopicDeletionDisabled.Code} {
		q.TopicNames = []string{"t"}
		q.Topics = nil
		if r := ask[*kmsg.DeleteTopicsResponse](b, version, q); r.Topics[0].ErrorCode != code {
			t.Errorf("v%d: %+v", version, r.Topics[0])
		}
	}
	// and a request that a tool writes is withdrawn
	s, ctx := b.session(), ctxOf(t)
	if _, err := s.RequestDeletion(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	await(t, "the request is withdrawn", func() bool { asked, err := s.IsDeletionRequested(ctx, "t"); return !asked && err == nil })
	if _, err := s.Topic(ctx, "t"); err != nil {
		t.Error(err)
	}
}

// testControlledShutdownAndProducerIDs: codes as recorded from Apache Kafka 3.9.
func testControlledShutdownAndProducerIDs(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	for _, c := range []struct {
		asked   *node
		version int16
		broker  int32
		epoch   int64
		code    int16
	}{
		{a, 1, 1, -1, 0},
		{a, 2, 1, 1, kerr.StaleBrokerEpoch.Code},
		{a, 3, 1, 1, kerr.StaleBrokerEpoch.Code},
		{a, 1, 77, -1, kerr.BrokerNotAvailable.Code},
		{a, 2, 77, 1, kerr.UnknownServerError.Code},
		{a, 3, 77, 1, kerr.UnknownServerError.Code},
		{a, 3, 1, b.epoch(), 0},
		{b, 3, 0, -1, kerr.StaleControllerEpoch.Code},
	} {
		q := kmsg.NewPtrControlledShutdownRequest()
		q.BrokerID, q.BrokerEpoch = c.broker, c.epoch
		if r := ask[*kmsg.ControlledShutdownResponse](c.asked, c.version, q); r.ErrorCode != c.code || len(r.PartitionsRemaining) > 0 {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	for _, c := range []struct {
		asked  *node
		broker int32
		epoch  int64
		code   int16
		start  int64
	}{
		{a, 1, 1, kerr.StaleBrokerEpoch.Code, 0},
		{a, 77, 1, kerr.BrokerIDNotRegistered.Code, 0},
		{b, 0, -1, kerr.NotController.Code, 0},
		{a, 0, a.epoch(), 0, 0},
		{a, 1, b.epoch(), 0, 1000},
		{a, 0, a.epoch(), 0, 2000},
	} {
		q := kmsg.NewPtrAllocateProducerIDsRequest()
		q.BrokerID, q.BrokerEpoch = c.broker, c.epoch
		r := ask[*kmsg.AllocateProducerIDsResponse](c.asked, 0, q)
		if r.ErrorCode != c.code || r.ErrorCode == 0 && (r.ProducerIDStart != c.start || r.ProducerIDLen != 1000) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	data, _, err := a.session().Get(ctxOf(t), znode.ProducerIDBlockPath)
	if want := `{"version":1,"broker":0,"block_start":"2000","block_end":"2999"}`; string(data) != want || err != nil {
		t.Errorf("%s, %v", data, err)
	}
}

// testAutoCreation asks brokers that are not the controller, many at a time.
func testAutoCreation(t *testing.T, address string) {
	a := start(t, nodeConfig{id: 0, address: address})
	controllerOf(t, a)
	b := start(t, nodeConfig{id: 1, address: address})
	know(t, a, b)
	errs := make(chan error)
	for i := range 10 {
		go func() { errs <- []*node{a, b}[i%2].topics.AutoCreate(ctxOf(t), "auto") }()
		go func() {
			errs <- []*node{a, b}[i%2].topics.Ensure(ctxOf(t), topic.ConsumerOffsets, 5, 3, map[string]string{"cleanup.policy": "compact"})
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	await(t, "leaders", func() bool {
		return cache{b.store}.IsLed("auto", 2) && cache{b.store}.IsLed(topic.ConsumerOffsets, 5)
	})
	s, ctx := a.session(), ctxOf(t)
	if node, err := s.Topic(ctx, topic.ConsumerOffsets); err != nil || len(node.Partitions) != 5 || slices.ContainsFunc(node.PartitionIDs(), func(id int32) bool { return len(node.Partitions[id].Replicas) != 1 }) {
		t.Error(node, err)
	}
	if config, _, err := s.Entity(ctx, "topics", topic.ConsumerOffsets); config["cleanup.policy"] != "compact" || err != nil {
		t.Error(config, err)
	}
	if err := b.topics.AutoCreate(ctx, "a b"); err == nil || !strings.Contains(err.Error(), "Topic name is invalid") {
		t.Error(err)
	}
}
