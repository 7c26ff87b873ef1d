package oracle

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newTopic(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	return t
}

func create(ts ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Topics, q.TimeoutMillis = ts, 3000
	return q
}

// makeTopics makes what scripts use, waits until both know their controller, and learns the topics' ids.
func makeTopics(l *lab) {
	for _, t := range []*target{l.ours, l.theirs} {
		await(l, t.name+" has a controller", func() bool {
			q := kmsg.NewPtrDescribeClusterRequest()
			r, ok := l.call(t, q, 0).(*kmsg.DescribeClusterResponse)
			return ok && r.ControllerID == 0 && len(r.Brokers) == 1
		})
	}
	for _, t := range []kmsg.CreateTopicsRequestTopic{
		newTopic("wire", 2), newTopic("empty", 1), newTopic("compacted", 1, "cleanup.policy", "compact"), newTopic("small", 1, "max.message.bytes", "200"),
		newTopic("insync2", 1, "min.insync.replicas", "2"), newTopic("append-time", 1, "message.timestamp.type", "LogAppendTime"), newTopic("idempotent", 1), newTopic("tx", 1),
	} {
		l.each("make "+t.Topic, 7, func(*target) kmsg.Request { return create(t) })
	}
	for _, t := range []*target{l.ours, l.theirs} {
		r, ok := l.call(t, kmsg.NewPtrMetadataRequest(), 12).(*kmsg.MetadataResponse)
		if !ok {
			l.t.Fatalf("%s does not tell its topics", t.name)
		}
		for _, rt := range r.Topics {
			t.topicIDs[*rt.Topic] = rt.TopicID
		}
		// The coordinator of groups makes its topic when it is first looked for.
		await(l, t.name+" coordinates groups", func() bool {
			q := kmsg.NewPtrFindCoordinatorRequest()
			q.CoordinatorKey = "g"
			r, ok := l.call(t, q, 1).(*kmsg.FindCoordinatorResponse)
			if !ok || r.ErrorCode != 0 {
				return false
			}
			h := kmsg.NewPtrHeartbeatRequest()
			h.Group, h.MemberID = "g", "nobody"
			hr, ok := l.call(t, h, 0).(*kmsg.HeartbeatResponse)
			return ok && hr.ErrorCode == kerr.UnknownMemberID.Code
		})
	}
}

// makeElsewhere makes a topic whose only replica is on a broker that there is not.
func makeElsewhere(l *lab) {
	elsewhere := newTopic("elsewhere", -1)
	elsewhere.ReplicationFactor = -1
	elsewhere.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{1}}}
	q := create(elsewhere)
	q.TimeoutMillis = 100
	l.each("make elsewhere", 7, func(*target) kmsg.Request { return q })
}

// call asks one server, and compares nothing.
func (l *lab) call(t *target, q kmsg.Request, version int16) kmsg.Response {
	l.t.Helper()
	q.SetVersion(version)
	a, err := t.ask(q.Key(), version, encode(q))
	if err != nil {
		l.t.Fatal(err)
	}
	if a.outcome != answered {
		return nil
	}
	r, err := decode(q.Key(), version, a.body)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func await(l *lab, what string, done func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// topics has the making, growing, describing and deleting of topics.
func topics(l *lab) {
	for v := int16(0); v <= 7; v++ {
		name := fmt.Sprintf("made-%d", v)
		l.each("create", v, func(*target) kmsg.Request { return create(newTopic(name, 2, "retention.ms", "1000")) })
		assigned := newTopic(name+"-assigned", -1)
		assigned.ReplicationFactor = -1
		for i := range int32(2) {
			assigned.ReplicaAssignment = append(assigned.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: i, Replicas: []int32{0}})
		}
		l.each("create as assigned", v, func(*target) kmsg.Request { return create(assigned) })
		l.each("create two", v, func(*target) kmsg.Request { return create(newTopic(name+"-a", 1), newTopic(name+"-b", 1)) })
		l.each("create twice", v, func(*target) kmsg.Request { return create(newTopic(name+"-c", 1), newTopic(name+"-c", 1)) })
		l.each("create none", v, func(*target) kmsg.Request { return create() })
		l.each("create without time", v, func(*target) kmsg.Request {
			q := create(newTopic(name+"-late", 1))
			q.TimeoutMillis = 0
			return q
		})
		odd := map[string]kmsg.CreateTopicsRequestTopic{
			"exists": newTopic("wire", 1), "bad name": newTopic("bad name", 1), "empty name": newTopic("", 1), "dot": newTopic(".", 1), "no partitions": newTopic("n", 0),
			"negative partitions": newTopic("n", -3), "unknown config": newTopic("n", 1, "no.such.key", "1"), "bad value": newTopic("n", 1, "retention.ms", "soon"),
			"value out of range": newTopic("n", 1, "segment.bytes", "1"), "bad choice": newTopic("n", 1, "compression.type", "rar"), "bad policy": newTopic("n", 1, "cleanup.policy", "forget"),
			"config twice": newTopic("n", 1, "retention.ms", "1", "retention.ms", "2"), "defaults": newTopic("n", -1), "long name": newTopic(string(make([]byte, 250)), 1),
			"bad boolean": newTopic("n", 1, "preallocate", "perhaps"), "bad double": newTopic("n", 1, "min.cleanable.dirty.ratio", "2"), "remote": newTopic("n", 1, "remote.storage.enable", "true"),
			"metadata log": newTopic("__cluster_metadata", 1), "collides": newTopic("wire.a", 1), "throttled": newTopic("n", 1, "leader.replication.throttled.replicas", "x"),
		}
		factor := newTopic("n", 1)
		factor.ReplicationFactor = 0
		odd["no replicas"] = factor
		factor.ReplicationFactor = 5
		odd["five replicas"] = factor
		null := newTopic("n", 1, "retention.ms", "")
		null.Configs[0].Value = nil
		odd["null value"] = null
		both := assigned
		both.NumPartitions = 2
		odd["both"] = both
		gap := newTopic("n", -1)
		gap.ReplicationFactor = -1
		gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 1, Replicas: []int32{0}}}
		odd["gap"] = gap
		gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{0, 0}}}
		odd["replica twice"] = gap
		gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{-1}}}
		odd["negative replica"] = gap
		gap.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0}}
		odd["empty replicas"] = gap
		for _, what := range sortedNames(odd) {
			l.each("create odd "+what, v, func(*target) kmsg.Request {
				q := create(odd[what])
				q.ValidateOnly = true
				if v == 0 && (what == "collides" || what == "defaults" || what == "throttled" || what == "remote") {
					return nil // v0 would make it
				}
				return q
			})
		}
	}
	for v := int16(0); v <= 3; v++ {
		grow := func(name string, count int32, assignment ...int32) *kmsg.CreatePartitionsRequest {
			q := kmsg.NewPtrCreatePartitionsRequest()
			q.TimeoutMillis = 3000
			t := kmsg.NewCreatePartitionsRequestTopic()
			t.Topic, t.Count = name, count
			for _, b := range assignment {
				t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: []int32{b}})
			}
			q.Topics = []kmsg.CreatePartitionsRequestTopic{t}
			return q
		}
		name := fmt.Sprintf("made-%d", v)
		for _, x := range []struct {
			what string
			q    *kmsg.CreatePartitionsRequest
		}{
			{"grow", grow(name, 3)}, {"grow to the same", grow(name, 3)}, {"grow to fewer", grow(name, 1)}, {"grow to none", grow(name, 0)}, {"grow below", grow(name, -4)},
			{"grow nobody", grow("nobody", 3)}, {"grow as assigned", grow(name, 4, 0)}, {"grow by unknown brokers", grow(name, 6, 7, 8)}, {"grow by wrong count", grow(name, 6, 0)},
			{"grow bad name", grow("bad name", 3)},
		} {
			l.each(x.what, v, func(*target) kmsg.Request { return x.q })
		}
		twice := grow(name, 9)
		twice.Topics = append(twice.Topics, twice.Topics[0])
		l.each("grow twice", v, func(*target) kmsg.Request { return twice })
	}
	metadata(l)
	for v := int16(0); v <= 6; v++ {
		remove := func(t *target, names ...string) *kmsg.DeleteTopicsRequest {
			q := kmsg.NewPtrDeleteTopicsRequest()
			q.TimeoutMillis, q.TopicNames = 5000, names
			for _, name := range names {
				q.Topics = append(q.Topics, kmsg.DeleteTopicsRequestTopic{Topic: kmsg.StringPtr(name)})
			}
			return q
		}
		l.each("delete", v, func(t *target) kmsg.Request { return remove(t, fmt.Sprintf("made-%d", v), "nobody") })
		l.each("delete twice", v, func(t *target) kmsg.Request {
			return remove(t, fmt.Sprintf("made-%d-a", v), fmt.Sprintf("made-%d-a", v))
		})
		l.each("delete bad name", v, func(t *target) kmsg.Request { return remove(t, "bad name", "") })
	}
	l.each("delete by id", 6, func(t *target) kmsg.Request {
		q := kmsg.NewPtrDeleteTopicsRequest()
		q.TimeoutMillis = 5000
		q.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{1, 2}}, {}, {Topic: kmsg.StringPtr("wire"), TopicID: t.topicIDs["wire"]}}
		return q
	})
}

func metadata(l *lab) {
	for v := int16(0); v <= 12; v++ {
		l.each("metadata of all", v, func(*target) kmsg.Request { return kmsg.NewPtrMetadataRequest() })
		some := func(names ...string) *kmsg.MetadataRequest {
			q := kmsg.NewPtrMetadataRequest()
			q.Topics = []kmsg.MetadataRequestTopic{}
			for _, name := range names {
				q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(name)})
			}
			return q
		}
		l.each("metadata of none", v, func(*target) kmsg.Request { return some() })
		l.each("metadata", v, func(*target) kmsg.Request {
			q := some("wire", "elsewhere", "wire", "__consumer_offsets")
			q.IncludeClusterAuthorizedOperations, q.IncludeTopicAuthorizedOperations = true, true
			return q
		})
		if v >= 4 { // earlier ones make it
			l.each("metadata of nobody", v, func(*target) kmsg.Request { return some("nobody", "bad name", "", ".") })
		}
		l.each("metadata by id", v, func(t *target) kmsg.Request {
			q := some()
			q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{TopicID: t.topicIDs["wire"]}, kmsg.MetadataRequestTopic{TopicID: [16]byte{3}}, kmsg.MetadataRequestTopic{})
			if v < 10 {
				return nil
			}
			return q
		})
	}
}
