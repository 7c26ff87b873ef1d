package planner

import (
	"fmt"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// Config is what does not change while a controller is in office.
type Config struct {
	Epoch       int32 // the controller epoch
	Replication bool  // whether followers copy; without, one replica of each partition is used
	DeleteTopic bool  // delete.topic.enable
	// Unclean says whether a topic may be led by a replica that is not in sync (unclean.leader.election.enable of the topic, or
	// by default). Asked when it matters.
	Unclean func(topic string) bool
	// NewTopicID makes the id of a topic that a tool made without one.
	NewTopicID func() topic.ID
}

// Planner is a controller's mind. Not safe for concurrent use.
type Planner struct {
	cfg   Config
	epoch int32
	cluster

	tasks   []func()       // what remains to be done for the event
	waiting []func(Result) // for the writes of the last plan
	batch   batch
	plan    Plan
	unclean int
}

// New returns a planner that knows nothing: Loaded comes first.
func New(cfg Config) *Planner {
	return &Planner{cfg: cfg, epoch: cfg.Epoch, cluster: newCluster(), batch: newBatch()}
}

// Step takes an event and says what to do about it. See the package comment for the order of things.
func (p *Planner) Step(ev Event) Plan {
	p.plan = Plan{}
	switch ev := ev.(type) {
	case Written:
		p.written(ev)
	case Loaded:
		p.load(ev)
	case BrokersChanged:
		p.brokersChanged(ev.Brokers)
	case TopicsChanged:
		p.topicsChanged(ev)
	case TopicChanged:
		p.topicChanged(ev.Topic)
	case DeletionRequested:
		p.deletionRequested(ev.Topics)
	case ReplicasStopped:
		p.replicasStopped(ev)
	case ReplicasStarted:
		p.replicasStarted(ev)
	case LogDirsFailed:
		p.logDirsFailed(ev.Brokers)
	case PreferredElection:
		p.elect(ev.Partitions, p.prefer)
	case UncleanElection:
		p.elect(ev.Partitions, p.force)
	case Rebalance:
		p.rebalance(ev.Percentage)
	case ShutdownRequested:
		p.shutdownRequested(ev)
	case UncleanAllowed:
		p.uncleanAllowed(ev.Topics)
	}
	for len(p.waiting) == 0 && len(p.tasks) > 0 {
		task := p.tasks[0]
		p.tasks = p.tasks[1:]
		task()
	}
	return p.plan
}

// UncleanElections is how often a partition got a leader that was not in sync.
func (p *Planner) UncleanElections() int { return p.unclean }

// Deletions are what is to be deleted, and how much of that cannot be for now: a replica whose broker is dead or has refused it.
type Deletions struct{ Topics, IneligibleTopics, Replicas, IneligibleReplicas int }

// Deletions counts what is to be deleted.
func (p *Planner) Deletions() (n Deletions) {
	for _, t := range p.topics {
		if t.deletion == nil {
			continue
		}
		n.Topics++
		held := 0
		for _, st := range t.deletion.replicas {
			switch st {
			case failed:
				held++
				n.Replicas++
			case waiting, started:
				n.Replicas++
			}
		}
		if n.IneligibleReplicas += held; held > 0 {
			n.IneligibleTopics++
		}
	}
	return n
}

// Knows says whether the topic is known.
func (p *Planner) Knows(name string) bool { return p.topics[name] != nil }

// IsDeleting says whether the topic is waiting to be deleted.
func (p *Planner) IsDeleting(name string) bool {
	t := p.topics[name]
	return t != nil && t.deletion != nil
}

// Broker finds a registered broker.
func (p *Planner) Broker(id int32) (znode.Broker, bool) {
	b, ok := p.brokers[id]
	return b, ok
}

// do puts tasks before what else remains to be done. A task that writes ends the plan; the next one runs when the results
// are in.
func (p *Planner) do(tasks ...func()) { p.tasks = append(tasks, p.tasks...) }

// write adds a write to the plan; then is called with its result.
func (p *Planner) write(w Write, then func(Result)) {
	p.plan.Writes = append(p.plan.Writes, w)
	p.waiting = append(p.waiting, then)
}

func (p *Planner) written(ev Written) {
	waiting := p.waiting
	p.waiting = nil
	for i, then := range waiting {
		then(ev.Results[i])
	}
}

func (p *Planner) note(warning bool, format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, Note{warning, fmt.Sprintf(format, args...)})
}

// load takes over the cluster.
func (p *Planner) load(ev Loaded) {
	for _, b := range ev.Brokers {
		p.brokers[b.ID] = b
	}
	p.plan.Come = ev.Brokers
	for _, t := range ev.Topics {
		for _, pt := range p.add(t) {
			if st, ok := ev.States[pt.name()]; ok {
				pt.state = &st
			}
		}
	}
	var fresh []string
	for _, name := range ev.Deleting {
		if p.queueDeletion(name) {
			fresh = append(fresh, name)
		}
	}
	p.do(
		p.giveIDs,
		func() {
			// Before any LeaderAndISR: a broker follows only leaders that it knows to be alive.
			p.informAll()
			p.flush()
		},
		func() { p.settle(p.serving(func(*partition) bool { return true }), p.decide) },
		func() {
			served := p.serving(hasState)
			for _, pt := range served {
				p.tell(pt, false, pt.assignment.Replicas...)
			}
			if len(served) > 0 {
				p.informAll(served...)
			}
			p.flush()
		},
		func() { p.deleteTopics(fresh) },
	)
}

// giveIDs writes ids into the nodes of topics that have none.
func (p *Planner) giveIDs() {
	for _, t := range p.sorted() {
		if t.id.IsZero() {
			t.id = p.cfg.NewTopicID()
			p.setTopic(t)
		}
	}
}

func (p *Planner) setTopic(t *topicState) {
	p.write(Write{Kind: SetTopic, Topic: t.name, Node: t.node()}, func(r Result) {
		if r.Failed != nil {
			p.note(true, "znode of topic %s could not be written: %v", t.name, r.Failed)
		}
	})
}

// topicsChanged takes in new topics, and drops those that somebody removed by hand.
func (p *Planner) topicsChanged(ev TopicsChanged) {
	there := make(map[string]bool, len(ev.Names))
	for _, name := range ev.Names {
		there[name] = true
	}
	for _, t := range p.sorted() {
		if !there[t.name] {
			p.note(true, "topic %s is gone from ZooKeeper though nobody asked to delete it; brokers keep its data", t.name)
			p.removed(t)
		}
	}
	var added []*partition
	for _, t := range ev.New {
		if !p.Knows(t.Name) {
			added = append(added, p.add(t)...)
		}
	}
	p.do(p.giveIDs, func() { p.settle(added, p.decide) }, p.flush)
}

// topicChanged takes in new partitions. All else that a tool may have changed in the node is not its to change.
func (p *Planner) topicChanged(node znode.Topic) {
	t := p.topics[node.Name]
	if t == nil {
		return
	}
	if !node.ID.IsZero() && node.ID != t.id {
		p.note(true, "topic %s has another id in ZooKeeper (%s) than the one it was made with (%s); the change is ignored", t.name, node.ID, t.id)
		return
	}
	if t.deletion != nil {
		if len(node.Partitions) > len(t.partitions) {
			p.note(true, "topic %s is being deleted: added partitions are taken back", t.name)
			p.setTopic(t)
		}
		return
	}
	added := p.add(node)
	if node.ID.IsZero() {
		p.setTopic(t) // written by a tool that knows no ids
	}
	if len(added) > 0 {
		p.do(func() { p.settle(added, p.decide) }, p.flush)
	}
}

func (p *Planner) uncleanAllowed(topics []string) {
	named := map[string]bool{}
	for _, name := range topics {
		named[name] = true
	}
	leaderless := p.serving(func(pt *partition) bool {
		return (len(named) == 0 || named[pt.topic.name]) && (pt.state == nil || !p.registered(pt.state.Leader, pt))
	})
	p.do(func() { p.settle(leaderless, p.decide) }, p.flush)
}
