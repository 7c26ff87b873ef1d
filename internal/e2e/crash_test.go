//go:build unix

package e2e

import (
	"context"
	"testing"
	"time"

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

// TestKill kills the coordinator, a broker, and both, round after round under load. Nothing that was acknowledged may be lost
// or be there twice.
func TestKill(t *testing.T) {
	for _, c := range []struct {
		name                string
		coordinator, broker bool
	}{{"coordinator", true, false}, {"broker", false, true}, {"both", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			zk := Coordinator(t)
			// The default session timeout: a broker that was killed must not wait for its old session.
			b := Broker(t, 0, zk.Address, "log.flush.interval.messages=1")
			createTopic(t, b.Address, "load", 3, nil)
			l := startLoad(t, b.Address, "load")
			for round := range Scale(3, 10) {
				l.progress(t, 300)
				if c.coordinator {
					zk.Kill()
				}
				if c.broker {
					b.Kill()
				}
				if c.coordinator {
					zk.Restart(t)
				}
				if c.broker {
					start := time.Now()
					b.Restart(t)
					l.progress(t, 1)
					took := time.Since(start)
					t.Logf("round %d: the broker served %v after its restart", round, took.Round(time.Millisecond))
					Within(t, "serving again", took, 3*time.Second)
				}
			}
			l.progress(t, 300)
			l.finish(t)
			b.Stop(t)
			zk.Stop(t)
		})
	}
}

// TestBrokerStopsCleanly stops a broker under load and starts it again: the producer goes on, and nothing is lost.
func TestBrokerStopsCleanly(t *testing.T) {
	zk := Coordinator(t)
	b := Broker(t, 0, zk.Address)
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
