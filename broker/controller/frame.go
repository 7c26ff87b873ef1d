package controller

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/controller/planner"
	"ottla/broker/znode"
)

// Versions of the controller's requests, those of inter.broker.protocol.version 3.4 and later.
const (
	leaderAndISRVersion   = 7
	updateMetadataVersion = 8
	stopReplicaVersion    = 4
)

// framer turns the planner's requests into those of the protocol. Requests of one plan that tell several brokers the same share
// what they have in common.
type framer struct {
	controller int32
	epoch      int32
	listener   string

	metadata []planner.Metadata // that topics were made of
	topics   []kmsg.UpdateMetadataRequestTopicState
	live     []kmsg.UpdateMetadataRequestLiveBroker
	liveOf   []znode.Broker
}

func (f *framer) leaderAndISR(r *planner.LeaderAndISR) *kmsg.LeaderAndISRRequest {
	q := kmsg.NewPtrLeaderAndISRRequest()
	q.SetVersion(leaderAndISRVersion)
	q.ControllerID, q.ControllerEpoch, q.BrokerEpoch = f.controller, f.epoch, r.Epoch
	for _, p := range r.Partitions {
		last := len(q.TopicStates) - 1
		if last < 0 || q.TopicStates[last].Topic != p.Partition.Topic { // they come by topic
			ts := kmsg.NewLeaderAndISRRequestTopicState()
			ts.Topic, ts.TopicID = p.Partition.Topic, p.TopicID
			q.TopicStates = append(q.TopicStates, ts)
			last++
		}
		s := kmsg.NewLeaderAndISRRequestTopicPartition()
		s.Partition, s.ControllerEpoch, s.Leader, s.LeaderEpoch = p.Partition.Partition, p.State.ControllerEpoch, p.State.Leader, p.State.LeaderEpoch
		s.ISR, s.ZKVersion, s.IsNew = p.State.ISR, p.State.Version, p.New
		s.Replicas, s.AddingReplicas, s.RemovingReplicas = p.Assignment.Replicas, p.Assignment.Adding, p.Assignment.Removing
		if p.State.Recovering {
			s.LeaderRecoveryState = 1
		}
		q.TopicStates[last].PartitionStates = append(q.TopicStates[last].PartitionStates, s)
	}
	for _, b := range r.Leaders {
		if e, ok := b.Endpoint(f.listener); ok {
			l := kmsg.NewLeaderAndISRRequestLiveLeader()
			l.BrokerID, l.Host, l.Port = b.ID, e.Host, e.Port
			q.LiveLeaders = append(q.LiveLeaders, l)
		}
	}
	return q
}

func (f *framer) updateMetadata(r *planner.UpdateMetadata) *kmsg.UpdateMetadataRequest {
	q := kmsg.NewPtrUpdateMetadataRequest()
	q.SetVersion(updateMetadataVersion)
	q.ControllerID, q.ControllerEpoch, q.BrokerEpoch = f.controller, f.epoch, r.Epoch
	if !same(f.metadata, r.Partitions) {
		f.metadata, f.topics = r.Partitions, topicStates(r.Partitions)
	}
	if !same(f.liveOf, r.Live) {
		f.liveOf, f.live = r.Live, liveBrokers(r.Live)
	}
	q.TopicStates, q.LiveBrokers = f.topics, f.live
	return q
}

// same says whether two slices are the same memory.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

func topicStates(partitions []planner.Metadata) []kmsg.UpdateMetadataRequestTopicState {
	var topics []kmsg.UpdateMetadataRequestTopicState
	for _, p := range partitions {
		last := len(topics) - 1
		if last < 0 || topics[last].Topic != p.Partition.Topic {
			ts := kmsg.NewUpdateMetadataRequestTopicState()
			ts.Topic, ts.TopicID = p.Partition.Topic, p.TopicID
			topics = append(topics, ts)
			last++
		}
		s := kmsg.NewUpdateMetadataRequestTopicPartition()
		s.Partition, s.ControllerEpoch, s.Leader, s.LeaderEpoch = p.Partition.Partition, p.State.ControllerEpoch, p.State.Leader, p.State.LeaderEpoch
		s.ISR, s.ZKVersion, s.Replicas, s.OfflineReplicas = p.State.ISR, p.State.Version, p.Replicas, p.Offline
		topics[last].PartitionStates = append(topics[last].PartitionStates, s)
	}
	return topics
}

func liveBrokers(brokers []znode.Broker) []kmsg.UpdateMetadataRequestLiveBroker {
	live := make([]kmsg.UpdateMetadataRequestLiveBroker, 0, len(brokers))
	for _, b := range brokers {
		l := kmsg.NewUpdateMetadataRequestLiveBroker()
		l.ID = b.ID
		if b.Rack != "" {
			l.Rack = &b.Rack
		}
		for _, e := range b.Endpoints {
			le := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
			le.Host, le.Port, le.ListenerName, le.SecurityProtocol = e.Host, e.Port, e.Listener, int16(e.Protocol)
			l.Endpoints = append(l.Endpoints, le)
		}
		live = append(live, l)
	}
	return live
}

func (f *framer) stopReplica(r *planner.StopReplica) *api.StopReplicaRequest {
	q := new(api.StopReplicaRequest)
	q.Default()
	q.SetVersion(stopReplicaVersion)
	q.ControllerID, q.ControllerEpoch, q.BrokerEpoch = f.controller, f.epoch, r.Epoch
	at := map[string]int{}
	for _, p := range r.Partitions {
		i, ok := at[p.Partition.Topic]
		if !ok {
			i = len(q.Topics)
			at[p.Partition.Topic] = i
			qt := kmsg.NewStopReplicaRequestTopic()
			qt.Topic = p.Partition.Topic
			q.Topics = append(q.Topics, qt)
		}
		s := kmsg.NewStopReplicaRequestTopicPartitionState()
		s.Partition, s.LeaderEpoch, s.Delete = p.Partition.Partition, p.LeaderEpoch, p.Delete
		q.Topics[i].PartitionStates = append(q.Topics[i].PartitionStates, s)
	}
	return q
}
