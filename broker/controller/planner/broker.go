package planner

import (
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// brokersChanged tells who died, came, or did both between two looks, from the list of registrations.
func (p *Planner) brokersChanged(now []znode.Broker) {
	there := map[int32]bool{}
	dead := map[int32]bool{}
	var come []znode.Broker
	moved := false
	for _, b := range now {
		there[b.ID] = true
		old, known := p.brokers[b.ID]
		switch {
		case !known:
			come = append(come, b)
		case old.Epoch != b.Epoch:
			dead[b.ID] = true
			come = append(come, b)
		case !reflect.DeepEqual(old, b):
			p.brokers[b.ID] = b
			moved = true
		}
	}
	for id := range p.brokers {
		if !there[id] {
			dead[id] = true
		}
	}
	if len(dead) > 0 {
		p.do(func() { p.brokersDied(dead) })
	}
	if len(come) > 0 {
		p.tasks = append(p.tasks, func() { p.brokersCame(come) })
	}
	if moved && len(dead) == 0 && len(come) == 0 {
		p.informAll()
		p.flush()
	}
}

func (p *Planner) brokersDied(dead map[int32]bool) {
	for _, id := range slices.Sorted(maps.Keys(dead)) {
		p.plan.Gone = append(p.plan.Gone, id)
		delete(p.brokers, id)
		delete(p.shutting, id)
		delete(p.offline, id)
		p.note(false, "broker %d is gone", id)
	}
	for _, t := range p.sorted() {
		t.deletion.brokersDied(dead)
	}
	concerned := p.serving(hasReplica(dead))
	p.do(
		func() { p.settle(concerned, p.decide) },
		func() {
			p.informAll(concerned...) // also those whose leader and ISR stay have an offline replica now
			p.flush()
		},
	)
}

func (p *Planner) brokersCame(come []znode.Broker) {
	ids := map[int32]bool{}
	for _, b := range come {
		ids[b.ID] = true
		p.brokers[b.ID] = b
		p.note(false, "broker %d has come", b.ID)
	}
	p.plan.Come = append(p.plan.Come, come...)
	p.informAll()
	for _, b := range come {
		p.informOne(b.ID, p.serving(hasState)...)
	}
	p.flush()
	p.do(
		func() {
			p.settle(p.serving(func(pt *partition) bool { return pt.state == nil || !p.registered(pt.state.Leader, pt) }), p.decide)
		},
		func() {
			for _, pt := range p.serving(func(pt *partition) bool { return hasState(pt) && hasReplica(ids)(pt) }) {
				for _, b := range come {
					if slices.Contains(pt.assignment.Replicas, b.ID) {
						p.tell(pt, false, b.ID)
					}
				}
				p.informAll(pt) // its replica is not offline any more
			}
			p.flush()
		},
		func() { p.retryDeletions(ids) },
	)
}

// logDirsFailed asks brokers about all their replicas: their answers tell which are lost.
func (p *Planner) logDirsFailed(brokers []int32) {
	for _, b := range brokers {
		for _, pt := range p.serving(func(pt *partition) bool { return hasState(pt) && slices.Contains(pt.assignment.Replicas, b) }) {
			p.tell(pt, false, b)
		}
	}
	p.flush()
}

// replicasStarted learns from answers to LeaderAndISR which replicas have lost their log directory, or have it again.
func (p *Planner) replicasStarted(ev ReplicasStarted) {
	b, ok := p.brokers[ev.Broker]
	if !ok || b.Epoch != ev.Epoch {
		return // the answer of an earlier life
	}
	offline := p.offline[b.ID]
	var lost, back []*partition
	for tp, code := range ev.Errors {
		pt := p.partition(tp)
		switch {
		case pt == nil || !slices.Contains(pt.assignment.Replicas, b.ID):
		case code == kerr.KafkaStorageError.Code && !offline[pt]:
			lost = append(lost, pt)
		case code == 0 && offline[pt]:
			back = append(back, pt)
		}
	}
	if len(lost)+len(back) == 0 {
		return
	}
	if offline == nil {
		offline = map[*partition]bool{}
		p.offline[b.ID] = offline
	}
	for _, pt := range lost {
		offline[pt] = true
	}
	for _, pt := range back {
		delete(offline, pt)
	}
	lost, back = inOrder(lost), inOrder(back)
	if len(lost) > 0 {
		p.note(true, "broker %d has lost the log directory of %d partitions, %s among them", b.ID, len(lost), lost[0].name())
	}
	var concerned []*partition
	for _, pt := range append(slices.Clone(lost), back...) {
		if pt.topic.deletion != nil {
			pt.topic.deletion.fail(pt, b.ID)
			continue
		}
		concerned = append(concerned, pt)
	}
	for _, pt := range lost {
		if pt.state != nil && pt.topic.deletion == nil {
			p.stop(b.ID, pt, pt.state.LeaderEpoch, false)
		}
	}
	p.do(
		func() { p.settle(concerned, p.decide) },
		func() {
			p.informAll(concerned...)
			p.flush()
		},
	)
}

// shutdownRequested moves what can be moved away from a broker that wants to leave.
func (p *Planner) shutdownRequested(ev ShutdownRequested) {
	b, ok := p.brokers[ev.Broker]
	switch {
	case !ok:
		p.plan.Shutdown = &Shutdown{Outcome: ShutdownUnknownBroker}
		return
	case ev.Epoch >= 0 && ev.Epoch < b.Epoch:
		p.plan.Shutdown = &Shutdown{Outcome: ShutdownStaleEpoch}
		return
	}
	p.shutting[b.ID] = true
	p.note(false, "broker %d is shutting down", b.ID)
	// Partitions of one replica, used or assigned, go down with it: nobody could take over.
	replicated := p.serving(func(pt *partition) bool {
		return p.cfg.Replication && hasState(pt) && len(pt.assignment.Replicas) > 1 && slices.Contains(pt.assignment.Replicas, b.ID)
	})
	leads := func(pt *partition) bool { return pt.state != nil && pt.state.Leader == b.ID }
	var led, followed []*partition
	for _, pt := range replicated {
		switch {
		case leads(pt):
			led = append(led, pt)
		case pt.state.Leader != znode.NoLeader:
			followed = append(followed, pt)
		}
	}
	p.do(
		func() { p.settle(led, p.release) },
		p.flush,
		func() {
			for _, pt := range followed {
				p.stop(b.ID, pt, pt.state.LeaderEpoch, false)
			}
			p.settle(followed, leave(b.ID))
		},
		func() {
			p.flush()
			done := &Shutdown{}
			for _, pt := range led {
				if leads(pt) {
					done.Remaining = append(done.Remaining, pt.name())
				}
			}
			p.plan.Shutdown = done
		},
	)
}

// elect lets partitions settle by a rule that somebody asked for.
func (p *Planner) elect(tps []topic.Partition, rule rule) {
	var pts []*partition
	for _, tp := range tps {
		pt := p.partition(tp)
		if pt == nil || pt.topic.deletion != nil || pt.state == nil {
			p.note(true, "leader of partition %s cannot be elected as was asked: there is no such partition, or it has no state yet, or is being deleted", tp)
			continue
		}
		pts = append(pts, pt)
	}
	p.do(func() { p.settle(inOrder(pts), rule) }, p.flush)
}

// rebalance elects the preferred leaders of a broker that does not lead more than the percentage of what it should.
func (p *Planner) rebalance(percentage int) {
	preferred := map[int32][]*partition{}
	for _, pt := range p.serving(hasState) {
		b := pt.assignment.Replicas[0]
		preferred[b] = append(preferred[b], pt)
	}
	var all []*partition
	for b, pts := range preferred {
		var elsewhere []*partition
		for _, pt := range pts {
			if pt.state.Leader != b {
				elsewhere = append(elsewhere, pt)
			}
		}
		if float64(len(elsewhere))/math.Max(1, float64(len(pts))) > float64(percentage)/100 {
			all = append(all, elsewhere...)
		}
	}
	if len(all) > 0 {
		p.do(func() { p.settle(inOrder(all), p.prefer) }, p.flush)
	}
}
