package planner

import (
	"slices"
)

// deletion is what has become of the replicas of a topic that is to be deleted.
//
//	waiting -> started (StopReplica with delete sent) -> done (answered without error)
//	        -> failed  (broker dead, log directory lost, or answered with an error) -> waiting again when a broker comes
//
// The topic's nodes are removed when all are done, the request to delete last: until then a new controller starts over.
type deletion struct {
	replicas  map[replica]replicaDeletion
	announced bool // brokers have been told to drop it from their metadata
	removing  bool // the nodes are being removed
}

type replica struct {
	partition, broker int32
}

type replicaDeletion uint8

const (
	waiting replicaDeletion = iota
	started
	done
	failed
)

// brokersDied fails what runs on dead brokers. A nil deletion is one of a topic that stays.
func (d *deletion) brokersDied(dead map[int32]bool) {
	if d == nil {
		return
	}
	for r, st := range d.replicas {
		if dead[r.broker] && st == started {
			d.replicas[r] = failed
		}
	}
}

func (d *deletion) fail(pt *partition, broker int32) {
	if r := (replica{pt.id, broker}); d.replicas[r] == started {
		d.replicas[r] = failed
	}
}

func (d *deletion) isDone() bool {
	for _, st := range d.replicas {
		if st != done {
			return false
		}
	}
	return true
}

// queueDeletion marks a topic to be deleted, or drops the request. fresh says that it was not marked before.
func (p *Planner) queueDeletion(name string) (fresh bool) {
	t := p.topics[name]
	switch {
	case t == nil:
		p.note(true, "topic %s, which is to be deleted, does not exist", name)
		p.dropDeletionRequest(name)
		return false
	case !p.cfg.DeleteTopic:
		p.note(true, "topic %s is not deleted: delete.topic.enable is false", name)
		p.dropDeletionRequest(name)
		return false
	case t.deletion != nil:
		return false
	}
	t.deletion = &deletion{replicas: map[replica]replicaDeletion{}}
	for _, pt := range t.partitions {
		for _, b := range pt.assignment.Replicas {
			t.deletion.replicas[replica{pt.id, b}] = waiting
		}
	}
	return true
}

func (p *Planner) dropDeletionRequest(name string) {
	p.write(Write{Kind: DropDeletionRequest, Topic: name}, func(r Result) {
		if r.Failed != nil {
			p.note(true, "the request to delete topic %s could not be removed: %v", name, r.Failed)
		}
	})
}

func (p *Planner) deletionRequested(names []string) {
	var fresh []string
	for _, name := range names {
		if p.queueDeletion(name) {
			fresh = append(fresh, name)
		}
	}
	p.do(func() { p.deleteTopics(fresh) })
}

// deleteTopics starts, or starts again, to delete topics that are marked.
func (p *Planner) deleteTopics(names []string) {
	var pts []*partition
	for _, name := range names {
		t := p.topics[name]
		for _, id := range t.ids {
			pts = append(pts, t.partitions[id])
		}
		if !t.deletion.announced {
			t.deletion.announced = true
			for _, id := range t.ids {
				p.informAll(t.partitions[id])
			}
		}
	}
	if len(pts) == 0 {
		p.removeDeleted()
		return
	}
	p.flush()
	withState := slices.DeleteFunc(slices.Clone(pts), func(pt *partition) bool { return pt.state == nil })
	p.do(
		func() { p.settle(withState, bury) },
		func() {
			for _, pt := range pts {
				p.stopDeleted(pt)
			}
			p.flush()
		},
		p.removeDeleted,
	)
}

// stopDeleted tells the brokers that have a replica to delete it, or notes that they cannot.
func (p *Planner) stopDeleted(pt *partition) {
	d := pt.topic.deletion
	for _, b := range pt.assignment.Replicas {
		r := replica{pt.id, b}
		switch {
		case d.replicas[r] == done || d.replicas[r] == started:
		case p.registered(b, pt):
			d.replicas[r] = started
			p.stop(b, pt, EpochDeleted, true)
		default:
			d.replicas[r] = failed
			p.note(false, "topic %s: deletion waits for broker %d, which has a replica of partition %d", pt.topic.name, b, pt.id)
		}
	}
}

// retryDeletions starts again what failed, now that brokers have come.
func (p *Planner) retryDeletions(come map[int32]bool) {
	var again []string
	for _, t := range p.sorted() {
		if t.deletion == nil {
			continue
		}
		retry := false
		for r, st := range t.deletion.replicas {
			if st == failed && come[r.broker] {
				retry = true
			}
		}
		if retry {
			again = append(again, t.name)
		}
	}
	p.deleteTopics(again)
}

// replicasStopped learns from answers to StopReplica which replicas are deleted.
func (p *Planner) replicasStopped(ev ReplicasStopped) {
	b, ok := p.brokers[ev.Broker]
	if !ok || b.Epoch != ev.Epoch {
		return // its death has failed them already
	}
	for tp, code := range ev.Errors {
		pt := p.partition(tp)
		if pt == nil || pt.topic.deletion == nil {
			continue
		}
		d, r := pt.topic.deletion, replica{tp.Partition, b.ID}
		if d.replicas[r] != started {
			continue
		}
		if code == 0 {
			d.replicas[r] = done
			continue
		}
		d.replicas[r] = failed
		p.note(true, "broker %d could not delete partition %s (error %d); it is asked again when a broker comes", b.ID, tp, code)
	}
	p.removeDeleted()
}

// removeDeleted removes the nodes of topics whose replicas are all deleted.
func (p *Planner) removeDeleted() {
	for _, t := range p.sorted() {
		if t.deletion == nil || t.deletion.removing || !t.deletion.announced || !t.deletion.isDone() {
			continue
		}
		t.deletion.removing = true
		p.write(Write{Kind: RemoveTopic, Topic: t.name}, func(r Result) {
			t.deletion.removing = false
			if r.Failed != nil {
				p.note(true, "znodes of deleted topic %s could not be removed: %v", t.name, r.Failed)
				return
			}
			p.note(false, "topic %s is deleted", t.name)
			p.forget(t)
			p.plan.Forgotten = append(p.plan.Forgotten, t.name)
		})
	}
}

// removed drops a topic whose node is gone.
func (p *Planner) removed(t *topicState) {
	if t.deletion != nil {
		p.dropDeletionRequest(t.name)
	}
	p.forget(t)
	p.plan.Forgotten = append(p.plan.Forgotten, t.name)
}
