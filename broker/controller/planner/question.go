package planner

import (
	"slices"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// Electable says whether an election would change anything: ok false with why there can be none.
type Electable uint8

// What can be said of a partition before an election.
const (
	CanElect Electable = iota
	NotNeeded
	NoPartition
	BeingDeleted
)

// Electable judges a partition for a preferred election, or for an unclean one.
func (p *Planner) Electable(tp topic.Partition, unclean bool) Electable {
	pt := p.partition(tp)
	switch {
	case pt == nil:
		return NoPartition
	case pt.topic.deletion != nil:
		return BeingDeleted
	case pt.state == nil:
		return CanElect
	case unclean && pt.state.Leader != znode.NoLeader && p.isAlive(pt.state.Leader),
		!unclean && pt.state.Leader == pt.assignment.Replicas[0]:
		return NotNeeded
	}
	return CanElect
}

func (p *Planner) isAlive(broker int32) bool {
	_, ok := p.brokers[broker]
	return ok && !p.shutting[broker]
}

// Leader is a partition's leader as it was last written; NoLeader if there is none.
func (p *Planner) Leader(tp topic.Partition) int32 {
	if pt := p.partition(tp); pt != nil && pt.state != nil {
		return pt.state.Leader
	}
	return znode.NoLeader
}

// Reassignments are the partitions whose replicas are being changed, as a tool or another controller left them, by topic and number.
func (p *Planner) Reassignments() map[topic.Partition]znode.Assignment {
	all := map[topic.Partition]znode.Assignment{}
	for _, pt := range p.serving(func(pt *partition) bool { return len(pt.assignment.Adding)+len(pt.assignment.Removing) > 0 }) {
		a := pt.assignment
		all[pt.name()] = znode.Assignment{Replicas: slices.Clone(a.Replicas), Adding: slices.Clone(a.Adding), Removing: slices.Clone(a.Removing)}
	}
	return all
}
