//go:build unix

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// coordinators runs a test on our coordinator and on Apache ZooKeeper 3.9.
func coordinators(t *testing.T, test func(t *testing.T, zk *Server)) {
	t.Run("ottla", func(t *testing.T) { test(t, Coordinator(t)) })
	t.Run("ZooKeeper", func(t *testing.T) { test(t, ZooKeeper(t)) })
}

var world = zk.WorldACL(zk.PermAll)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// connect opens a ZooKeeper session that ends with the test.
func connect(t *testing.T, address string) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for limit := time.After(20 * time.Second); ; {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-limit:
			t.Fatalf("no session at %s", address)
		}
	}
}

// TestApacheBrokerOnOurCoordinator lets an Apache Kafka 3.9 broker do its work on our coordinator.
func TestApacheBrokerOnOurCoordinator(t *testing.T) {
	coord := Coordinator(t)
	b := Kafka(t, t.TempDir(), 0, coord.Address)
	Run(t, time.Minute, "", Apache(t, "kafka-3.9", "kafka-topics", "--bootstrap-server", b.Address, "--create", "--topic", "t", "--partitions", "3")...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := Client(t, b.Address, kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for i := range 100 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for seen := 0; seen < 100; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatal(err)
		}
		seen += fs.NumRecords()
	}
	cl.Close()
	adm := kadm.NewClient(Client(t, b.Address))
	if _, err := adm.DeleteTopics(ctx, "t"); err != nil {
		t.Error(err)
	}
	coord.Kill()
	coord.Restart(t)
	Run(t, time.Minute, "", Apache(t, "kafka-3.9", "kafka-topics", "--bootstrap-server", b.Address, "--create", "--topic", "u", "--partitions", "1")...)
	b.Stop(t)
}

// inSync is nil if all partitions of a topic have so many in-sync replicas.
func inSync(t *testing.T, address, topic string, replicas int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cl := Client(t, address)
	defer cl.Close()
	ts, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	for _, p := range ts[topic].Partitions {
		if p.Err != nil || len(p.ISR) != replicas {
			return fmt.Errorf("partition %d: in sync are %v, %v", p.Partition, p.ISR, p.Err)
		}
	}
	return nil
}
