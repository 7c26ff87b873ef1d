//go:build unix

package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// missing skips the test, or fails it where peers are required.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("OTTLA_PEERS") == "required" {
		t.Fatalf("%s is missing: run scripts/setup", what)
	}
	t.Skipf("%s is missing; scripts/setup fetches it", what)
}

func peersDir() string {
	if d := os.Getenv("APACHE_PEERS"); d != "" {
		return d
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "apache-peers")
}

// Peers makes sure that the sets of scripts/apache are here.
func Peers(t testing.TB, sets ...string) {
	t.Helper()
	for _, s := range sets {
		if _, err := os.Stat(filepath.Join(peersDir(), s, "artifacts")); err != nil {
			missing(t, "Apache "+s)
		}
	}
}

// tools are the classes behind the names of the Apache tools, the newer first.
var tools = map[string][]string{
	"kafka-topics":              {"org.apache.kafka.tools.TopicCommand", "kafka.admin.TopicCommand"},
	"kafka-configs":             {"org.apache.kafka.tools.ConfigCommand", "kafka.admin.ConfigCommand"},
	"kafka-consumer-groups":     {"org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "kafka.admin.ConsumerGroupCommand"},
	"kafka-console-producer":    {"org.apache.kafka.tools.ConsoleProducer", "kafka.tools.ConsoleProducer"},
	"kafka-console-consumer":    {"org.apache.kafka.tools.consumer.ConsoleConsumer", "kafka.tools.ConsoleConsumer"},
	"kafka-get-offsets":         {"org.apache.kafka.tools.GetOffsetShell", "kafka.tools.GetOffsetShell"},
	"kafka-delete-records":      {"org.apache.kafka.tools.DeleteRecordsCommand", "kafka.admin.DeleteRecordsCommand"},
	"kafka-log-dirs":            {"org.apache.kafka.tools.LogDirsCommand", "kafka.admin.LogDirsCommand"},
	"kafka-dump-log":            {"org.apache.kafka.tools.DumpLogSegments", "kafka.tools.DumpLogSegments"},
	"kafka-leader-election":     {"org.apache.kafka.tools.LeaderElectionCommand", "kafka.admin.LeaderElectionCommand"},
	"kafka-broker-api-versions": {"org.apache.kafka.tools.BrokerApiVersionsCommand", "kafka.admin.BrokerApiVersionsCommand"},
	"kafka-producer-perf-test":  {"org.apache.kafka.tools.ProducerPerformance"},
	"kafka-consumer-perf-test":  {"org.apache.kafka.tools.ConsumerPerformance", "kafka.tools.ConsumerPerformance"},
	"kafka-e2e-latency":         {"org.apache.kafka.tools.EndToEndLatency", "kafka.tools.EndToEndLatency"},
	"kafka-verifiable-producer": {"org.apache.kafka.tools.VerifiableProducer"},
	"kafka-verifiable-consumer": {"org.apache.kafka.tools.VerifiableConsumer"},
	"kafka-transactions":        {"org.apache.kafka.tools.TransactionsCommand"},
	"kafka-client-metrics":      {"org.apache.kafka.tools.ClientMetricsCommand"},
	"kafka-delegation-tokens":   {"org.apache.kafka.tools.DelegationTokenCommand", "kafka.admin.DelegationTokenCommand"},
	"kafka-features":            {"org.apache.kafka.tools.FeatureCommand", "kafka.admin.FeatureCommand"},
	"kafka-cluster":             {"org.apache.kafka.tools.ClusterTool", "kafka.tools.ClusterTool"},
	"kafka-reassign-partitions": {"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "kafka.admin.ReassignPartitionsCommand"},
	"kafka-acls":                {"org.apache.kafka.tools.AclCommand", "kafka.admin.AclCommand"},
	"zkCli":                     {"org.apache.zookeeper.ZooKeeperMain"},
	"zookeeper-shell":           {"org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka", "org.apache.zookeeper.ZooKeeperMain"},
}

// Apache is the command of an Apache tool: Apache(t, "kafka-4", "kafka-topics", "--list", …). The process is the JVM itself:
// scripts/apache would start one more, to learn Java's version.
func Apache(t testing.TB, set, tool string, args ...string) []string {
	t.Helper()
	Peers(t, set)
	return java(t, set, classOf(t, set, tool), args...)
}

// Node is the command of a program of testdata/js.
func Node(t testing.TB, program string, args ...string) []string {
	t.Helper()
	dir := filepath.Join(Root, "testdata", "js")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		missing(t, "testdata/js/node_modules")
	}
	return append([]string{"node", filepath.Join(dir, program)}, args...)
}

// Python is the command of a program of testdata/python.
func Python(t testing.TB, program string, args ...string) []string {
	t.Helper()
	python := filepath.Join(Root, ".cache", "venv", "bin", "python")
	if _, err := exec.LookPath(python); err != nil {
		missing(t, "the Python environment .cache/venv")
	}
	return append([]string{python, filepath.Join(Root, "testdata", "python", program)}, args...)
}

// Client is a franz-go client of the brokers at the addresses, closed with the test.
func Client(t testing.TB, addresses string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(addresses, ",")...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// serves asks a broker for its metadata and wants itself among the brokers: then it is registered and the controller knows it.
func serves(address string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, b := range resp.Brokers {
		if address == hostPort(b.Host, b.Port) {
			return nil
		}
	}
	return errNotListed
}

var errNotListed = errors.New("the broker is not in its own metadata yet")

func hostPort(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
