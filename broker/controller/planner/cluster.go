package planner

import (
	"maps"
	"slices"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// cluster is what the planner knows.
type cluster struct {
	brokers  map[int32]znode.Broker // registered
	shutting map[int32]bool         // of those, the ones in controlled shutdown
	offline  map[int32]map[*partition]bool
	topics   map[string]*topicState
	names    []string // of topics, sorted; nil when to be made anew
}

type topicState struct {
	name       string
	id         topic.ID
	partitions map[int32]*partition
	ids        []int32   // of partitions, sorted
	deletion   *deletion // nil unless it is to be deleted
	warned     bool      // that only one of its replicas will be used
}

type partition struct {
	topic      *topicState
	id         int32
	assignment znode.Assignment
	state      *znode.PartitionState // nil: it has no state node
}

func (p *partition) name() topic.Partition {
	return topic.Partition{Topic: p.topic.name, Partition: p.id}
}

func newCluster() cluster {
	return cluster{
		brokers: map[int32]znode.Broker{}, shutting: map[int32]bool{}, offline: map[int32]map[*partition]bool{}, topics: map[string]*topicState{},
	}
}

// registered says whether the replica can be reached and has its log: the audience of requests.
func (c *cluster) registered(broker int32, p *partition) bool {
	_, ok := c.brokers[broker]
	return ok && !c.offline[broker][p]
}

// live says whether the replica may be elected.
func (c *cluster) live(broker int32, p *partition) bool {
	return c.registered(broker, p) && !c.shutting[broker]
}

// brokerIDs lists the registered brokers, sorted.
func (c *cluster) brokerIDs() []int32 { return slices.Sorted(maps.Keys(c.brokers)) }

// liveBrokers lists the registered brokers by id.
func (c *cluster) liveBrokers() []znode.Broker {
	ids := c.brokerIDs()
	live := make([]znode.Broker, len(ids))
	for i, id := range ids {
		live[i] = c.brokers[id]
	}
	return live
}

// add takes in a topic, and returns its partitions that are new.
func (c *cluster) add(t znode.Topic) (added []*partition) {
	ts := c.topics[t.Name]
	if ts == nil {
		ts = &topicState{name: t.Name, id: t.ID, partitions: map[int32]*partition{}}
		c.topics[t.Name] = ts
		c.names = nil
	}
	for _, id := range t.PartitionIDs() {
		if ts.partitions[id] == nil {
			p := &partition{topic: ts, id: id, assignment: t.Partitions[id]}
			ts.partitions[id] = p
			added = append(added, p)
		}
	}
	if len(added) > 0 {
		ts.ids = slices.Sorted(maps.Keys(ts.partitions))
	}
	return added
}

func (c *cluster) forget(t *topicState) {
	delete(c.topics, t.name)
	c.names = nil
	for _, offline := range c.offline {
		for _, p := range t.partitions {
			delete(offline, p)
		}
	}
}

// sorted visits all topics by name.
func (c *cluster) sorted() []*topicState {
	if c.names == nil {
		c.names = slices.Sorted(maps.Keys(c.topics))
	}
	ts := make([]*topicState, len(c.names))
	for i, name := range c.names {
		ts[i] = c.topics[name]
	}
	return ts
}

// serving lists the partitions of topics that are not to be deleted, in order, for which keep says true.
func (c *cluster) serving(keep func(*partition) bool) []*partition {
	var ps []*partition
	for _, t := range c.sorted() {
		if t.deletion != nil {
			continue
		}
		for _, id := range t.ids {
			if p := t.partitions[id]; keep(p) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

func (c *cluster) partition(tp topic.Partition) *partition {
	if t := c.topics[tp.Topic]; t != nil {
		return t.partitions[tp.Partition]
	}
	return nil
}

// node is the topic's node as it should be.
func (t *topicState) node() znode.Topic {
	n := znode.Topic{Name: t.name, ID: t.id, Partitions: make(map[int32]znode.Assignment, len(t.partitions))}
	for id, p := range t.partitions {
		n.Partitions[id] = p.assignment
	}
	return n
}

// hasReplica says whether a partition is assigned to one of the brokers.
func hasReplica(brokers map[int32]bool) func(*partition) bool {
	return func(p *partition) bool {
		return slices.ContainsFunc(p.assignment.Replicas, func(b int32) bool { return brokers[b] })
	}
}

func hasState(p *partition) bool { return p.state != nil }
