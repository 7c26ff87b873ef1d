package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	names "ottla/broker/topic"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// call is one call of kafka-topics.
type call struct {
	*cobra.Command
	kafka      client.Kafka
	zookeeper  string
	topic      string
	topicID    string
	partitions int32
	replicas   int32
	assignment string
	configs    []string
	drops      []string
}

// backend does what kafka-topics was asked for, through a broker or in ZooKeeper.
type backend interface {
	create(ctx context.Context, assignment [][]int32, configs map[string]string) error
	list(ctx context.Context) ([]string, error)
	describe(ctx context.Context, topics []string) error
	alter(ctx context.Context, topics []string, assignment [][]int32, configs map[string]string) error
	remove(ctx context.Context, topics []string) error
	close()
}

var actions = []string{"list", "describe", "create", "alter", "delete"}

// filters of --describe: each shows partitions in one kind of trouble.
var filters = []string{"under-replicated-partitions", "unavailable-partitions", "under-min-isr-partitions", "at-min-isr-partitions"}

// KafkaTopics is kafka-topics.sh.
func KafkaTopics() *cobra.Command {
	c := &call{kafka: client.Kafka{ID: "kafka-topics", Timeout: time.Minute}}
	cmd := &cobra.Command{
		Use:   "kafka-topics",
		Short: "Create, delete, describe, or change a topic, as Apache Kafka's tool does",
		Example: `  kafka-topics --create --bootstrap-server localhost:9092 --topic test --partitions 1 --replication-factor 1
  kafka-topics --create --zookeeper localhost:2181 --topic test --partitions 1 --replication-factor 1
  kafka-topics --list --bootstrap-server localhost:9092`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.kafka.Properties, "command-config", "", "`file` of client properties")
	f.StringVar(&c.zookeeper, "zookeeper", "", "write to ZooKeeper itself, at `host:port,.../chroot`, as tools up to 2.8 did")
	f.StringVar(&c.topic, "topic", "", "the `topic`; a regular expression for all but --create")
	f.StringVar(&c.topicID, "topic-id", "", "the `id` of the topic to describe")
	f.Int32Var(&c.partitions, "partitions", -1, "`number` of partitions")
	f.Int32Var(&c.replicas, "replication-factor", -1, "`number` of replicas of each partition")
	f.StringVar(&c.assignment, "replica-assignment", "", "brokers of each partition, `1:2,2:3,...`")
	f.StringArrayVar(&c.configs, "config", nil, "a `name=value` of the topic; may be repeated")
	f.StringArrayVar(&c.drops, "delete-config", nil, "a `name` to remove from the topic's configuration (--zookeeper --alter)")
	f.Int32("partition-size-limit-per-response", 2000, "`partitions` in one answer, accepted for scripts of 3.9")
	tool.Switches(f, map[string]string{
		"list": "list all topics", "create": "create a topic", "delete": "delete topics", "describe": "show topics",
		"alter":                       "change the number of partitions",
		"under-replicated-partitions": "describe only partitions that lack replicas",
		"unavailable-partitions":      "describe only partitions without a live leader",
		"under-min-isr-partitions":    "describe only partitions with fewer in-sync replicas than min.insync.replicas",
		"at-min-isr-partitions":       "describe only partitions with exactly min.insync.replicas in-sync replicas",
		"topics-with-overrides":       "describe only topics with a configuration of their own",
		"if-exists":                   "a topic that does not exist is no error",
		"if-not-exists":               "a topic that exists already is no error",
		"exclude-internal":            "leave internal topics out",
		"force":                       "accepted for old scripts; nothing is asked for",
		"disable-rack-aware":          "accepted for old scripts; racks do not count",
	})
	return cmd
}

func (c *call) on(option string) bool { return c.Flags().Changed(option) }

// check refuses calls that make no sense, and returns the action.
func (c *call) check() (string, error) {
	action, err := tool.Action(c.Command, actions...)
	if err != nil {
		return "", err
	}
	if !c.on("bootstrap-server") && !c.on("zookeeper") {
		fmt.Fprintln(c.ErrOrStderr(), "--bootstrap-server must be specified")
		return "", output.Status(1)
	}
	k := tool.Checks{Cmd: c.Command}
	if c.on("bootstrap-server") && c.on("zookeeper") {
		k.Wrong("Only one of --bootstrap-server or --zookeeper must be specified")
	}
	if action != "list" && action != "describe" {
		k.Required("topic")
	}
	if c.on("zookeeper") && action == "create" && !c.on("replica-assignment") {
		k.Required("partitions", "replication-factor")
	}
	if c.on("bootstrap-server") && action == "alter" {
		if c.on("config") {
			k.Wrong(`Option combination "[[bootstrap-server], [config]]" can't be used with option "[alter]" (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)`)
		}
		k.Required("partitions")
	}
	only := func(option string, allowed ...string) {
		k.Excluded(option, slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return slices.Contains(allowed, a) })...)
	}
	only("config", "alter", "create")
	only("delete-config", "alter")
	only("partitions", "alter", "create")
	only("replication-factor", "create")
	only("replica-assignment", "alter", "create")
	if action == "create" {
		k.Excluded("replica-assignment", "partitions", "replication-factor")
	}
	for _, f := range filters {
		only(f, "describe")
		k.Excluded(f, "topics-with-overrides")
	}
	only("topics-with-overrides", "describe")
	only("if-exists", "alter", "delete", "describe")
	only("if-not-exists", "create")
	only("exclude-internal", "list", "describe")
	return action, k.Err
}

func (c *call) run() error {
	action, err := c.check()
	if err != nil {
		return err
	}
	var b backend
	ctx, cancel := c.kafka.Context(c.Context())
	defer cancel()
	if c.on("zookeeper") {
		b, err = openZooKeeper(ctx, c)
	} else {
		b, err = openBroker(ctx, c)
	}
	if err == nil {
		defer b.close()
		err = c.do(ctx, b, action)
	}
	var status output.Status
	if err == nil || errors.As(err, &status) {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "Error while executing topic command : %v\n", err)
	return output.Status(1)
}

// do carries an action out. The texts of its errors are Apache Kafka's.
func (c *call) do(ctx context.Context, b backend, action string) error {
	assignment, err := parseAssignment(c.assignment)
	if err != nil {
		return err
	}
	configs, err := c.configMap()
	if err != nil {
		return err
	}
	if action == "create" {
		return c.create(ctx, b, assignment, configs)
	}
	topics, err := b.list(ctx)
	if err != nil {
		return err
	}
	if topics, err = c.choose(topics); err != nil {
		return err
	}
	if action == "list" {
		tool.Print(c.OutOrStdout(), topics)
		return nil
	}
	if c.topic != "" && len(topics) == 0 && !c.on("if-exists") {
		missing := c.topic
		if !c.on("zookeeper") {
			missing = "Optional[" + c.topic + "]" // so Apache Kafka 3.9 prints it
		}
		return fmt.Errorf("Topic '%s' does not exist as expected", missing)
	}
	switch action {
	case "describe":
		return b.describe(ctx, topics)
	case "alter":
		return b.alter(ctx, topics, assignment, configs)
	}
	return b.remove(ctx, topics)
}

func (c *call) create(ctx context.Context, b backend, assignment [][]int32, configs map[string]string) error {
	if strings.ContainsAny(c.topic, "._") {
		fmt.Fprintln(c.OutOrStdout(), "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.")
	}
	if c.on("replication-factor") && (c.replicas < 1 || c.replicas > 32767) {
		return errors.New("The replication factor must be between 1 and 32767 inclusive")
	}
	if c.on("partitions") && c.partitions < 1 {
		return errors.New("The partitions must be greater than 0")
	}
	err := b.create(ctx, assignment, configs)
	if errors.Is(err, errExists) {
		return nil
	}
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "Created topic %s.\n", c.topic)
	}
	return err
}

// choose applies --topic and --exclude-internal to the sorted names of all topics.
func (c *call) choose(all []string) ([]string, error) {
	allowed := func(string) bool { return true }
	if c.topic != "" {
		var err error
		if allowed, err = tool.Include(c.topic); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(t string) bool {
		return !allowed(t) || c.on("exclude-internal") && names.IsInternal(t)
	}), nil
}

func (c *call) configMap() (map[string]string, error) {
	m, err := tool.Pairs(c.configs)
	if err != nil {
		return nil, errors.New("requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".")
	}
	return m, nil
}

// parseAssignment reads 1:2,2:3: for each partition its replicas.
func parseAssignment(text string) ([][]int32, error) {
	if text == "" {
		return nil, nil
	}
	var out [][]int32
	for i, p := range strings.Split(text, ",") {
		var replicas []int32
		for _, b := range strings.Split(p, ":") {
			id, err := strconv.ParseInt(strings.TrimSpace(b), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("For input string: %q", strings.TrimSpace(b))
			}
			if slices.Contains(replicas, int32(id)) {
				return nil, fmt.Errorf("Partition replica lists may not contain duplicate entries: %d", id)
			}
			replicas = append(replicas, int32(id))
		}
		if len(out) > 0 && len(replicas) != len(out[0]) {
			return nil, fmt.Errorf("Partition %d has different replication factor: %s", i, fmt.Sprint("[", strings.ReplaceAll(join(replicas), ",", ", "), "]"))
		}
		out = append(out, replicas)
	}
	return out, nil
}
