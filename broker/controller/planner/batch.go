package planner

import (
	"cmp"
	"maps"
	"slices"

	"ottla/broker/znode"
)

// batch collects what brokers are to be told, one request of a kind to each. A partition that is put in twice goes out once,
// as it is when the batch is flushed.
type batch struct {
	replicas map[int32]map[*partition]bool // LeaderAndISR by broker; true: new
	all      []*partition                  // UpdateMetadata to all brokers
	some     map[int32][]*partition        // and more for some
	inform   map[int32]bool                // who gets UpdateMetadata, with partitions or without
	stops    map[int32][]stopped
}

type stopped struct {
	partition *partition
	stop      Stop
}

func newBatch() batch {
	return batch{replicas: map[int32]map[*partition]bool{}, some: map[int32][]*partition{}, inform: map[int32]bool{}, stops: map[int32][]stopped{}}
}

// tell puts a partition into LeaderAndISR to those of the brokers that are registered.
func (p *Planner) tell(pt *partition, isNew bool, brokers ...int32) {
	for _, b := range brokers {
		if _, ok := p.brokers[b]; !ok {
			continue
		}
		if p.batch.replicas[b] == nil {
			p.batch.replicas[b] = map[*partition]bool{}
		}
		p.batch.replicas[b][pt] = p.batch.replicas[b][pt] || isNew
	}
}

// informAll puts partitions into UpdateMetadata to all brokers; with none it still goes out.
func (p *Planner) informAll(pts ...*partition) {
	p.batch.all = append(p.batch.all, pts...)
	for b := range p.brokers {
		p.batch.inform[b] = true
	}
}

// informOne puts partitions into UpdateMetadata to one broker.
func (p *Planner) informOne(broker int32, pts ...*partition) {
	p.batch.some[broker] = append(p.batch.some[broker], pts...)
	p.batch.inform[broker] = true
}

// stop puts a partition into StopReplica to a broker that is registered.
func (p *Planner) stop(broker int32, pt *partition, epoch int32, remove bool) {
	if _, ok := p.brokers[broker]; ok {
		p.batch.stops[broker] = append(p.batch.stops[broker], stopped{pt, Stop{pt.name(), epoch, remove}})
	}
}

// flush turns the batch into requests: to each broker LeaderAndISR, UpdateMetadata, StopReplica, in this order.
func (p *Planner) flush() {
	b := p.batch
	p.batch = newBatch()
	all := p.metadata(b.all)
	var live []znode.Broker
	if len(b.inform) > 0 {
		live = p.liveBrokers()
	}
	for _, id := range p.brokerIDs() {
		to := Header{id, p.brokers[id].Epoch}
		for _, s := range b.stops[id] {
			// The epoch of LeaderAndISR is the later one: the broker would not stop any more.
			delete(b.replicas[id], s.partition)
		}
		if pts := b.replicas[id]; len(pts) > 0 {
			p.plan.Requests = append(p.plan.Requests, p.leaderAndISR(to, pts))
		}
		if b.inform[id] {
			partitions := all
			if some := b.some[id]; len(some) > 0 {
				partitions = p.metadata(append(some, b.all...))
			}
			p.plan.Requests = append(p.plan.Requests, &UpdateMetadata{Header: to, Partitions: partitions, Live: live})
		}
		if stops := b.stops[id]; len(stops) > 0 {
			r := &StopReplica{Header: to}
			for _, s := range stops {
				r.Partitions = append(r.Partitions, s.stop)
			}
			p.plan.Requests = append(p.plan.Requests, r)
		}
	}
}

func (p *Planner) leaderAndISR(to Header, pts map[*partition]bool) *LeaderAndISR {
	r := &LeaderAndISR{Header: to}
	leaders := map[int32]bool{}
	for _, pt := range inOrder(slices.Collect(maps.Keys(pts))) {
		r.Partitions = append(r.Partitions, Replica{
			Partition: pt.name(), TopicID: pt.topic.id, State: *pt.state, Assignment: pt.assignment, New: pts[pt],
		})
		leaders[pt.state.Leader] = true
	}
	for _, b := range p.liveBrokers() {
		if leaders[b.ID] {
			r.Leaders = append(r.Leaders, b)
		}
	}
	return r
}

// metadata is what UpdateMetadata says of partitions. Those without state are left out: nobody could use them.
func (p *Planner) metadata(pts []*partition) []Metadata {
	ms := make([]Metadata, 0, len(pts))
	for _, pt := range inOrder(pts) {
		if pt.state == nil {
			continue
		}
		m := Metadata{Partition: pt.name(), TopicID: pt.topic.id, State: *pt.state, Replicas: pt.assignment.Replicas}
		m.Offline = filter(m.Replicas, func(b int32) bool { return !p.live(b, pt) })
		if pt.topic.deletion != nil {
			m.State = znode.PartitionState{Leader: LeaderDeleted, ISR: pt.state.ISR, ControllerEpoch: p.epoch}
		}
		ms = append(ms, m)
	}
	return ms
}

// inOrder sorts partitions by topic and number, and drops repeated ones.
func inOrder(pts []*partition) []*partition {
	pts = slices.Clone(pts)
	slices.SortFunc(pts, func(a, b *partition) int {
		return cmp.Or(cmp.Compare(a.topic.name, b.topic.name), cmp.Compare(a.id, b.id))
	})
	return slices.Compact(pts)
}
