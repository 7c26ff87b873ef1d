package controller

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/controller/planner"
	"ottla/broker/peer"
	"ottla/broker/topic"
)

// Config is what a Controller needs of the broker's configuration. Keys in the comments are Kafka's.
type Config struct {
	BrokerID int32
	// Listener is where brokers are reached: control.plane.listener.name, else that of inter.broker.listener.name or
	// security.inter.broker.protocol.
	Listener            string
	DeleteTopics        bool          // delete.topic.enable
	AutoRebalance       bool          // auto.leader.rebalance.enable
	RebalanceInterval   time.Duration // leader.imbalance.check.interval.seconds
	RebalancePercentage int           // leader.imbalance.per.broker.percentage
	// Replication says whether followers copy. Without, every partition has one copy, on the first live replica.
	Replication bool
	// Unclean says whether a topic may be led by a replica that is not in sync: unclean.leader.election.enable, of the topic or
	// by default.
	Unclean func(topic string) bool
	Peer    peer.Config
	// Handled and Queued, if not nil, are told how long an event of the planner's took, and how long what was put into the event
	// loop's queue waited in it.
	Handled func(ev planner.Event, took time.Duration)
	Queued  func(waited time.Duration)
	Now     func() time.Time
	// Random fills its argument with random bytes: crypto/rand.Read.
	Random func([]byte) (int, error)
	Logger zerolog.Logger
}

// Metadata is the local metadata cache, which UpdateMetadata fills, as the handlers need it. Safe for concurrent use.
type Metadata interface {
	// Places lists the live brokers with their racks.
	Places() []planner.Place
	// HasTopic says whether there is such a topic.
	HasTopic(name string) bool
	// Partitions is how many partitions the topic has; 0 if there is none.
	Partitions(topic string) int
	// IsLed says whether partitions 0 to partitions-1 of the topic all have a leader.
	IsLed(topic string, partitions int) bool
	// All lists the partitions of all topics.
	All() []topic.Partition
	// LeaderOf is the partition's leader; -1 if there is none.
	LeaderOf(p topic.Partition) int32
	// TopicName finds a topic by its id.
	TopicName(id topic.ID) (string, bool)
	// Wait returns nil once done says true: it is asked at once, and whenever the cache has changed, on the caller's goroutine.
	// Else it returns ctx's error.
	Wait(ctx context.Context, done func() bool) error
}

// TopicConfigs judges and describes topic configurations. Safe for concurrent use.
type TopicConfigs interface {
	// Validate checks the overrides that a request gives to a new topic. An error wraps a *kerr.Error and has Kafka's text.
	Validate(name string, overrides map[string]string) error
	// Describe lists the configuration of a topic with the overrides, as CreateTopics answers it from version 5 on.
	Describe(overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig
}
