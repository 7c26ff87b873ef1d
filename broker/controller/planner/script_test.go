package planner

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// TestScripts replays clusters' lives. A script's commands are events; the output is what was written to ZooKeeper, in order,
// and what brokers were told. ZooKeeper is a map here, with versions.
//
//	controller epoch=1 [replication] [nodelete] [unclean=t]   a new controller, which loads the cluster as it is in ZooKeeper
//	brokers 1 2:r1 3@900             registered are 1, 2 in rack r1, and 3 with that epoch (default: 100 + id)
//	topic t [noid] 0=(1,2) 1=(2,1)       somebody writes a topic's node; "grow t …" the same for one that exists
//	state t-0 leader=1 epoch=3 isr=(1,2)   somebody else changes a state; then the controller's compare-and-set fails once
//	delete t | preferred t-0 | rebalance 10 | shutdown 1 [epoch=5] | unclean t | logdir 1
//	stopped 1 t-0 [error=56] | started 1 t-0 error=56      answers of brokers
//	fail t-0                         the next write about it fails
//	show                             ZooKeeper
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		h := newHarness()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			h.out.Reset()
			h.run(t, d)
			return h.out.String()
		})
	})
}

// harness is a controller with a ZooKeeper of maps.
type harness struct {
	out     strings.Builder
	p       *Planner
	epoch   int32
	ids     byte
	unclean string
	brokers []znode.Broker
	topics  map[string]znode.Topic
	states  map[topic.Partition]znode.PartitionState
	deletes map[string]bool
	failing map[string]bool
	quiet   bool
}

func newHarness() *harness {
	return &harness{
		topics: map[string]znode.Topic{}, states: map[topic.Partition]znode.PartitionState{}, deletes: map[string]bool{}, failing: map[string]bool{},
	}
}

func (h *harness) run(t *testing.T, d *datadriven.TestData) {
	arg := func(i int) string {
		if i >= len(d.CmdArgs) {
			t.Fatalf("%s: %s wants more arguments", d.Pos, d.Cmd)
		}
		return d.CmdArgs[i].Key
	}
	value := func(key, otherwise string) string {
		for _, a := range d.CmdArgs {
			if a.Key == key && len(a.Vals) > 0 {
				return strings.Join(a.Vals, ",")
			}
		}
		return otherwise
	}
	switch d.Cmd {
	case "controller":
		h.epoch = num(value("epoch", "1"))
		h.unclean = value("unclean", "")
		h.newController(d.HasArg("replication"), !d.HasArg("nodelete"))
	case "brokers":
		h.brokers = nil
		for _, a := range d.CmdArgs {
			h.brokers = append(h.brokers, parseBroker(a.Key))
		}
		if h.p != nil {
			h.step(BrokersChanged{h.brokers})
		}
	case "topic", "grow":
		node := znode.Topic{Name: arg(0), Partitions: map[int32]znode.Assignment{}}
		for _, a := range d.CmdArgs[1:] {
			if len(a.Vals) > 0 {
				node.Partitions[num(a.Key)] = znode.Assignment{Replicas: nums(a.Vals)}
			}
		}
		if !d.HasArg("noid") {
			node.ID = h.newID()
			if old, ok := h.topics[node.Name]; ok {
				node.ID = old.ID
			}
		}
		h.topics[node.Name] = node
		switch {
		case h.p == nil:
		case d.Cmd == "grow":
			h.step(TopicChanged{node})
		default:
			h.topicsChanged()
		}
	case "remove-node":
		delete(h.topics, arg(0))
		h.topicsChanged()
	case "state":
		tp := parsePartition(arg(0))
		old := h.states[tp]
		h.states[tp] = znode.PartitionState{
			Leader: num(value("leader", "-1")), LeaderEpoch: num(value("epoch", "0")), ISR: nums(strings.Split(strings.ReplaceAll(value("isr", "1"), " ", ""), ",")),
			ControllerEpoch: num(value("controller", fmt.Sprint(max(1, h.epoch)))), Version: old.Version + 1,
		}
	case "drop-state":
		delete(h.states, parsePartition(arg(0)))
	case "fail":
		h.failing[arg(0)] = true
	case "delete":
		for _, a := range d.CmdArgs {
			h.deletes[a.Key] = true
		}
		if h.p != nil {
			h.step(DeletionRequested{sortedKeys(h.deletes)})
		}
	case "preferred", "force":
		var tps []topic.Partition
		for _, a := range d.CmdArgs {
			tps = append(tps, parsePartition(a.Key))
		}
		if d.Cmd == "force" {
			h.step(UncleanElection{tps})
		} else {
			h.step(PreferredElection{tps})
		}
	case "rebalance":
		h.step(Rebalance{int(num(arg(0)))})
	case "shutdown":
		h.step(ShutdownRequested{num(arg(0)), int64(num(value("epoch", "-1")))})
	case "unclean":
		var names []string
		for _, a := range d.CmdArgs {
			names = append(names, a.Key)
			h.unclean = a.Key
		}
		h.step(UncleanAllowed{names})
	case "logdir":
		h.step(LogDirsFailed{[]int32{num(arg(0))}})
	case "stopped", "started":
		b := num(arg(0))
		code := int16(num(value("error", "0")))
		errs := map[topic.Partition]int16{}
		for _, a := range d.CmdArgs[1:] {
			if len(a.Vals) == 0 {
				errs[parsePartition(a.Key)] = code
			}
		}
		epoch := int64(100 + b)
		if known, ok := h.p.Broker(b); ok {
			epoch = known.Epoch
		}
		if e := value("epoch", ""); e != "" {
			epoch = int64(num(e))
		}
		if d.Cmd == "stopped" {
			h.step(ReplicasStopped{b, epoch, errs})
		} else {
			h.step(ReplicasStarted{b, epoch, errs})
		}
	case "show":
		h.show()
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
}

func (h *harness) newController(replication, deleteTopic bool) {
	h.p = New(Config{
		Epoch: h.epoch, Replication: replication, DeleteTopic: deleteTopic, NewTopicID: h.newID,
		Unclean: func(name string) bool { return name == h.unclean },
	})
	ev := Loaded{Brokers: h.brokers, States: map[topic.Partition]znode.PartitionState{}, Deleting: sortedKeys(h.deletes)}
	for _, name := range sortedKeys(h.topics) {
		ev.Topics = append(ev.Topics, h.topics[name])
	}
	for tp, st := range h.states {
		ev.States[tp] = st
	}
	h.step(ev)
}

func (h *harness) newID() topic.ID { h.ids++; return topic.ID{15: h.ids} }

func (h *harness) topicsChanged() {
	ev := TopicsChanged{Names: sortedKeys(h.topics)}
	for _, name := range ev.Names {
		if !h.p.Knows(name) {
			ev.New = append(ev.New, h.topics[name])
		}
	}
	h.step(ev)
}

// step carries out an event's plans.
func (h *harness) step(ev Event) {
	plan := h.p.Step(ev)
	for {
		h.print(plan)
		if len(plan.Writes) == 0 {
			return
		}
		results := make([]Result, len(plan.Writes))
		for i, w := range plan.Writes {
			results[i] = h.write(w)
		}
		plan = h.p.Step(Written{results})
	}
}

func (h *harness) write(w Write) Result {
	tp := topic.Partition{Topic: w.Topic, Partition: w.Partition}
	if h.failing[tp.String()] {
		delete(h.failing, tp.String())
		h.printf("write %s: fails\n", tp)
		return Result{Failed: errors.New("no luck")}
	}
	stored, exists := h.states[tp]
	switch w.Kind {
	case CreateState:
		if exists {
			h.printf("write %s: exists, %s\n", tp, state(stored))
			return Result{Conflict: true, Stored: &stored}
		}
		w.State.Version = 0
		h.states[tp] = w.State
		h.printf("write %s: create %s\n", tp, state(w.State))
	case SetState:
		if !exists || stored.Version != w.State.Version {
			h.printf("write %s: conflict\n", tp)
			if !exists {
				return Result{Conflict: true}
			}
			return Result{Conflict: true, Stored: &stored}
		}
		w.State.Version++
		h.states[tp] = w.State
		h.printf("write %s: %s\n", tp, state(w.State))
		return Result{Version: w.State.Version}
	case SetTopic:
		h.topics[w.Topic] = w.Node
		h.printf("write topic %s: id %d, %d partitions\n", w.Topic, w.Node.ID[15], len(w.Node.Partitions))
	case RemoveTopic:
		delete(h.topics, w.Topic)
		delete(h.deletes, w.Topic)
		for tp := range h.states {
			if tp.Topic == w.Topic {
				delete(h.states, tp)
			}
		}
		h.printf("write topic %s: removed\n", w.Topic)
	case DropDeletionRequest:
		delete(h.deletes, w.Topic)
		h.printf("write deletion request of %s: removed\n", w.Topic)
	}
	return Result{}
}

func (h *harness) printf(format string, args ...any) {
	if !h.quiet {
		fmt.Fprintf(&h.out, format, args...)
	}
}

func (h *harness) print(plan Plan) {
	for _, n := range plan.Notes {
		h.printf("%s: %s\n", map[bool]string{true: "warning", false: "info"}[n.Warning], n.Text)
	}
	for _, r := range plan.Requests {
		to, _ := r.To()
		switch r := r.(type) {
		case *LeaderAndISR:
			h.printf("%d <- LeaderAndIsr", to)
			for _, pt := range r.Partitions {
				h.printf(" %s(%s%s)", pt.Partition, map[bool]string{true: "new, "}[pt.New], state(pt.State))
			}
		case *UpdateMetadata:
			h.printf("%d <- UpdateMetadata", to)
			for _, m := range r.Partitions {
				h.printf(" %s(%s", m.Partition, state(m.State))
				if len(m.Offline) > 0 {
					h.printf(" offline %v", m.Offline)
				}
				h.printf(")")
			}
			h.printf(" live %v", ids(r.Live))
		case *StopReplica:
			h.printf("%d <- StopReplica", to)
			for _, s := range r.Partitions {
				h.printf(" %s(epoch %d%s)", s.Partition, s.LeaderEpoch, map[bool]string{true: ", delete"}[s.Delete])
			}
		}
		h.printf("\n")
	}
	if s := plan.Shutdown; s != nil {
		h.printf("shutdown: %s, remaining %v\n", [...]string{"may leave", "unknown broker", "stale epoch"}[s.Outcome], s.Remaining)
	}
}

func (h *harness) show() {
	for _, name := range sortedKeys(h.topics) {
		t := h.topics[name]
		for _, id := range t.PartitionIDs() {
			tp := topic.Partition{Topic: name, Partition: id}
			st, ok := h.states[tp]
			if !ok {
				h.printf("%s %v: no state\n", tp, t.Partitions[id].Replicas)
				continue
			}
			h.printf("%s %v: %s\n", tp, t.Partitions[id].Replicas, state(st))
		}
	}
	for _, name := range sortedKeys(h.deletes) {
		h.printf("delete %s\n", name)
	}
}

func state(st znode.PartitionState) string {
	s := fmt.Sprintf("leader %d epoch %d isr %v v%d", st.Leader, st.LeaderEpoch, st.ISR, st.Version)
	if st.Recovering {
		s += " recovering"
	}
	return s
}

func ids(brokers []znode.Broker) []int32 {
	var is []int32
	for _, b := range brokers {
		is = append(is, b.ID)
	}
	return is
}

func parseBroker(s string) znode.Broker {
	s, epoch, hasEpoch := strings.Cut(s, "@")
	s, rack, _ := strings.Cut(s, ":")
	b := znode.Broker{ID: num(s), Rack: rack}
	b.Epoch = int64(100 + b.ID)
	if hasEpoch {
		b.Epoch = int64(num(epoch))
	}
	return b
}

func parsePartition(s string) topic.Partition {
	tp, err := topic.ParseDir(s)
	if err != nil {
		panic(err)
	}
	return tp
}

func num(s string) int32 {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

func nums(ss []string) []int32 {
	var ns []int32
	for _, s := range ss {
		ns = append(ns, num(s))
	}
	return ns
}

func sortedKeys[V any](m map[string]V) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}
