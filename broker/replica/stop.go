package replica

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/topic"
)

// Leader epochs of StopReplica that pass every check.
const (
	epochDuringDelete = -2
	epochUnknown      = -1
)

// stop is what StopReplica asks of one partition.
type stop struct {
	partition   topic.Partition
	leaderEpoch int32
	delete      bool
}

// stop stops or deletes a partition. One that is not hosted is stopped already; what an earlier life left of it is deleted.
func (c *change) stop(s stop) error {
	p := c.get(s.partition)
	if p != nil && s.leaderEpoch != epochDuringDelete && s.leaderEpoch != epochUnknown && s.leaderEpoch < p.Role().LeaderEpoch {
		return kerr.FencedLeaderEpoch
	}
	logs := c.t.cfg.Logs
	if _, offline := logs.Log(s.partition); offline {
		return kerr.KafkaStorageError
	}
	if !s.delete {
		return nil // nothing replicates it but its leader's followers, who were told
	}
	if p != nil {
		c.remove(s.partition, p, -1)
	}
	if topic.Validate(s.partition.Topic) != nil || s.partition.Partition < 0 {
		return kerr.UnknownTopicOrPartition
	}
	if err := logs.Delete(s.partition); err != nil {
		c.t.cfg.Logger.Error().Err(err).Stringer("partition", s.partition).Msg("cannot delete the log")
		return kerr.KafkaStorageError
	}
	return nil
}

// registerStop adds StopReplica. Versions 0 to 2 say once whether to delete, 3 and later for each partition.
func (t *Table) registerStop(r *api.Registry) {
	api.RegisterStopReplica(r, 0, 4, func(_ context.Context, _ *api.Request, req *api.StopReplicaRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrStopReplicaResponse()
		t.mu.Lock()
		defer t.mu.Unlock()
		brokerEpoch := req.BrokerEpoch
		if req.Version == 0 {
			brokerEpoch = -1
		}
		if err := t.cfg.Fence.Check(req.ControllerEpoch, brokerEpoch); err != nil {
			resp.ErrorCode = api.Code(err)
			return resp, nil
		}
		c := t.changeLocked()
		for _, s := range stops(req) {
			a := kmsg.NewStopReplicaResponsePartition()
			a.Topic, a.Partition, a.ErrorCode = s.partition.Topic, s.partition.Partition, api.Code(c.stop(s))
			resp.Partitions = append(resp.Partitions, a)
		}
		c.publish()
		return resp, nil
	})
}

func stops(req *api.StopReplicaRequest) (all []stop) {
	for _, ts := range req.Topics {
		switch {
		case req.Version == 0:
			all = append(all, stop{topic.Partition{Topic: ts.Topic, Partition: ts.Partition}, epochUnknown, req.DeletePartitions})
		case req.Version < 3:
			for _, p := range ts.Partitions {
				all = append(all, stop{topic.Partition{Topic: ts.Topic, Partition: p}, epochUnknown, req.DeletePartitions})
			}
		default:
			for _, p := range ts.PartitionStates {
				all = append(all, stop{topic.Partition{Topic: ts.Topic, Partition: p.Partition}, p.LeaderEpoch, p.Delete})
			}
		}
	}
	return all
}
