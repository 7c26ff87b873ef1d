package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
)

// classes are the Java classes behind the names of tools, which kafka-run-class runs.
var classes = map[string]string{
	"kafka.Kafka": "kafka-server-start", "org.apache.zookeeper.server.quorum.QuorumPeerMain": "zookeeper-server-start",
	"kafka.admin.TopicCommand": "kafka-topics", "org.apache.kafka.tools.TopicCommand": "kafka-topics",
	"kafka.admin.ConfigCommand": "kafka-configs", "org.apache.kafka.tools.ConfigCommand": "kafka-configs",
	"kafka.admin.ConsumerGroupCommand": "kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand": "kafka-consumer-groups",
	"kafka.tools.ConsoleProducer": "kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer": "kafka-console-producer",
	"kafka.tools.ConsoleConsumer": "kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer": "kafka-console-consumer",
	"kafka.tools.GetOffsetShell": "kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell": "kafka-get-offsets",
	"kafka.admin.DeleteRecordsCommand": "kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand": "kafka-delete-records",
	"kafka.admin.LogDirsCommand": "kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand": "kafka-log-dirs",
	"kafka.admin.LeaderElectionCommand": "kafka-leader-election", "org.apache.kafka.tools.LeaderElectionCommand": "kafka-leader-election",
	"kafka.admin.BrokerApiVersionsCommand": "kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand": "kafka-broker-api-versions",
	"kafka.tools.ClusterTool": "kafka-cluster", "org.apache.kafka.tools.ClusterTool": "kafka-cluster",
	"kafka.admin.FeatureCommand": "kafka-features", "org.apache.kafka.tools.FeatureCommand": "kafka-features",
	"kafka.admin.AclCommand": "kafka-acls", "org.apache.kafka.tools.AclCommand": "kafka-acls",
	"org.apache.kafka.tools.TransactionsCommand": "kafka-transactions", "org.apache.kafka.tools.ProducerPerformance": "kafka-producer-perf-test",
	"kafka.tools.ConsumerPerformance": "kafka-consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance": "kafka-consumer-perf-test",
	"kafka.tools.EndToEndLatency": "kafka-e2e-latency", "org.apache.kafka.tools.EndToEndLatency": "kafka-e2e-latency",
	"org.apache.kafka.tools.VerifiableProducer": "kafka-verifiable-producer", "org.apache.kafka.tools.VerifiableConsumer": "kafka-verifiable-consumer",
	"kafka.tools.DumpLogSegments": "kafka-dump-log", "org.apache.kafka.tools.DumpLogSegments": "kafka-dump-log",
	"org.apache.zookeeper.ZooKeeperMain": "zookeeper-shell", "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka": "zookeeper-shell",
}

// runClass is kafka-run-class.sh, for the classes that are tools.
func runClass() *cobra.Command {
	return &cobra.Command{
		Use:                "kafka-run-class CLASS [ARGUMENT]...",
		Short:              "Run a tool of Apache Kafka by the name of its Java class",
		Example:            "  kafka-run-class kafka.tools.GetOffsetShell --broker-list localhost:9092 --topic test",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for len(args) > 0 && (args[0] == "-name" || args[0] == "-loggc" || args[0] == "-daemon") { // of their script
				n := 1
				if args[0] == "-name" {
					n = min(2, len(args))
				}
				args = args[n:]
			}
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			name := classes[args[0]]
			if named[name] == nil {
				return output.Usagef("there is no tool of class %s here; there are %s", args[0], strings.Join(slices.Sorted(maps.Keys(classes)), ", "))
			}
			rest := args[1:]
			if name == "zookeeper-shell" && len(rest) > 0 && rest[0] == "-server" {
				rest = rest[1:]
			}
			if code := Run(cmd.Context(), append([]string{name}, rest...), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()); code != 0 {
				return output.Status(code)
			}
			return nil
		},
	}
}
