//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestJavaTools uses our servers through the command-line tools of Apache Kafka and ZooKeeper.
func TestJavaTools(t *testing.T) {
	coord := Coordinator(t)
	b := Broker(t, 0, coord.Address)
	t.Run("tools", func(t *testing.T) {
		for _, set := range []string{"kafka-3.9", "kafka-4"} {
			t.Run(set, func(t *testing.T) {
				t.Parallel()
				adminTools(t, set, b.Address)
			})
		}
		t.Run("kafka-2.8 through ZooKeeper", func(t *testing.T) {
			t.Parallel()
			zookeeperTools(t, coord.Address, b.Address)
		})
		t.Run("API versions", func(t *testing.T) {
			t.Parallel()
			apiVersions(t, b.Address)
		})
	})
	b.Stop(t)
	coord.Stop(t)
}

// toolbox runs tools of a set and looks at what they print.
func toolbox(t *testing.T, set string, common ...string) (run func(tool, stdin string, args ...string) string, prints func(out string, patterns ...string)) {
	var b *Toolbox
	if set != "zookeeper" { // it lacks the class that tells the end of a tool
		b = OpenTools(t, set)
	}
	run = func(tool, stdin string, args ...string) string {
		t.Helper()
		if b == nil {
			out, err := Try(2*time.Minute, "", stdin, Apache(t, set, tool, append(slices.Clone(common), args...)...)...)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		r := b.Run(t, 2*time.Minute, stdin, tool, append(slices.Clone(common), args...)...)
		if r.Status != 0 {
			t.Fatalf("%s/%s %s: status %d\n%s%s", set, tool, strings.Join(args, " "), r.Status, r.Out, r.Errs)
		}
		return r.Out
	}
	prints = func(out string, patterns ...string) {
		t.Helper()
		for _, p := range patterns {
			if !regexp.MustCompile("(?m)" + p).MatchString(out) {
				t.Errorf("%q is not in\n%s", p, out)
			}
		}
	}
	return run, prints
}

// adminTools makes, changes, uses, describes and deletes a topic with the tools of one version.
func adminTools(t *testing.T, set, address string) {
	run, prints := toolbox(t, set, "--bootstrap-server", address)
	topic := "tools-" + strings.ReplaceAll(set, ".", "-")
	group := topic + "-group"

	prints(run("kafka-topics", "", "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=3600000"), `^Created topic `+topic)
	run("kafka-topics", "", "--alter", "--topic", topic, "--partitions", "4")
	prints(run("kafka-topics", "", "--describe", "--topic", topic), `PartitionCount: 4\s`, `ReplicationFactor: 1\s`, `Configs: .*retention.ms=3600000`,
		`Partition: 0\s+Leader: 0\s+Replicas: 0\s+Isr: 0`, `Partition: 3\s+Leader: 0\s+Replicas: 0\s+Isr: 0`)
	run("kafka-configs", "", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "max.message.bytes=65536,cleanup.policy=delete", "--delete-config", "retention.ms")
	described := run("kafka-configs", "", "--describe", "--entity-type", "topics", "--entity-name", topic)
	prints(described, `max.message.bytes=65536 .*DYNAMIC_TOPIC_CONFIG:max.message.bytes=65536, DEFAULT_CONFIG:message.max.bytes=1048588`)
	if strings.Contains(described, "retention.ms=") {
		t.Errorf("retention.ms is still there:\n%s", described)
	}
	run("kafka-configs", "", "--alter", "--entity-type", "brokers", "--entity-name", "0", "--add-config", "log.cleaner.threads=2")
	prints(run("kafka-configs", "", "--describe", "--entity-type", "brokers", "--entity-name", "0"), `log.cleaner.threads=2 `)

	run("kafka-console-producer", "a:1\nb:2\nc:3\n", "--topic", topic, "--property", "parse.key=true", "--property", "key.separator=:",
		"--producer-property", "acks=all", "--producer-property", "enable.idempotence=true", "--producer-property", "compression.type=lz4")
	lines := strings.Fields(run("kafka-console-consumer", "", "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "3"))
	if slices.Sort(lines); !slices.Equal(lines, []string{"1", "2", "3"}) {
		t.Errorf("the consumer printed %v", lines)
	}
	prints(run("kafka-get-offsets", "", "--topic", topic), `^`+topic+`:0:\d`, `^`+topic+`:3:\d`)
	prints(run("kafka-consumer-groups", "", "--list"), `^`+group+`$`)
	lag := run("kafka-consumer-groups", "", "--describe", "--group", group)
	ended, total := regexp.MustCompile(group+`\s+`+topic+`\s+\d\s+(\d)\s+(\d)\s+0\s`).FindAllStringSubmatch(lag, -1), 0
	for _, row := range ended {
		total += int(row[1][0] - '0')
		if row[1] != row[2] {
			t.Errorf("offset and end differ: %s", row[0])
		}
	}
	if len(ended) != 4 || total != 3 {
		t.Errorf("kafka-consumer-groups --describe printed\n%s", lag)
	}
	prints(run("kafka-consumer-groups", "", "--describe", "--group", group, "--state"), group+`.* Empty\s+0`)

	run("kafka-topics", "", "--delete", "--topic", topic)
	if out := run("kafka-topics", "", "--list"); strings.Contains(out, topic) {
		t.Errorf("the topic is still listed:\n%s", out)
	}
}

// zookeeperTools makes and changes a topic behind the broker's back, as old tools do.
func zookeeperTools(t *testing.T, zk, address string) {
	run, prints := toolbox(t, "kafka-2.8", "--zookeeper", zk)
	const topic = "by-zookeeper"
	prints(run("kafka-topics", "", "--create", "--topic", topic, "--partitions", "1", "--replication-factor", "1"), `^Created topic by-zookeeper`)
	prints(run("kafka-topics", "", "--list"), `^by-zookeeper$`)
	run("kafka-topics", "", "--alter", "--topic", topic, "--partitions", "2")
	prints(run("kafka-topics", "", "--describe", "--topic", topic), `PartitionCount: 2`, `Partition: 1\s+Leader: 0`)
	run("kafka-configs", "", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "retention.ms=3600000")
	prints(run("kafka-configs", "", "--describe", "--entity-type", "topics", "--entity-name", topic), `retention.ms=3600000`)
	franzProduce(t, address, topic, 10)
	run("kafka-topics", "", "--delete", "--topic", topic)

	shell, shellPrints := toolbox(t, "zookeeper", "-server", zk)
	shellPrints(shell("zkCli", "create /shell data\nget /shell\nls /brokers/ids\nset /shell more\nstat /shell\ndelete /shell\nls /\nquit\n"),
		`^data$`, `^\[0\]$`, `dataVersion = 1`, `^\[admin, .*zookeeper\]`)
	Await(t, 30*time.Second, "the topic vanishes", func() error {
		return absent(connect(t, zk), "/brokers/topics/"+topic)
	})
}

// laterAPIs are advertised by Apache Kafka 3.9 and not by us yet, with the feature that brings them.
var laterAPIs = map[string]string{
	"AlterPartition":              "replication",
	"AlterPartitionReassignments": "reassignment", "AlterReplicaLogDirs": "reassignment",
	"AddPartitionsToTxn": "transactions", "AddOffsetsToTxn": "transactions", "EndTxn": "transactions", "WriteTxnMarkers": "transactions", "TxnOffsetCommit": "transactions",
	"SaslHandshake": "SASL", "SaslAuthenticate": "SASL",
}

// apiVersions compares what kafka-broker-api-versions of 3.9 says of us with what it said of Apache Kafka 3.9.
func apiVersions(t *testing.T, address string) {
	golden, err := os.ReadFile(filepath.Join(Root, "testdata", "wire", "broker-api-versions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	run, _ := toolbox(t, "kafka-3.9", "--bootstrap-server", address)
	parse := func(text string) map[string]string {
		all := map[string]string{}
		for _, m := range regexp.MustCompile(`(\w+)\((\d+)\): ([^\[,\n]*)`).FindAllStringSubmatch(text, -1) {
			all[m[1]] = m[2] + ": " + strings.TrimSpace(m[3])
		}
		return all
	}
	ours, theirs := parse(run("kafka-broker-api-versions", "")), parse(string(golden))
	for api, versions := range theirs {
		switch feature, later := laterAPIs[api]; {
		case later && !strings.HasSuffix(ours[api], "UNSUPPORTED"):
			t.Errorf("%s is listed as part of %s, and is served: %s", api, feature, ours[api])
		case !later && ours[api] != versions:
			t.Errorf("%s: we serve %q, Apache Kafka %q", api, ours[api], versions)
		}
	}
	for api := range ours {
		if _, ok := theirs[api]; !ok {
			t.Errorf("%s is not an API of Apache Kafka 3.9: %s", api, ours[api])
		}
	}
	for api := range laterAPIs {
		if _, ok := theirs[api]; !ok {
			t.Errorf("%s is listed as missing, and Apache Kafka does not have it", api)
		}
	}
}
