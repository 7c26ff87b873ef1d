package znode

import (
	"context"
	"encoding/json"
	"fmt"

	"ottla/broker/topic"
)

// NoLeader is the leader of a partition that has none.
const NoLeader = -1

// PartitionState is who leads a partition, and who is in sync.
type PartitionState struct {
	Leader          int32 // NoLeader for none
	LeaderEpoch     int32
	ISR             []int32 // never empty
	ControllerEpoch int32   // of the controller that decided it
	Recovering      bool    // after an unclean election
	Version         int32   // of the node: the partition epoch. Not part of the data
}

type stateJSON struct {
	ControllerEpoch int32   `json:"controller_epoch"`
	Leader          int32   `json:"leader"`
	Version         int     `json:"version"`
	LeaderEpoch     int32   `json:"leader_epoch"`
	ISR             []int32 `json:"isr"`
	Recovery        int8    `json:"leader_recovery_state,omitempty"`
}

// Encode is the node's data.
func (p PartitionState) Encode() []byte {
	j := stateJSON{ControllerEpoch: p.ControllerEpoch, Leader: p.Leader, Version: 1, LeaderEpoch: p.LeaderEpoch, ISR: p.ISR}
	if p.Recovering {
		j.Recovery = 1
	}
	return encode(j)
}

// DecodePartitionState reads a partition's state; version is that of the node.
func DecodePartitionState(data []byte, version int32) (PartitionState, error) {
	var j stateJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return PartitionState{}, err
	}
	if len(j.ISR) == 0 {
		return PartitionState{}, fmt.Errorf("the ISR is empty")
	}
	return PartitionState{
		Leader: j.Leader, LeaderEpoch: j.LeaderEpoch, ISR: j.ISR, ControllerEpoch: j.ControllerEpoch, Recovering: j.Recovery == 1, Version: version,
	}, nil
}

// PartitionStates reads the states of partitions. Those without one are left out; those that cannot be understood are in
// skipped.
func (s *Session) PartitionStates(ctx context.Context, partitions []topic.Partition) (states map[topic.Partition]PartitionState, skipped []error, err error) {
	paths := make([]string, len(partitions))
	for i, tp := range partitions {
		paths[i] = StatePath(tp.Topic, tp.Partition)
	}
	reads, err := s.GetAll(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	states = make(map[topic.Partition]PartitionState, len(partitions))
	for i, r := range reads {
		if r.Err != nil {
			if !isNoNode(r.Err) {
				return nil, nil, r.Err
			}
			continue
		}
		st, err := DecodePartitionState(r.Data, r.Stat.Version)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("state of partition %s: %w", partitions[i], err))
			continue
		}
		states[partitions[i]] = st
	}
	return states, skipped, nil
}
