package planner

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ottla/broker/topic"
	"ottla/broker/znode"
)

// world is a cluster that random things happen to. Its brokers believe what they are told, by the rules of fencing.
type world struct {
	*harness
	t           *rapid.T
	replication bool
	epochs      int64
	views       map[int32]*view
	stops       []ReplicasStopped // answers that have not been given yet
	unclean     bool
}

// view is what a broker knows.
type view struct {
	epoch    int64
	metadata map[topic.Partition]znode.PartitionState
	roles    map[topic.Partition]znode.PartitionState // from LeaderAndIsr, the latest by leader epoch
	live     []int32
}

// deliver carries out the requests of a plan at the brokers.
func (w *world) deliver(plan Plan) {
	for _, r := range plan.Requests {
		to, epoch := r.To()
		v := w.views[to]
		if v == nil || v.epoch != epoch {
			continue // its connection broke, or it refuses the epoch
		}
		switch r := r.(type) {
		case *LeaderAndISR:
			for _, p := range r.Partitions {
				if !slices.Contains(p.Assignment.Replicas, to) {
					w.t.Fatalf("broker %d is told to host %s of %v", to, p.Partition, p.Assignment.Replicas)
				}
				if p.State.Leader >= 0 && !slices.Contains(v.live, p.State.Leader) {
					w.t.Fatalf("broker %d hears of leader %d of %s before it knows that broker", to, p.State.Leader, p.Partition)
				}
				if old, ok := v.roles[p.Partition]; !ok || p.State.LeaderEpoch >= old.LeaderEpoch {
					v.roles[p.Partition] = p.State
				}
			}
		case *UpdateMetadata:
			v.live = ids(r.Live)
			for _, m := range r.Partitions {
				if m.State.Leader == LeaderDeleted {
					delete(v.metadata, m.Partition)
					continue
				}
				v.metadata[m.Partition] = m.State
			}
		case *StopReplica:
			answer := ReplicasStopped{Broker: to, Epoch: epoch, Errors: map[topic.Partition]int16{}}
			for _, s := range r.Partitions {
				old, ok := v.roles[s.Partition]
				if s.LeaderEpoch >= 0 && ok && s.LeaderEpoch < old.LeaderEpoch {
					w.t.Fatalf("broker %d refuses to stop %s: epoch %d of %d", to, s.Partition, s.LeaderEpoch, old.LeaderEpoch)
				}
				if s.Delete {
					delete(v.roles, s.Partition)
				}
				answer.Errors[s.Partition] = int16(rapid.SampledFrom([]int{0, 0, 0, 56}).Draw(w.t, "stop error"))
			}
			w.stops = append(w.stops, answer)
		}
	}
}

func (w *world) happen(ev Event) {
	plan := w.p.Step(ev)
	for {
		w.deliver(plan)
		if len(plan.Writes) == 0 {
			return
		}
		results := make([]Result, len(plan.Writes))
		for i, wr := range plan.Writes {
			tp := topic.Partition{Topic: wr.Topic, Partition: wr.Partition}
			if old, ok := w.states[tp]; ok && wr.Kind == SetState {
				if l := wr.State.Leader; l >= 0 && !slices.Contains(old.ISR, l) && !w.unclean && old.Version == wr.State.Version {
					w.t.Fatalf("unclean election of %d for %s: %s", l, tp, state(old))
				}
				if wr.State.LeaderEpoch != old.LeaderEpoch+1 {
					w.t.Fatalf("%s: epoch %d follows on %d", tp, wr.State.LeaderEpoch, old.LeaderEpoch)
				}
				if rapid.IntRange(0, 9).Draw(w.t, "conflict") == 0 {
					old.Version++ // a leader changed its ISR, say
					w.states[tp] = old
				}
			}
			results[i] = w.write(wr)
		}
		plan = w.p.Step(Written{results})
	}
}

func (w *world) check() {
	registered := map[int32]bool{}
	for _, b := range w.brokers {
		registered[b.ID] = true
	}
	for name, node := range w.topics {
		deleting := w.p.IsDeleting(name)
		for id, a := range node.Partitions {
			tp := topic.Partition{Topic: name, Partition: id}
			st, ok := w.states[tp]
			live := func(b int32) bool { return w.p.live(b, w.p.partition(tp)) }
			if !ok {
				if slices.ContainsFunc(a.Replicas, live) && !deleting {
					w.t.Fatalf("%s has a live replica and no state", tp)
				}
				continue
			}
			switch {
			case len(st.ISR) == 0:
				w.t.Fatalf("%s: the ISR is empty", tp)
			case deleting:
				continue
			case st.Leader >= 0 && !slices.Contains(st.ISR, st.Leader):
				w.t.Fatalf("%s: the leader is not in sync: %s", tp, state(st))
			case st.Leader >= 0 && !registered[st.Leader]:
				w.t.Fatalf("%s is led by a dead broker: %s", tp, state(st))
			case st.Leader < 0 && slices.ContainsFunc(st.ISR, live):
				w.t.Fatalf("%s could have a leader: %s", tp, state(st))
			}
			if alive := filter(st.ISR, func(b int32) bool { return registered[b] }); len(alive) > 0 && len(alive) < len(st.ISR) {
				w.t.Fatalf("%s has dead brokers in the ISR: %s", tp, state(st))
			}
			for b, v := range w.views {
				if m, ok := v.metadata[tp]; !ok || m.Leader != st.Leader || m.LeaderEpoch != st.LeaderEpoch {
					w.t.Fatalf("broker %d believes %s of %s, which is %s", b, state(m), tp, state(st))
				}
			}
			for _, b := range a.Replicas {
				if v := w.views[b]; v != nil && w.replication && live(b) && v.roles[tp].LeaderEpoch != st.LeaderEpoch {
					w.t.Fatalf("broker %d does not know of epoch %d of its replica of %s", b, st.LeaderEpoch, tp)
				}
			}
			if st.Leader >= 0 {
				if role, ok := w.views[st.Leader].roles[tp]; !ok || role.Leader != st.Leader || role.LeaderEpoch != st.LeaderEpoch {
					w.t.Fatalf("broker %d does not know that it leads %s: %s", st.Leader, tp, state(role))
				}
			}
		}
	}
	for b, v := range w.views {
		for tp := range v.metadata {
			if _, ok := w.topics[tp.Topic]; !ok {
				w.t.Fatalf("broker %d still serves metadata of %s", b, tp)
			}
		}
		if !slices.Equal(v.live, ids(w.brokers)) {
			w.t.Fatalf("broker %d believes %v to be alive, not %v", b, v.live, ids(w.brokers))
		}
	}
}

// TestInvariants lets brokers die, come and bounce, topics be made, grown and deleted, controllers change, writes conflict.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{harness: newHarness(), t: t, replication: rapid.Bool().Draw(t, "replication"), epochs: 1000, views: map[int32]*view{}}
		w.quiet = true
		take := func() { // a new controller
			w.epoch++
			w.p = New(Config{
				Epoch: w.epoch, Replication: w.replication, DeleteTopic: true, NewTopicID: w.newID,
				Unclean: func(string) bool { return w.unclean },
			})
			ev := Loaded{Brokers: w.brokers, States: map[topic.Partition]znode.PartitionState{}, Deleting: sortedKeys(w.deletes)}
			for _, name := range sortedKeys(w.topics) {
				ev.Topics = append(ev.Topics, w.topics[name])
			}
			for tp, st := range w.states {
				ev.States[tp] = st
			}
			w.stops = nil // answers go to whom they were asked by
			w.happen(ev)
		}
		set := func(mask int, bounce int32) {
			var now []znode.Broker
			for id := range int32(4) {
				if mask&(1<<id) == 0 {
					delete(w.views, id)
					continue
				}
				v := w.views[id]
				if v == nil || id == bounce {
					w.epochs++
					roles := map[topic.Partition]znode.PartitionState{}
					if v != nil {
						roles = v.roles
					}
					w.views[id] = &view{epoch: w.epochs, metadata: map[topic.Partition]znode.PartitionState{}, roles: roles}
				}
				now = append(now, znode.Broker{ID: id, Epoch: w.views[id].epoch})
			}
			w.brokers = now
		}
		set(rapid.IntRange(0, 15).Draw(t, "brokers"), -1)
		take()
		names := 0
		t.Repeat(map[string]func(*rapid.T){
			"brokers": func(t *rapid.T) {
				set(rapid.IntRange(0, 15).Draw(t, "brokers"), int32(rapid.IntRange(-4, 3).Draw(t, "bounce")))
				w.happen(BrokersChanged{w.brokers})
			},
			"create": func(t *rapid.T) {
				names++
				node := znode.Topic{Name: fmt.Sprint("t", names), ID: w.newID(), Partitions: map[int32]znode.Assignment{}}
				for id := range int32(rapid.IntRange(1, 3).Draw(t, "partitions")) {
					node.Partitions[id] = znode.Assignment{Replicas: someBrokers(t)}
				}
				w.topics[node.Name] = node
				w.topicsChangedWorld()
			},
			"grow": func(t *rapid.T) {
				name, ok := someTopic(t, w)
				if !ok || w.p.IsDeleting(name) {
					return
				}
				node := znode.Topic{Name: name, ID: w.topics[name].ID, Partitions: map[int32]znode.Assignment{}}
				for id, a := range w.topics[name].Partitions {
					node.Partitions[id] = a
				}
				node.Partitions[int32(len(node.Partitions))] = znode.Assignment{Replicas: someBrokers(t)}
				w.topics[name] = node
				w.happen(TopicChanged{node})
			},
			"delete": func(t *rapid.T) {
				if name, ok := someTopic(t, w); ok {
					w.deletes[name] = true
					w.happen(DeletionRequested{sortedKeys(w.deletes)})
				}
			},
			"answer": func(t *rapid.T) {
				if len(w.stops) > 0 {
					ev := w.stops[0]
					w.stops = w.stops[1:]
					w.happen(ev)
				}
			},
			"isr grows": func(t *rapid.T) { // by AlterPartition, through the controller
				name, ok := someTopic(t, w)
				if !ok || !w.replication || w.p.IsDeleting(name) {
					return
				}
				for id, a := range w.topics[name].Partitions {
					tp := topic.Partition{Topic: name, Partition: id}
					st, ok := w.states[tp]
					if !ok || st.Leader < 0 {
						continue
					}
					st.ISR = filter(a.Replicas, func(b int32) bool { return w.p.live(b, w.p.partition(tp)) || b == st.Leader })
					st.Version++
					w.states[tp] = st
					w.p.partition(tp).state = &st
				}
			},
			"shutdown":  func(t *rapid.T) { w.happen(ShutdownRequested{int32(rapid.IntRange(0, 3).Draw(t, "broker")), -1}) },
			"rebalance": func(*rapid.T) { w.happen(Rebalance{0}) },
			"failover":  func(*rapid.T) { take() },
			"unclean": func(t *rapid.T) {
				w.unclean = true
				w.happen(UncleanAllowed{})
				w.unclean = false
			},
			"": func(*rapid.T) { w.check() },
		})
	})
}

func (w *world) topicsChangedWorld() {
	ev := TopicsChanged{Names: sortedKeys(w.topics)}
	for _, name := range ev.Names {
		if !w.p.Knows(name) {
			ev.New = append(ev.New, w.topics[name])
		}
	}
	w.happen(ev)
}

func someBrokers(t *rapid.T) []int32 {
	all := rapid.Permutation([]int32{0, 1, 2, 3}).Draw(t, "replicas")
	return all[:rapid.IntRange(1, 3).Draw(t, "factor")]
}

func someTopic(t *rapid.T, w *world) (string, bool) {
	names := sortedKeys(w.topics)
	if len(names) == 0 {
		return "", false
	}
	return rapid.SampledFrom(names).Draw(t, "topic"), true
}

// BenchmarkFailover is a controller taking over 10,000 partitions on 3 brokers.
func BenchmarkFailover(b *testing.B) {
	ev := Loaded{States: map[topic.Partition]znode.PartitionState{}}
	for id := range int32(3) {
		ev.Brokers = append(ev.Brokers, znode.Broker{ID: id, Epoch: 1})
	}
	for n := range 100 {
		t := znode.Topic{Name: fmt.Sprint("topic-", n), ID: topic.ID{byte(n), 1}, Partitions: map[int32]znode.Assignment{}}
		for id := range int32(100) {
			t.Partitions[id] = znode.Assignment{Replicas: []int32{id % 3}}
			ev.States[topic.Partition{Topic: t.Name, Partition: id}] = znode.PartitionState{Leader: id % 3, ISR: []int32{id % 3}}
		}
		ev.Topics = append(ev.Topics, t)
	}
	b.ReportAllocs()
	for b.Loop() {
		p := New(Config{Epoch: 1})
		plan := p.Step(ev)
		if len(plan.Requests) != 9 || len(plan.Writes) != 0 {
			b.Fatalf("%d requests, %d writes", len(plan.Requests), len(plan.Writes))
		}
	}
}
