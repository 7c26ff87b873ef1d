//go:build unix

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// endOffsets are the end offsets of a topic's partitions.
func endOffsets(t *testing.T, cl *kgo.Client, topic string) map[int32]int64 {
	t.Helper()
	ends := map[int32]int64{}
	Await(t, 60*time.Second, "the end offsets of "+topic, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		listed, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
		return err
	})
	return ends
}

// createTopic makes a topic of one replica and waits until it can be written to.
func createTopic(t *testing.T, address, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	resp, err := kadm.NewClient(Client(t, address)).CreateTopic(ctx, partitions, 1, configs, topic)
	if err == nil {
		err = resp.Err
	}
	if err != nil {
		t.Fatalf("create %s: %v (%s)", topic, err, resp.ErrMessage)
	}
}

// TestKill kills the coordinator, a broker, and both, round after round under load. Nothing that was acknowledged may be lost or
// be there twice: records of an idempotent producer with acks=all, and znodes.
func TestKill(t *testing.T) {
	for _, c := range []struct {
		name                string
		coordinator, broker bool
	}{{"coordinator", true, false}, {"broker", false, true}, {"both", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			coord := Coordinator(t)
			// The default session timeout: a broker that was killed must not wait for its old session.
			b := Broker(t, 0, coord.Address)
			createTopic(t, b.Address, "load", 3, map[string]*string{"flush.messages": ptr("1")})
			l := startLoad(t, b.Address, "load")
			nodes := startNodes(t, coord.Address)
			var slowest time.Duration
			rounds := Scale(3, 10)
			for range rounds {
				l.progress(t, int64(Scale(300, 5000)))
				nodes.progress(t, 20)
				if c.coordinator {
					coord.Kill()
				}
				if c.broker {
					b.Kill()
				}
				if c.coordinator {
					coord.Restart(t)
				}
				if c.broker {
					start := time.Now()
					b.Restart(t)
					l.progress(t, 1)
					slowest = max(slowest, time.Since(start))
				}
			}
			l.progress(t, 300)
			nodes.progress(t, 20)
			nodes.finish(t)
			l.finish(t)
			b.Stop(t)
			coord.Stop(t)
			served := ""
			if c.broker {
				Within(t, "serving again after a restart", slowest, 3*time.Second)
				served = fmt.Sprint(", served at most ", slowest.Round(time.Millisecond), " after a restart")
			}
			Result(t, "%s killed %d times: %d records and %d znodes acknowledged and all there once%s", c.name, rounds, len(l.place), len(nodes.acked), served)
		})
	}
}

// TestBrokerStopsCleanly stops a broker under load and starts it again: the producer goes on, and nothing is lost.
func TestBrokerStopsCleanly(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	createTopic(t, b.Address, "t", 2, nil)
	l := startLoad(t, b.Address, "t")
	l.progress(t, 500)
	start := time.Now()
	b.Stop(t)
	Within(t, "a clean stop", time.Since(start), 2*time.Second)
	b.Restart(t)
	l.progress(t, 500)
	l.finish(t)
}

// nodes is a client that makes znodes one after the other for as long as it runs, and remembers which were acknowledged.
type nodes struct {
	client *zk.Conn
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	acked []string
}

func startNodes(t *testing.T, address string) *nodes {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n := &nodes{client: connect(t, address), cancel: cancel}
	if _, err := n.client.Create("/load", nil, 0, world); err != nil {
		t.Fatal(err)
	}
	n.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			// An attempt without an answer may have succeeded: the next has another name.
			path := fmt.Sprint("/load/", i)
			if _, err := n.client.Create(path, []byte(path), 0, world); err == nil {
				n.mu.Lock()
				n.acked = append(n.acked, path)
				n.mu.Unlock()
			}
		}
	})
	t.Cleanup(n.stop)
	return n
}

func (n *nodes) stop() { n.cancel(); n.client.Close(); n.done.Wait() }

func (n *nodes) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.acked)
}

// progress waits until more nodes are acknowledged than now.
func (n *nodes) progress(t *testing.T, more int) {
	t.Helper()
	goal := n.count() + more
	Await(t, time.Minute, fmt.Sprint(more, " more znodes"), func() error {
		if now := n.count(); now < goal {
			return fmt.Errorf("%d are missing", goal-now)
		}
		return nil
	})
}

// finish stops making nodes and wants each that was acknowledged to be there, with its data.
func (n *nodes) finish(t *testing.T) {
	t.Helper()
	n.cancel()
	n.done.Wait()
	names, _, err := n.client.Children("/load")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range names {
		there["/load/"+name] = true
	}
	lost := 0
	for _, path := range n.acked {
		if !there[path] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("of %d acknowledged znodes %d are lost", len(n.acked), lost)
	}
	last := n.acked[len(n.acked)-1]
	if data, _, err := n.client.Get(last); err != nil || string(data) != last {
		t.Errorf("%s holds %q, %v", last, data, err)
	}
}
