package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/controller/planner"
	"ottla/broker/metadata"
	"ottla/broker/topic"
)

// controlCluster answers the controller's questions from the metadata.
type controlCluster struct{ store *metadata.Store }

// Places is controller.Metadata's.
func (c controlCluster) Places() []planner.Place {
	brokers := c.store.Load().Brokers()
	places := make([]planner.Place, len(brokers))
	for i, b := range brokers {
		places[i].ID = b.ID
		if b.Rack != nil {
			places[i].Rack = *b.Rack
		}
	}
	return places
}

// HasTopic is controller.Metadata's.
func (c controlCluster) HasTopic(name string) bool {
	_, ok := c.store.Load().Topic(name)
	return ok
}

// Partitions is controller.Metadata's.
func (c controlCluster) Partitions(name string) int {
	t, ok := c.store.Load().Topic(name)
	if !ok {
		return 0
	}
	return len(t.Partitions)
}

// IsLed is controller.Metadata's.
func (c controlCluster) IsLed(name string, partitions int) bool {
	t, ok := c.store.Load().Topic(name)
	if !ok {
		return false
	}
	for i := range int32(partitions) {
		if p, ok := t.Partition(i); !ok || p.Leader < 0 {
			return false
		}
	}
	return true
}

// All is controller.Metadata's.
func (c controlCluster) All() []topic.Partition {
	var all []topic.Partition
	for t := range c.store.Load().Topics() {
		for _, p := range t.Partitions {
			all = append(all, topic.Partition{Topic: t.Name, Partition: p.ID})
		}
	}
	return all
}

// LeaderOf is controller.Metadata's.
func (c controlCluster) LeaderOf(p topic.Partition) int32 {
	if state, ok := c.store.Load().Partition(p); ok {
		return state.Leader
	}
	return metadata.NoLeader
}

// TopicName is controller.Metadata's.
func (c controlCluster) TopicName(id topic.ID) (string, bool) {
	t, ok := c.store.Load().TopicByID(id)
	if !ok {
		return "", false
	}
	return t.Name, true
}

// Wait is controller.Metadata's.
func (c controlCluster) Wait(ctx context.Context, done func() bool) error {
	defer api.Waiting(ctx)()
	_, err := c.store.Wait(ctx, func(*metadata.Image) bool { return done() })
	return err
}

// topicConfigs judges and describes topic configurations.
type topicConfigs struct{ store *config.Store }

// Validate is controller.TopicConfigs'.
func (t topicConfigs) Validate(_ string, overrides map[string]string) error {
	return t.store.Config().ValidateTopicConfigs(overrides)
}

// Describe is controller.TopicConfigs'.
func (t topicConfigs) Describe(overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	entries, err := t.store.Config().DescribeTopic(overrides)
	if err != nil {
		return nil // Validate has refused it before
	}
	described := make([]kmsg.CreateTopicsResponseTopicConfig, 0, len(entries))
	for _, e := range entries {
		d := kmsg.NewCreateTopicsResponseTopicConfig()
		d.Name, d.Value, d.ReadOnly, d.Source, d.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.Sensitive
		described = append(described, d)
	}
	return described
}
