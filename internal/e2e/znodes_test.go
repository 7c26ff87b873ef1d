//go:build unix

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestZnodes compares what one broker leaves in the coordinator with recordings of Apache Kafka 3.9, at the same moments.
func TestZnodes(t *testing.T) {
	coordinators(t, func(t *testing.T, coord *Server) {
		c := connect(t, coord.Address)
		dir := t.TempDir()
		fresh := BrokerOn(t, dir, 0, coord.Address)
		t.Run("first start", func(t *testing.T) { compare(t, dump(t, c), recorded(t, "single-fresh"), moment{}) })
		fresh.Stop(t)
		t.Run("clean stop", func(t *testing.T) { compare(t, dump(t, c), recorded(t, "single-stopped"), moment{}) })

		b := BrokerOn(t, dir, 0, coord.Address, "password.encoder.secret=golden", "num.partitions=2", "offsets.topic.num.partitions=2")
		t.Run("after changes", func(t *testing.T) {
			makeChanges(t, c, b.Address)
			compare(t, dump(t, c), recorded(t, "single-after"), afterChanges)
		})
		b.Stop(t)
	})
}

// makeChanges does what was done to the recorded broker, as far as this version goes, in the same order.
func makeChanges(t *testing.T, c *zk.Conn, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cl := Client(t, address, kgo.AllowAutoTopicCreation())
	adm := kadm.NewClient(cl)
	str := func(s string) *string { return &s }
	if r, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": str("86400000")}, "created"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	plain := Client(t, address, kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite())
	if err := plain.ProduceSync(ctx, &kgo.Record{Topic: "auto.created", Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// As kafka-topics --zookeeper of 2.8 and of 0.10 write them.
	for name, data := range map[string]string{
		"by-zookeeper":      `{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}`,
		"by-zookeeper-0.10": `{"version":1,"partitions":{"0":[0]}}`,
	} {
		for _, n := range []struct{ path, data string }{{"/config/topics/" + name, `{"version":1,"config":{}}`}, {"/brokers/topics/" + name, data}} {
			if _, err := c.Create(n.path, []byte(n.data), 0, world); err != nil {
				t.Fatal(err)
			}
		}
		Await(t, 30*time.Second, name+" has a leader", func() error { _, err := leaders(t, address, name, 1); return err })
	}
	if r, err := adm.UpdatePartitions(ctx, 3, "created"); err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	Await(t, 30*time.Second, "created has three partitions", func() error { _, err := leaders(t, address, "created", 3); return err })
	alterConfigs(t, ctx, cl, kmsg.ConfigResourceTypeTopic, "created", [2]string{"max.message.bytes", "65536"}, [2]string{"min.insync.replicas", "1"})
	alterConfigs(t, ctx, cl, kmsg.ConfigResourceTypeBroker, "0", [2]string{"log.cleaner.threads", "2"})
	alterConfigs(t, ctx, cl, kmsg.ConfigResourceTypeBroker, "", [2]string{"log.retention.ms", "172800000"})
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "created", Value: []byte("1")}).FirstErr(); err != nil {
		t.Fatal(err) // idempotent: a block of producer ids
	}
	group := Client(t, address, kgo.ConsumerGroup("g-new"), kgo.ConsumeTopics("auto.created"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err := group.PollFetches(ctx).Err0(); err != nil {
		t.Fatal(err)
	}
	if err := group.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
}
