package partition

import "slices"

// State is what the controller says of a partition (LeaderAndIsr).
type State struct {
	ControllerEpoch int32
	Leader          int32 // -1: none
	LeaderEpoch     int32
	PartitionEpoch  int32 // version of the partition's state znode
	ISR             []int32
	Replicas        []int32
	Adding          []int32
	Removing        []int32
	Recovering      bool // leader_recovery_state 1: elected uncleanly
}

func (s State) clone() State {
	s.ISR, s.Replicas = slices.Clone(s.ISR), slices.Clone(s.Replicas)
	s.Adding, s.Removing = slices.Clone(s.Adding), slices.Clone(s.Removing)
	return s
}
