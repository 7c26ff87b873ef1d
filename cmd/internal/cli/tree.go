package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/acl"
	"ottla/cmd/internal/bench"
	"ottla/cmd/internal/cluster"
	"ottla/cmd/internal/config"
	"ottla/cmd/internal/console"
	"ottla/cmd/internal/group"
	"ottla/cmd/internal/links"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/perf"
	"ottla/cmd/internal/serve"
	"ottla/cmd/internal/topic"
	"ottla/cmd/internal/version"
	"ottla/cmd/internal/zk"
)

// named are the commands that the binary is when it is called by their name, with or without an ending.
var named map[string]func() *cobra.Command

func init() { // kafka-run-class looks the others up
	named = map[string]func() *cobra.Command{
		"kafka-acls":                acl.KafkaACLs,
		"kafka-broker-api-versions": cluster.KafkaBrokerAPIVersions,
		"kafka-cluster":             cluster.KafkaCluster,
		"kafka-configs":             config.KafkaConfigs,
		"kafka-console-consumer":    console.KafkaConsoleConsumer,
		"kafka-console-producer":    console.KafkaConsoleProducer,
		"kafka-consumer-groups":     group.KafkaConsumerGroups,
		"kafka-consumer-perf-test":  perf.KafkaConsumerPerfTest,
		"kafka-delete-records":      topic.KafkaDeleteRecords,
		"kafka-e2e-latency":         perf.KafkaE2ELatency,
		"kafka-features":            cluster.KafkaFeatures,
		"kafka-get-offsets":         topic.KafkaGetOffsets,
		"kafka-leader-election":     cluster.KafkaLeaderElection,
		"kafka-log-dirs":            cluster.KafkaLogDirs,
		"kafka-producer-perf-test":  perf.KafkaProducerPerfTest,
		"kafka-run-class":           runClass,
		"kafka-server-start":        serve.KafkaServerStart,
		"kafka-server-stop":         serve.KafkaServerStop,
		"kafka-topics":              topic.KafkaTopics,
		"kafka-transactions":        cluster.KafkaTransactions,
		"kafka-verifiable-consumer": perf.KafkaVerifiableConsumer,
		"kafka-verifiable-producer": perf.KafkaVerifiableProducer,
		"zkCli":                     zk.CLI,
		"zookeeper-server-start":    serve.ZooKeeperServerStart,
		"zookeeper-server-stop":     serve.ZooKeeperServerStop,
		"zookeeper-shell":           zk.Shell,
	}
}

// root is `ottla`.
func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ottla",
		Short: "Kafka and ZooKeeper in one binary",
		Long: `Ottla is Kafka and ZooKeeper in one binary, exchangeable with the Apache ones.

Start with ` + "`ottla up`" + `: it runs both in one process, on the usual ports, with its data in ./ottla-data.`,
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddGroup(&cobra.Group{ID: "servers", Title: "Servers:"}, &cobra.Group{ID: "clients", Title: "Clients of any Kafka or ZooKeeper:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			cmd.AddCommand(c)
		}
	}
	add("servers", serve.Up(), serve.Coordinator(), serve.Broker())
	add("clients", topic.Command(), group.Command(), config.Command(), cluster.Command(), console.Produce(), console.Consume(), zk.Command(), bench.Command())
	add("", as(), links.Command(slices.Sorted(maps.Keys(named))), version.Command())
	return cmd
}

// as runs one of the named commands where the program cannot be linked.
func as() *cobra.Command {
	return &cobra.Command{
		Use:                "as NAME [ARGUMENT]...",
		Short:              "Run one of the command names that install-links makes",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || named[plainName(args[0])] == nil {
				return output.Usagef("want one of the names %v", slices.Sorted(maps.Keys(named)))
			}
			if code := Run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()); code != 0 {
				return output.Status(code)
			}
			return nil
		},
	}
}
