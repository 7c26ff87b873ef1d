package planner

import (
	"ottla/broker/znode"
)

// conflictsMax bounds how often a partition is decided anew because its node was not as expected. Only something that writes
// there without being the controller can cause more than one.
const conflictsMax = 10

// settle brings partitions to what rule says and puts those that changed into the batch: to their replicas, and to all brokers
// as metadata. Those without state get their first one.
func (p *Planner) settle(pts []*partition, rule rule) { p.settleTimes(pts, rule, conflictsMax) }

func (p *Planner) settleTimes(pts []*partition, rule rule, times int) {
	var again, newborn []*partition
	for _, pt := range pts {
		if pt.state == nil {
			if _, ok := p.initial(pt); ok {
				newborn = append(newborn, pt)
			}
			continue
		}
		next, change := rule(pt)
		if !change {
			continue
		}
		if pt.state.ControllerEpoch > p.epoch {
			p.note(true, "partition %s: state was written by a later controller (epoch %d), left alone", pt.name(), pt.state.ControllerEpoch)
			continue
		}
		next.LeaderEpoch++
		next.ControllerEpoch = p.epoch
		p.write(Write{Kind: SetState, Topic: pt.topic.name, Partition: pt.id, State: next}, func(r Result) {
			switch {
			case p.took(pt, next, r):
				p.announce(pt, false)
			case r.Conflict && r.Stored != nil:
				again = append(again, pt)
			}
		})
	}
	p.do(
		func() { p.createStates(newborn, &again) },
		func() {
			if len(again) > 0 && times > 0 {
				p.settleTimes(again, rule, times-1)
			}
		},
	)
}

// took records the result of writing next, and says whether it is the partition's state now.
func (p *Planner) took(pt *partition, next znode.PartitionState, r Result) bool {
	switch {
	case r.Failed != nil:
		p.note(true, "state of partition %s could not be written: %v", pt.name(), r.Failed)
		return false
	case r.Conflict && r.Stored == nil:
		// Made anew it would begin with epoch 0, which brokers that know the partition refuse. A topic that is really gone is
		// reported as such.
		p.note(true, "state of partition %s has vanished from ZooKeeper; it is left as brokers know it", pt.name())
		return false
	case r.Conflict:
		pt.state = r.Stored
		return false
	}
	next.Version = r.Version
	pt.state = &next
	return true
}

// announce puts a partition's new state into the batch.
func (p *Planner) announce(pt *partition, isNew bool) {
	if pt.topic.deletion != nil {
		return // brokers have been told that it is gone
	}
	p.tell(pt, isNew, pt.assignment.Replicas...)
	p.informAll(pt)
}

// createStates makes the nodes of partitions that have none. One whose state turns up is taken over and decided again.
func (p *Planner) createStates(pts []*partition, again *[]*partition) {
	if len(pts) == 0 {
		return
	}
	ignored := func(pt *partition) func(Result) {
		return func(r Result) {
			if r.Failed != nil {
				p.note(true, "znodes of partition %s could not be made: %v", pt.name(), r.Failed)
			}
		}
	}
	p.do(
		func() {
			made := map[*topicState]bool{}
			for _, pt := range pts {
				if !made[pt.topic] {
					made[pt.topic] = true
					p.write(Write{Kind: MakePartitions, Topic: pt.topic.name}, ignored(pt))
				}
			}
		},
		func() {
			for _, pt := range pts {
				p.write(Write{Kind: MakePartition, Topic: pt.topic.name, Partition: pt.id}, ignored(pt))
			}
		},
		func() {
			for _, pt := range pts {
				st, ok := p.initial(pt)
				if !ok {
					continue
				}
				if n := len(pt.assignment.Replicas); n > len(st.ISR) && !p.cfg.Replication && !pt.topic.warned {
					pt.topic.warned = true
					p.note(true, "topic %s was made with %d replicas, but this version keeps one copy: the first live replica serves alone", pt.topic.name, n)
				}
				p.write(Write{Kind: CreateState, Topic: pt.topic.name, Partition: pt.id, State: st}, func(r Result) {
					switch {
					case p.took(pt, st, r):
						p.tell(pt, true, st.ISR...)
						p.informAll(pt)
					case r.Conflict && r.Stored != nil:
						p.announce(pt, false)
						*again = append(*again, pt)
					}
				})
			}
		},
	)
}
