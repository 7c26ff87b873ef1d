package planner

import (
	"ottla/broker/topic"
	"ottla/broker/znode"
)

// Event is something that happened.
type Event interface{ isEvent() }

type (
	// Loaded is the cluster as a newly elected controller finds it. The first event, and only the first.
	Loaded struct {
		Brokers  []znode.Broker
		Topics   []znode.Topic
		States   map[topic.Partition]znode.PartitionState
		Deleting []string // topics whose deletion was asked for
	}
	// BrokersChanged is the list of registered brokers, whatever changed in it.
	BrokersChanged struct{ Brokers []znode.Broker }
	// TopicsChanged is the list of topics, and the nodes of those that Knows denies.
	TopicsChanged struct {
		Names []string
		New   []znode.Topic
	}
	// TopicChanged is the node of a topic that changed.
	TopicChanged struct{ Topic znode.Topic }
	// DeletionRequested is the list of topics to delete, whether new in it or not.
	DeletionRequested struct{ Topics []string }
	// ReplicasStopped is a broker's answer to StopReplica: error codes by partition.
	ReplicasStopped struct {
		Broker int32
		Epoch  int64 // of the broker in the request
		Errors map[topic.Partition]int16
	}
	// ReplicasStarted is a broker's answer to LeaderAndIsr.
	ReplicasStarted struct {
		Broker int32
		Epoch  int64
		Errors map[topic.Partition]int16
	}
	// LogDirsFailed says that brokers lost log directories: they will be asked which replicas that concerns.
	LogDirsFailed struct{ Brokers []int32 }
	// PreferredElection asks for the preferred leaders of partitions.
	PreferredElection struct{ Partitions []topic.Partition }
	// UncleanElection asks for leaders of partitions that have none, if need be of replicas that are not in sync.
	UncleanElection struct{ Partitions []topic.Partition }
	// Rebalance asks for preferred leaders where a broker leads too little of what it should.
	Rebalance struct{ Percentage int }
	// ShutdownRequested is a broker that wants to leave. Epoch -1 is that of versions which do not have it.
	ShutdownRequested struct {
		Broker int32
		Epoch  int64
	}
	// UncleanAllowed says that unclean elections were allowed for topics, or by default if there are none in it.
	UncleanAllowed struct{ Topics []string }
	// Written are the results of the writes of the last plan, in their order.
	Written struct{ Results []Result }
)

func (Loaded) isEvent()            {}
func (BrokersChanged) isEvent()    {}
func (TopicsChanged) isEvent()     {}
func (TopicChanged) isEvent()      {}
func (DeletionRequested) isEvent() {}
func (ReplicasStopped) isEvent()   {}
func (ReplicasStarted) isEvent()   {}
func (LogDirsFailed) isEvent()     {}
func (PreferredElection) isEvent() {}
func (UncleanElection) isEvent()   {}
func (Rebalance) isEvent()         {}
func (ShutdownRequested) isEvent() {}
func (UncleanAllowed) isEvent()    {}
func (Written) isEvent()           {}

// Plan is what to do.
type Plan struct {
	Gone     []int32        // brokers: drop what is queued for them, before anything else
	Come     []znode.Broker // brokers that can be sent requests from now on
	Requests []Request      // in order
	Writes   []Write
	// Forgotten topics need not be watched any more.
	Forgotten []string
	Notes     []Note
	Shutdown  *Shutdown // the answer to ShutdownRequested
}

// Note is something for the log.
type Note struct {
	Warning bool
	Text    string
}

// Shutdown is the answer to ShutdownRequested.
type Shutdown struct {
	Outcome   ShutdownOutcome
	Remaining []topic.Partition // that the broker still leads and somebody else could
}

// ShutdownOutcome says whether the broker may leave.
type ShutdownOutcome uint8

// Outcomes of ShutdownRequested.
const (
	ShutdownDone ShutdownOutcome = iota
	ShutdownUnknownBroker
	ShutdownStaleEpoch
)

// WriteKind is what a Write does.
type WriteKind uint8

// The writes. All are bound to the controller epoch.
const (
	MakePartitions      WriteKind = iota + 1 // the parent of a topic's partitions
	MakePartition                            // the parent of a partition's state
	CreateState                              // a partition's first state
	SetState                                 // by compare-and-set with State.Version
	SetTopic                                 // a topic's node, whatever its version
	RemoveTopic                              // all of a topic, its configuration, and last the request to delete it
	DropDeletionRequest                      // just the request
)

// Write is one change in ZooKeeper.
type Write struct {
	Kind      WriteKind
	Topic     string
	Partition int32
	State     znode.PartitionState // CreateState; SetState, with the version that is expected
	Node      znode.Topic          // SetTopic
}

// Result is what became of a Write.
type Result struct {
	// Version is that of the node after CreateState and SetState.
	Version int32
	// Conflict: the node exists (Make…, CreateState) or is not as expected (SetState). Then Stored is what CreateState and
	// SetState found instead, nil if there is no node.
	Conflict bool
	Stored   *znode.PartitionState
	// Failed is any other error: it is noted, and the partition or topic left alone until the next event.
	Failed error
}

// Request is a request to a broker: *LeaderAndISR, *UpdateMetadata or *StopReplica.
type Request interface {
	// To is the broker, and the epoch that the request carries.
	To() (broker int32, epoch int64)
}

// Header is whom a request goes to.
type Header struct {
	Broker int32
	Epoch  int64
}

// To implements Request.
func (h Header) To() (int32, int64) { return h.Broker, h.Epoch }

// LeaderAndISR makes a broker leader or follower of partitions.
type LeaderAndISR struct {
	Header
	Partitions []Replica
	Leaders    []znode.Broker // those that the partitions name
}

// Replica is a partition in LeaderAndISR.
type Replica struct {
	Partition  topic.Partition
	TopicID    topic.ID
	State      znode.PartitionState
	Assignment znode.Assignment
	New        bool
}

// UpdateMetadata tells a broker about the cluster. Requests of one plan may share Partitions and Live.
type UpdateMetadata struct {
	Header
	Partitions []Metadata
	Live       []znode.Broker // all
}

// LeaderDeleted is the leader, in UpdateMetadata, of a partition whose topic is being deleted.
const LeaderDeleted = -2

// Metadata is a partition in UpdateMetadata.
type Metadata struct {
	Partition topic.Partition
	TopicID   topic.ID
	State     znode.PartitionState
	Replicas  []int32
	Offline   []int32
}

// StopReplica ends replicas.
type StopReplica struct {
	Header
	Partitions []Stop
}

// Leader epochs of StopReplica that always hold: of a topic being deleted, and of a partition that never had a leader.
const (
	EpochDeleted = -2
	EpochUnknown = -1
)

// Stop is a partition in StopReplica.
type Stop struct {
	Partition   topic.Partition
	LeaderEpoch int32
	Delete      bool
}
