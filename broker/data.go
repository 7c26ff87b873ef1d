package broker

import (
	"ottla/broker/dataplane"
	"ottla/broker/metadata"
	"ottla/broker/topic"
)

// dataCluster answers the data plane's questions from the metadata.
type dataCluster struct{ store *metadata.Store }

// Knows is dataplane.Metadata's.
func (c dataCluster) Knows(name string, number int32) bool {
	_, ok := c.store.Load().Partition(topic.Partition{Topic: name, Partition: number})
	return ok
}

// TopicName is dataplane.Metadata's.
func (c dataCluster) TopicName(id topic.ID) (string, bool) {
	t, ok := c.store.Load().TopicByID(id)
	if !ok {
		return "", false
	}
	return t.Name, true
}

// Leader is dataplane.Metadata's.
func (c dataCluster) Leader(name string, number int32, listener string) (dataplane.Leader, bool) {
	im := c.store.Load()
	p, ok := im.Partition(topic.Partition{Topic: name, Partition: number})
	if !ok || p.Leader < 0 {
		return dataplane.Leader{}, false
	}
	l := dataplane.Leader{ID: p.Leader, Epoch: p.LeaderEpoch}
	if b, alive := im.Broker(p.Leader); alive {
		if e, ok := b.Endpoint(listener); ok {
			l.Host, l.Port, l.Rack = e.Host, e.Port, b.Rack
		}
	}
	return l, true
}
