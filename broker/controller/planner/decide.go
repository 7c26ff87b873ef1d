package planner

import (
	"slices"

	"ottla/broker/znode"
)

// A rule says what the state of a partition that has one should become. change is false to leave it. The rule fills in
// leader, ISR and recovery; the epochs follow from the change.
type rule func(*partition) (next znode.PartitionState, change bool)

// first is the first of the replicas, in order of assignment, that qualifies.
func first(replicas []int32, qualifies func(int32) bool) (int32, bool) {
	i := slices.IndexFunc(replicas, qualifies)
	if i < 0 {
		return znode.NoLeader, false
	}
	return replicas[i], true
}

func filter(ids []int32, keep func(int32) bool) []int32 {
	var kept []int32
	for _, id := range ids {
		if keep(id) {
			kept = append(kept, id)
		}
	}
	return kept
}

// initial is the first state of a partition: ok is false while no replica lives.
func (p *Planner) initial(pt *partition) (st znode.PartitionState, ok bool) {
	live := filter(pt.assignment.Replicas, func(b int32) bool { return p.live(b, pt) })
	if len(live) == 0 {
		return st, false
	}
	if !p.cfg.Replication {
		live = live[:1]
	}
	return znode.PartitionState{Leader: live[0], ISR: live, ControllerEpoch: p.epoch}, true
}

// decide is the rule of every event: a partition has a leader if it can have one, and the dead are not in its ISR, but for
// the last ones: whoever of them returns can lead without loss.
func (p *Planner) decide(pt *partition) (znode.PartitionState, bool) {
	return p.decideWith(pt, func() bool { return p.cfg.Unclean != nil && p.cfg.Unclean(pt.topic.name) })
}

// force is decide where records may be lost, whatever the topic's configuration says.
func (p *Planner) force(pt *partition) (znode.PartitionState, bool) {
	return p.decideWith(pt, func() bool { return true })
}

func (p *Planner) decideWith(pt *partition, unclean func() bool) (znode.PartitionState, bool) {
	next := *pt.state
	if p.registered(next.Leader, pt) {
		next.ISR = filter(pt.state.ISR, func(b int32) bool { return p.registered(b, pt) })
		return next, len(next.ISR) > 0 && len(next.ISR) < len(pt.state.ISR)
	}
	live := func(b int32) bool { return p.live(b, pt) }
	if leader, ok := first(pt.assignment.Replicas, func(b int32) bool { return live(b) && slices.Contains(pt.state.ISR, b) }); ok {
		next.Leader, next.ISR = leader, filter(pt.state.ISR, live)
		return next, true
	}
	if leader, ok := first(pt.assignment.Replicas, live); ok && unclean() {
		next.Leader, next.ISR, next.Recovering = leader, []int32{leader}, true
		p.unclean++
		return next, true
	}
	next.Leader = znode.NoLeader
	if alive := filter(pt.state.ISR, func(b int32) bool { return p.registered(b, pt) }); len(alive) > 0 {
		next.ISR = alive // registered but shutting down: not electable now
	}
	return next, next.Leader != pt.state.Leader || len(next.ISR) < len(pt.state.ISR)
}

// prefer makes the preferred replica the leader, if it can be without loss.
func (p *Planner) prefer(pt *partition) (znode.PartitionState, bool) {
	next := *pt.state
	next.Leader = pt.assignment.Replicas[0]
	return next, next.Leader != pt.state.Leader && p.live(next.Leader, pt) && slices.Contains(next.ISR, next.Leader)
}

// release takes the leadership from brokers that are shutting down, if somebody else can have it.
func (p *Planner) release(pt *partition) (znode.PartitionState, bool) {
	next := *pt.state
	leader, ok := first(pt.assignment.Replicas, func(b int32) bool {
		return p.registered(b, pt) && !p.shutting[b] && slices.Contains(next.ISR, b)
	})
	next.Leader, next.ISR = leader, filter(next.ISR, func(b int32) bool { return !p.shutting[b] })
	return next, ok
}

// leave takes one follower out of the ISR.
func leave(broker int32) rule {
	return func(pt *partition) (znode.PartitionState, bool) {
		next := *pt.state
		next.ISR = filter(next.ISR, func(b int32) bool { return b != broker })
		return next, len(next.ISR) > 0 && len(next.ISR) < len(pt.state.ISR)
	}
}

// bury leaves a partition that is to be deleted without a leader.
func bury(pt *partition) (znode.PartitionState, bool) {
	next := *pt.state
	next.Leader = znode.NoLeader
	return next, pt.state.Leader != znode.NoLeader
}
