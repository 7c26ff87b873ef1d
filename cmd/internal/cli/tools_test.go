package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTutorialTools follows a tutorial's lines on our own servers; peer_test.go compares the same tools with Apache's.
func TestTutorialTools(t *testing.T) {
	s := start(t)
	s.prints(t, "kafka-topics.sh --create --zookeeper {Z} --replication-factor 1 --partitions 1 --topic test", "Created topic test.\n")
	s.fails(t, "kafka-topics.sh --create --zookeeper {Z} --replication-factor 1 --partitions 1 --topic test", 1, "Error while executing topic command : Topic 'test' already exists.\n")
	s.prints(t, "kafka-topics.sh --create --zookeeper {Z} --replication-factor 1 --partitions 1 --topic test --if-not-exists", "")
	s.fails(t, "kafka-topics.sh --create --zookeeper {Z} --replication-factor 2 --partitions 1 --topic two", 1, "Replication factor: 2 larger than available brokers: 1.")
	s.fails(t, "kafka-topics.sh --create --zookeeper {Z} --replication-factor 1 --partitions 1 --topic x --config nope=1", 1, "Unknown topic config name: nope")
	s.fails(t, "kafka-topics.sh --list --zookeeper {Z}/kafka", 1, "there is no chroot /kafka")
	s.prints(t, "kafka-topics.sh -list -zookeeper {Z}", "test\n")
	s.awaitPrint(t, "kafka-topics --list --bootstrap-server {K}", "test\n")
	s.prints(t, "kafka-topics --create --bootstrap-server {K} --topic a.b --replica-assignment 0,0 --config retention.ms=1000",
		"WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.\nCreated topic a.b.\n")
	s.fails(t, "kafka-topics --describe --bootstrap-server {K} --topic nope", 1, "Topic 'Optional[nope]' does not exist as expected")
	s.prints(t, "kafka-topics --describe --bootstrap-server {K} --topic nope --if-exists", "")
	s.awaitPrint(t, "kafka-topics --describe --bootstrap-server {K} --topic a.b", "\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=1000\n\tTopic: a.b\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\tElr: N/A\tLastKnownElr: N/A\n")
	s.prints(t, "kafka-topics --describe --bootstrap-server {K} --under-replicated-partitions", "")
	s.awaitPrint(t, "kafka-topics --describe --bootstrap-server {K} --at-min-isr-partitions --topic test", "\tTopic: test\tPartition: 0")
	s.awaitPrint(t, "kafka-topics --describe --zookeeper {Z} --topics-with-overrides", "Topic: a.b\t")
	s.prints(t, "kafka-topics --alter --zookeeper {Z} --topic test --partitions 2",
		"WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages will be affected\nAdding partitions succeeded!\n")
	s.fails(t, "kafka-topics --alter --bootstrap-server {K} --topic a.b --partitions 1", 1, "Error while executing topic command : ")
	s.awaitPrint(t, "kafka-topics --describe --bootstrap-server {K} --topic test", "PartitionCount: 2\t")

	if r := s.call(t, "k1:v1\nk2:v2\n", "kafka-console-producer --broker-list {K} --topic test --property parse.key=true --property key.separator=: --request-required-acks 1"); r.code != 0 || r.out != "" {
		t.Errorf("producer: %+v", r)
	}
	if r := s.call(t, "k3:v3\nnone\n", "kafka-console-producer --bootstrap-server {K} --topic test --property parse.key=true --property key.separator=: --sync"); r.code != 1 || !strings.Contains(r.errs, "No key separator found on line number 2: 'none'") {
		t.Errorf("producer without a separator: %+v", r)
	}
	for _, where := range []string{"--bootstrap-server {K}", "--zookeeper {Z}"} {
		r := s.call(t, "", "kafka-console-consumer "+where+" --topic test --from-beginning --max-messages 3 --property print.key=true --property key.separator=-")
		if lines := strings.Fields(r.out); len(lines) != 3 || !strings.Contains(r.out, "k1-v1\n") || !strings.HasSuffix(r.errs, "Processed a total of 3 messages\n") {
			t.Errorf("%s: %+v", where, r)
		}
	}
	r := s.call(t, "", "kafka-console-consumer --bootstrap-server {K} --topic test --group g --from-beginning --timeout-ms 2000")
	if len(strings.Fields(r.out)) != 3 || r.code != 0 || !strings.HasSuffix(r.errs, "Processed a total of 3 messages\n") {
		t.Errorf("group: %+v", r)
	}
	s.awaitPrint(t, "kafka-consumer-groups --bootstrap-server {K} --describe --group g", "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID\ng               test            0 ")
	s.awaitPrint(t, "kafka-consumer-groups --bootstrap-server {K} --list", "g\n")
	s.prints(t, "kafka-consumer-groups --bootstrap-server {K} --describe --group nobody", "\nError: Consumer group 'nobody' does not exist.\n")
	s.fails(t, "kafka-consumer-groups --bootstrap-server {K} --reset-offsets --group g --topic test --to-earliest --execute", 0, "NEW-OFFSET", "test                           0          0")
	r = s.call(t, "", "kafka-console-consumer --bootstrap-server {K} --topic test --group g --max-messages 3")
	if len(strings.Fields(r.out)) != 3 {
		t.Errorf("after the reset: %+v", r)
	}
	s.prints(t, "kafka-configs --bootstrap-server {K} --alter --topic test --add-config retention.ms=5000,max.message.bytes=2000000", "Completed updating config for topic test.\n")
	s.awaitPrint(t, "kafka-configs --bootstrap-server {K} --describe --entity-type topics --entity-name test",
		"Dynamic configs for topic test are:\n  max.message.bytes=2000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588}\n  retention.ms=5000 ")
	s.fails(t, "kafka-configs --bootstrap-server {K} --alter --topic test --delete-config nope", 1, "Invalid config(s): nope\n")
	s.prints(t, "kafka-configs --zookeeper {Z} --alter --entity-type topics --entity-name test --delete-config retention.ms",
		"Warning: --zookeeper is deprecated and will be removed in a future version of Kafka.\nUse --bootstrap-server instead to specify a broker to connect to.\nCompleted updating config for entity: topic 'test'.\n")
	s.awaitPrint(t, "kafka-configs --zookeeper {Z} --describe --entity-type topics --entity-name test", "Configs for topic 'test' are max.message.bytes=2000000\n")
	s.prints(t, "kafka-topics --delete --zookeeper {Z} --topic test", "Topic test is marked for deletion.\nNote: This will have no impact if delete.topic.enable is not set to true.\n")
	await(t, func() error {
		if r := s.call(t, "", "kafka-topics --list --bootstrap-server {K}"); strings.Contains(r.out, "test\n") {
			return fmt.Errorf("deleted, but %s", r.out)
		}
		return nil
	})
}

// TestConsumerEnds: what ends a console consumer lets it commit and say how much it read.
func TestConsumerEnds(t *testing.T) {
	s := start(t)
	s.prints(t, "ottla topic create t -b {K}", "")
	var out, errs syncBuffer
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"kafka-console-consumer", "--bootstrap-server", s.kafka, "--topic", "t", "--from-beginning", "--group", "g"}, strings.NewReader(""), &out, &errs)
	}()
	s.prints(t, "ottla produce t one two -b {K}", "")
	await(t, func() error {
		if d := cmp.Diff("one\ntwo\n", out.String()); d != "" {
			return fmt.Errorf("%s%s", d, errs.String())
		}
		return nil
	})
	cancel() // as a signal does
	select {
	case code := <-ended:
		if code != 0 || errs.String() != "Processed a total of 2 messages\n" {
			t.Errorf("status %d, %q", code, errs.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	s.awaitPrint(t, "ottla group describe g -b {K}", "t              0       2    2    0")
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
