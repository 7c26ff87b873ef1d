//go:build unix

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// links installs the tutorial's command names and returns a function that gives the command of one.
func links(t *testing.T) func(name string, args ...string) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bin")
	Run(t, 10*time.Second, "", Binary(t), "install-links", dir)
	return func(name string, args ...string) []string { return append([]string{filepath.Join(dir, name)}, args...) }
}

// printed fails the test unless got is the lines wanted.
func printed(t *testing.T, what, got string, lines ...string) {
	t.Helper()
	if g := strings.TrimRight(got, "\n"); g != strings.Join(lines, "\n") {
		t.Errorf("%s printed\n%s\nwant\n%s", what, g, strings.Join(lines, "\n"))
	}
}

// consumed runs a console consumer until it has printed the lines, then interrupts it as a user would.
func consumed(t *testing.T, name string, command []string, lines ...string) {
	t.Helper()
	p := Start(t, "", name, command...)
	Await(t, 30*time.Second, name+" prints the messages", func() error {
		for _, l := range lines {
			if !strings.Contains(p.Output(), l+"\n") {
				return fmt.Errorf("%q is missing in %q", l, p.Output())
			}
		}
		return nil
	})
	p.Signal(syscall.SIGINT)
	if err := p.Wait(20 * time.Second); err != nil {
		t.Errorf("%s after an interrupt: %v\n%s", name, err, p.Output())
	}
	for _, l := range lines {
		if strings.Count(p.Output(), l+"\n") != 1 {
			t.Errorf("%s printed %q %d times", name, l, strings.Count(p.Output(), l+"\n"))
		}
	}
}

// TestTutorial follows an old tutorial from its first line to its last, under its own command names.
func TestTutorial(t *testing.T) {
	run := links(t)
	dir := t.TempDir()
	zk, kafka := FreePort(t), FreePort(t)
	zkAddr, kafkaAddr := fmt.Sprintf("localhost:%d", zk), fmt.Sprintf("localhost:%d", kafka)
	writeProperties(t, filepath.Join(dir, "config", "zookeeper.properties"),
		"# the directory where the snapshot is stored.", "dataDir="+filepath.Join(dir, "zookeeper"),
		"# the port at which the clients will connect", fmt.Sprint("clientPort=", zk),
		"# disable the per-ip limit on the number of connections since this is a non-production config", "maxClientCnxns=0", "admin.enableServer=false")
	writeProperties(t, filepath.Join(dir, "config", "server.properties"),
		"broker.id=0", "num.network.threads=3", "num.io.threads=8", "socket.send.buffer.bytes=102400", "socket.receive.buffer.bytes=102400",
		"socket.request.max.bytes=104857600", "log.dirs="+filepath.Join(dir, "kafka-logs"), "num.partitions=1", "num.recovery.threads.per.data.dir=1",
		"offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"log.retention.hours=168", "log.segment.bytes=1073741824", "log.retention.check.interval.ms=300000",
		"zookeeper.connect="+zkAddr, "zookeeper.connection.timeout.ms=18000", "group.initial.rebalance.delay.ms=0",
		fmt.Sprint("listeners=PLAINTEXT://localhost:", kafka))

	// Start ZooKeeper, then Kafka.
	zookeeper := Start(t, dir, "zookeeper-server-start.sh", run("zookeeper-server-start.sh", "config/zookeeper.properties")...)
	Await(t, 20*time.Second, "ZooKeeper listens", Listening(zookeeper, zkAddr))
	broker := Start(t, dir, "kafka-server-start.sh", run("kafka-server-start.sh", "config/server.properties")...)
	Await(t, 20*time.Second, "Kafka listens", Listening(broker, kafkaAddr))

	// Create a topic, list topics.
	printed(t, "kafka-topics.sh --create", Run(t, 20*time.Second, dir, run("kafka-topics.sh", "--create", "--zookeeper", zkAddr, "--replication-factor", "1", "--partitions", "1", "--topic", "test")...), "Created topic test.")
	printed(t, "kafka-topics.sh --list", Run(t, 20*time.Second, dir, run("kafka-topics.sh", "--list", "--zookeeper", zkAddr)...), "test")
	printed(t, "kafka-topics --list", Run(t, 20*time.Second, dir, run("kafka-topics", "--list", "--bootstrap-server", kafkaAddr)...), "test")

	// Consume in one shell, produce in another.
	waiting := Start(t, dir, "a waiting consumer", run("kafka-console-consumer.sh", "--bootstrap-server", kafkaAddr, "--topic", "test", "--from-beginning")...)
	if out, err := Try(20*time.Second, dir, "This is a message\nThis is another message\n", run("kafka-console-producer.sh", "--broker-list", kafkaAddr, "--topic", "test")...); err != nil {
		t.Fatalf("%v (it printed %q)", err, out)
	}
	Await(t, 20*time.Second, "the waiting consumer sees both messages", func() error {
		if out := waiting.Output(); out != "This is a message\nThis is another message\n" {
			return fmt.Errorf("it printed %q", out)
		}
		return nil
	})
	waiting.Signal(syscall.SIGINT)
	if err := waiting.Wait(20 * time.Second); err != nil {
		t.Errorf("console consumer after an interrupt: %v", err)
	}
	if out := waiting.Output(); !strings.Contains(out, "Processed a total of 2 messages") {
		t.Errorf("after the interrupt the consumer had printed %q", out)
	}
	consumed(t, "the old --zookeeper consumer", run("kafka-console-consumer.sh", "--zookeeper", zkAddr, "--topic", "test", "--from-beginning"), "This is a message", "This is another message")

	// Now from JavaScript: kafka-node 5, then 2.6 through ZooKeeper.
	sent := func(n int) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf("sent %d", i))
		}
		return lines
	}
	printed(t, "producer.js", Run(t, 30*time.Second, dir, Node(t, "tutorial/producer.js", kafkaAddr, "test", "3")...), sent(3)...)
	printed(t, "consumer.js", Run(t, 30*time.Second, dir, Node(t, "tutorial/consumer.js", kafkaAddr, "test", "5")...),
		"0 0 This is a message", "0 1 This is another message", "0 2 message 0", "0 3 message 1", "0 4 message 2")
	printed(t, "zookeeper-producer.js", Run(t, 30*time.Second, dir, Node(t, "tutorial/zookeeper-producer.js", zkAddr, "test", "2")...), sent(2)...)
	printed(t, "zookeeper-consumer.js", Run(t, 60*time.Second, dir, Node(t, "tutorial/zookeeper-consumer.js", zkAddr, "test", "7")...),
		"0 0 This is a message", "0 1 This is another message", "0 2 message 0", "0 3 message 1", "0 4 message 2", "0 5 message 0", "0 6 message 1")

	// Describe and delete, shells for ZooKeeper, groups.
	if out := Run(t, 20*time.Second, dir, run("kafka-topics.sh", "--describe", "--zookeeper", zkAddr, "--topic", "test")...); !strings.Contains(out, "Topic: test") || !strings.Contains(out, "Leader: 0") {
		t.Errorf("kafka-topics.sh --describe printed %q", out)
	}
	if out := Run(t, 20*time.Second, dir, run("zookeeper-shell.sh", zkAddr, "ls", "/brokers/ids")...); !strings.Contains(out, "[0]") {
		t.Errorf("zookeeper-shell.sh ls /brokers/ids printed %q", out)
	}

	// Stop in the tutorial's order, start again: all is still there.
	broker.Signal(syscall.SIGINT)
	if err := broker.Wait(20 * time.Second); err != nil {
		t.Errorf("broker after an interrupt: %v", err)
	}
	zookeeper.Signal(syscall.SIGINT)
	if err := zookeeper.Wait(20 * time.Second); err != nil {
		t.Errorf("coordinator after an interrupt: %v", err)
	}
	zookeeper = Start(t, dir, "zookeeper-server-start.sh", run("zookeeper-server-start.sh", "config/zookeeper.properties")...)
	Await(t, 20*time.Second, "ZooKeeper listens again", Listening(zookeeper, zkAddr))
	broker = Start(t, dir, "kafka-server-start.sh", run("kafka-server-start.sh", "config/server.properties")...)
	Await(t, 20*time.Second, "Kafka listens again", Listening(broker, kafkaAddr))
	consumed(t, "a consumer after the restart", run("kafka-console-consumer.sh", "--bootstrap-server", kafkaAddr, "--topic", "test", "--from-beginning"), "This is a message", "message 2")
}
