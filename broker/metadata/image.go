package metadata

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/topic"
)

// NoLeader is the leader of a partition that has none; LeaderDeleted marks, in UpdateMetadata, a partition being deleted.
const (
	NoLeader      = -1
	LeaderDeleted = -2
)

// Endpoint is where a broker serves one of its listeners.
type Endpoint struct {
	Listener string // upper case
	Host     string
	Port     int32
	Protocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// Broker is a live broker.
type Broker struct {
	ID        int32
	Rack      *string
	Endpoints []Endpoint
}

// Endpoint finds the broker's address on a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// Partition is the state of one partition as the controller last published it.
type Partition struct {
	ID              int32
	ControllerEpoch int32
	Leader          int32 // NoLeader if there is none
	LeaderEpoch     int32
	PartitionEpoch  int32
	ISR             []int32
	Replicas        []int32
	OfflineReplicas []int32
}

// Topic is a topic with its partitions in ascending order; there may be holes while a topic is being made.
type Topic struct {
	Name       string
	ID         topic.ID
	Partitions []Partition
}

// Partition finds a partition by its number.
func (t *Topic) Partition(id int32) (*Partition, bool) {
	i, ok := slices.BinarySearchFunc(t.Partitions, id, func(p Partition, id int32) int { return cmp.Compare(p.ID, id) })
	if !ok {
		return nil, false
	}
	return &t.Partitions[i], true
}

// Image is one moment of the cluster. Immutable: callers must not change what it returns. Safe for concurrent use.
type Image struct {
	controllerID int32
	brokers      []Broker // by id
	topics       map[string]*Topic
	names        map[topic.ID]string
}

// Controller is the id of the controller, or -1 when none is known or it is not alive.
func (im *Image) Controller() int32 {
	if _, alive := im.Broker(im.controllerID); !alive {
		return -1
	}
	return im.controllerID
}

// Brokers lists the live brokers by id.
func (im *Image) Brokers() []Broker { return im.brokers }

// Broker finds a live broker.
func (im *Image) Broker(id int32) (*Broker, bool) {
	i, ok := slices.BinarySearchFunc(im.brokers, id, func(b Broker, id int32) int { return cmp.Compare(b.ID, id) })
	if !ok {
		return nil, false
	}
	return &im.brokers[i], true
}

// Topic finds a topic by name.
func (im *Image) Topic(name string) (*Topic, bool) {
	t, ok := im.topics[name]
	return t, ok
}

// TopicByID finds a topic by its id; the zero id names none.
func (im *Image) TopicByID(id topic.ID) (*Topic, bool) {
	name, ok := im.names[id]
	if !ok {
		return nil, false
	}
	return im.Topic(name)
}

// Partition finds a partition.
func (im *Image) Partition(tp topic.Partition) (*Partition, bool) {
	t, ok := im.topics[tp.Topic]
	if !ok {
		return nil, false
	}
	return t.Partition(tp.Partition)
}

// Topics visits all topics in no particular order.
func (im *Image) Topics() iter.Seq[*Topic] { return maps.Values(im.topics) }

// TopicCount is the number of topics.
func (im *Image) TopicCount() int { return len(im.topics) }

// apply returns the image after an UpdateMetadata request, and the partitions that the request deleted. Brokers and the
// controller are replaced by what the request says, partitions are merged.
func (im *Image) apply(req *kmsg.UpdateMetadataRequest) (*Image, []topic.Partition) {
	next := &Image{controllerID: req.ControllerID, brokers: brokersOf(req), topics: im.topics, names: im.names}
	states := topicStates(req)
	if len(states) == 0 {
		return next, nil
	}
	next.topics = maps.Clone(im.topics)
	next.names = maps.Clone(im.names)
	var deleted []topic.Partition
	for _, ts := range states {
		t := &Topic{Name: ts.Topic, ID: ts.TopicID}
		if old := next.topics[ts.Topic]; old != nil {
			t.Partitions = old.Partitions
			delete(next.names, old.ID)
		}
		var gone []topic.Partition
		t.Partitions, gone = merge(t.Partitions, ts)
		deleted = append(deleted, gone...)
		if len(t.Partitions) == 0 {
			delete(next.topics, t.Name)
			continue
		}
		next.topics[t.Name] = t
		if !t.ID.IsZero() {
			next.names[t.ID] = t.Name
		}
	}
	return next, deleted
}

// merge returns a new slice: old with the states of ts put in or, with the leader LeaderDeleted, taken out.
func merge(old []Partition, ts kmsg.UpdateMetadataRequestTopicState) (merged []Partition, deleted []topic.Partition) {
	changed := make(map[int32]*kmsg.UpdateMetadataRequestTopicPartition, len(ts.PartitionStates))
	for i := range ts.PartitionStates {
		changed[ts.PartitionStates[i].Partition] = &ts.PartitionStates[i]
	}
	merged = make([]Partition, 0, len(old)+len(changed))
	for _, p := range old {
		if changed[p.ID] == nil {
			merged = append(merged, p)
		}
	}
	for id, s := range changed {
		if s.Leader == LeaderDeleted {
			deleted = append(deleted, topic.Partition{Topic: ts.Topic, Partition: id})
			continue
		}
		merged = append(merged, Partition{
			ID: id, ControllerEpoch: s.ControllerEpoch, Leader: s.Leader, LeaderEpoch: s.LeaderEpoch, PartitionEpoch: s.ZKVersion,
			ISR: s.ISR, Replicas: s.Replicas, OfflineReplicas: s.OfflineReplicas,
		})
	}
	slices.SortFunc(merged, func(a, b Partition) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(deleted, func(a, b topic.Partition) int { return cmp.Compare(a.Partition, b.Partition) })
	return merged, deleted
}

// topicStates gives the partition states by topic in every version: versions 0 to 4 list them flat.
func topicStates(req *kmsg.UpdateMetadataRequest) []kmsg.UpdateMetadataRequestTopicState {
	if req.Version >= 5 {
		return req.TopicStates
	}
	var states []kmsg.UpdateMetadataRequestTopicState
	at := map[string]int{}
	for _, p := range req.PartitionStates {
		i, ok := at[p.Topic]
		if !ok {
			i = len(states)
			at[p.Topic] = i
			states = append(states, kmsg.UpdateMetadataRequestTopicState{Topic: p.Topic})
		}
		states[i].PartitionStates = append(states[i].PartitionStates, p)
	}
	return states
}

var protocolNames = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// brokersOf lists the request's brokers by id. Versions 0 to 2 have no listener names: the protocol's name stands for it.
func brokersOf(req *kmsg.UpdateMetadataRequest) []Broker {
	brokers := make([]Broker, 0, len(req.LiveBrokers))
	for _, b := range req.LiveBrokers {
		nb := Broker{ID: b.ID, Rack: b.Rack}
		if req.Version == 0 {
			nb.Endpoints = []Endpoint{{Listener: protocolNames[0], Host: b.Host, Port: b.Port}}
		}
		for _, e := range b.Endpoints {
			name := e.ListenerName
			if req.Version < 3 && int(e.SecurityProtocol) >= 0 && int(e.SecurityProtocol) < len(protocolNames) {
				name = protocolNames[e.SecurityProtocol]
			}
			nb.Endpoints = append(nb.Endpoints, Endpoint{Listener: name, Host: e.Host, Port: e.Port, Protocol: e.SecurityProtocol})
		}
		brokers = append(brokers, nb)
	}
	slices.SortStableFunc(brokers, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(brokers, func(a, b Broker) bool { return a.ID == b.ID })
}
