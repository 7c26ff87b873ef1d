//go:build unix

package e2e

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGroupsMove lets groups run while their coordinator goes away and another takes its place, on the same port and the same
// log directory: ours killed, ours stopped, Apache Kafka 3.9, ours again. No committed offset is lost, no partition has two
// owners in a generation, and everything that was produced is read.
func TestGroupsMove(t *testing.T) {
	Peers(t, "kafka-3.9")
	coord := Coordinator(t, "tickTime=500")
	zk := connect(t, coord.Address)
	dir, port := t.TempDir(), FreePort(t)
	lines := append(at(port), "offsets.topic.num.partitions=7", "group.initial.rebalance.delay.ms=200", "zookeeper.session.timeout.ms=4000")
	ours := func() *Server { return BrokerOn(t, dir, 0, coord.Address, lines...) }
	apache := func() *Server { return Kafka(t, dir, 0, coord.Address, lines...) }

	const topic, partitions = "moving", 8
	s := ours()
	createTopic(t, s.Address, topic, partitions, nil)
	produced := startTrickle(t, s.Address, topic)
	groups := []*moving{
		startMoving(t, s.Address, topic, "cooperative", kgo.CooperativeStickyBalancer(), false),
		startMoving(t, s.Address, topic, "eager-static", kgo.RangeBalancer(), true),
		startMoving(t, s.Address, topic, "eager", kgo.RoundRobinBalancer(), false),
	}
	look := func(what string) {
		t.Helper()
		for _, g := range groups {
			g.progress(t, what, 3*partitions)
		}
	}
	look("at first")
	type turn struct {
		what string
		next func() *Server
		kill bool
	}
	turns := []turn{{"after a kill", ours, true}, {"with Apache Kafka", apache, false}, {"with ours again", ours, false}}
	if Long() {
		for range 5 {
			turns = append(turns, turn{"after a stop", ours, false}, turn{"with Apache Kafka after a kill", apache, true}, turn{"with ours after a kill of Apache Kafka", ours, true})
		}
	}
	for _, turn := range turns {
		committed := make([]map[int32]int64, len(groups))
		for i, g := range groups {
			committed[i] = g.commits()
		}
		if turn.kill {
			s.Kill()
			Await(t, time.Minute, "the registration vanishes", func() error { return absent(zk, "/brokers/ids/0") })
		} else {
			s.Stop(t)
		}
		s = turn.next()
		for i, g := range groups {
			g.check(t, turn.what, s.Address, committed[i])
		}
		look(turn.what)
	}
	produced.halt(t)
	for _, g := range groups {
		g.finish(t, s.Address)
	}
	produced.check(t, s.Address)
	Result(t, "%d moves of a coordinator, %d groups of 3 members, %d commits", len(turns), len(groups), groups[0].count+groups[1].count+groups[2].count)
}

// moving is a group of three members that commit all that they read.
type moving struct {
	topic, group string
	clients      []*kgo.Client
	cancel       context.CancelFunc
	work         sync.WaitGroup

	mu        sync.Mutex
	committed map[int32]int64          // the largest acknowledged, by partition
	owners    map[string]map[int32]int // by generation and partition: the member
	read      map[int32]map[int64]int  // how often
	count     int
	wrong     []string
}

func startMoving(t *testing.T, address, topic, group string, balancer kgo.GroupBalancer, static bool) *moving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &moving{topic: topic, group: group, cancel: cancel, committed: map[int32]int64{}, owners: map[string]map[int32]int{}, read: map[int32]map[int64]int{}}
	for i := range 3 {
		opts := []kgo.Opt{
			kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(10 * time.Second), kgo.HeartbeatInterval(300 * time.Millisecond),
			kgo.RebalanceTimeout(10 * time.Second), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
			kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, ps map[string][]int32) { g.owns(cl, i, ps[topic]) }),
		}
		if static {
			opts = append(opts, kgo.InstanceID(fmt.Sprint(group, "-", i)))
		}
		cl := Client(t, address, opts...)
		g.clients = append(g.clients, cl)
		g.work.Go(func() { g.consume(ctx, cl) })
	}
	t.Cleanup(func() { cancel(); g.work.Wait() })
	return g
}

// owns notes that a member has been given partitions.
func (g *moving) owns(cl *kgo.Client, member int, partitions []int32) {
	_, generation := cl.GroupMetadata()
	g.mu.Lock()
	defer g.mu.Unlock()
	key := fmt.Sprint(generation)
	if g.owners[key] == nil {
		g.owners[key] = map[int32]int{}
	}
	for _, p := range partitions {
		if was, ok := g.owners[key][p]; ok && was != member {
			g.wrong = append(g.wrong, fmt.Sprintf("partition %d of generation %s belongs to members %d and %d", p, key, was, member))
		}
		g.owners[key][p] = member
	}
}

// consume reads and commits until ctx ends. A commit that failed is tried again, though nothing new is read.
func (g *moving) consume(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		fs := cl.PollRecords(poll, 200)
		cancel()
		g.mu.Lock()
		fs.EachRecord(func(r *kgo.Record) {
			if g.read[r.Partition] == nil {
				g.read[r.Partition] = map[int64]int{}
			}
			g.read[r.Partition][r.Offset]++
		})
		g.mu.Unlock()
		if err := cl.CommitUncommittedOffsets(ctx); err == nil {
			g.mu.Lock()
			g.count++
			for p, o := range cl.CommittedOffsets()[g.topic] {
				g.committed[p] = max(g.committed[p], o.Offset)
			}
			g.mu.Unlock()
		}
		cl.AllowRebalance()
	}
}

// commits are the offsets whose commit was acknowledged.
func (g *moving) commits() map[int32]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.committed)
}

// progress waits until more is committed, of every partition.
func (g *moving) progress(t *testing.T, what string, records int64) {
	t.Helper()
	before := g.commits()
	Await(t, time.Minute, fmt.Sprint(g.group, " goes on ", what), func() error {
		now, sum := g.commits(), int64(0)
		for p := range int32(8) {
			if now[p] <= before[p] {
				return fmt.Errorf("partition %d stays at %d", p, now[p])
			}
			sum += now[p] - before[p]
		}
		if sum < records {
			return fmt.Errorf("%d records", sum)
		}
		return nil
	})
}

// check wants what was committed to be there.
func (g *moving) check(t *testing.T, what, address string, committed map[int32]int64) {
	t.Helper()
	cl := Client(t, address)
	defer cl.Close()
	var offsets kadm.OffsetResponses
	Await(t, time.Minute, "the offsets of "+g.group, func() (err error) {
		offsets, err = kadm.NewClient(cl).FetchOffsets(context.Background(), g.group)
		return err
	})
	for p, want := range committed {
		if o, ok := offsets.Lookup(g.topic, p); !ok || o.At < want {
			t.Errorf("%s, %s: %d was committed for partition %d, %d is there", g.group, what, want, p, o.At)
		}
	}
}

// finish waits until everything is read, and ends the members.
func (g *moving) finish(t *testing.T, address string) {
	t.Helper()
	cl := Client(t, address)
	ends := endOffsets(t, cl, g.topic)
	Await(t, time.Minute, g.group+" reads everything", func() error {
		for p, o := range g.commits() {
			if o < ends[p] {
				return fmt.Errorf("partition %d: %d of %d", p, o, ends[p])
			}
		}
		return nil
	})
	g.cancel()
	g.work.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, end := range ends {
		for o := range end {
			if g.read[p][o] == 0 {
				t.Errorf("%s: partition %d offset %d was never read", g.group, p, o)
				break
			}
		}
	}
	for _, w := range g.wrong {
		t.Errorf("%s: %s", g.group, w)
	}
}
