package console

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/broker/znode"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// consumerCall is one call of kafka-console-consumer.
type consumerCall struct {
	*cobra.Command
	kafka         client.Kafka
	zookeeper     string
	topic         string
	include       string
	fromBeginning bool
	offset        string
	timeoutMs     int64
	isolation     string
	formatter     string
	formatterFile string
	properties    []string
	consumer      []string
	config        string
	c             consumer
}

// formatters are the classes that stand for the printer, and those that print nothing.
var (
	formatters = []string{"org.apache.kafka.tools.consumer.DefaultMessageFormatter", "kafka.tools.DefaultMessageFormatter"}
	noFormats  = []string{"org.apache.kafka.tools.consumer.NoOpMessageFormatter", "kafka.tools.NoOpMessageFormatter"}
)

// KafkaConsoleConsumer is kafka-console-consumer.sh.
func KafkaConsoleConsumer() *cobra.Command {
	c := &consumerCall{kafka: client.Kafka{ID: "console-consumer"}, c: consumer{create: true}}
	cmd := &cobra.Command{
		Use:   "kafka-console-consumer",
		Short: "Print the records of a topic, as Apache Kafka's tool does",
		Example: `  kafka-console-consumer --bootstrap-server localhost:9092 --topic test --from-beginning
  kafka-console-consumer --zookeeper localhost:2181 --topic test --from-beginning`,
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.zookeeper, "zookeeper", "", "find the brokers in ZooKeeper, at `host:port,.../chroot`, as the old consumer did")
	f.StringVar(&c.topic, "topic", "", "the `topic` to read")
	f.StringVar(&c.include, "include", "", "`expression` for the topics to read")
	f.StringVar(&c.include, "whitelist", "", "the old name of --include, `expression`")
	f.BoolVar(&c.fromBeginning, "from-beginning", false, "begin with the oldest record if the group has no offset")
	f.Int32Var(&c.c.partition, "partition", -1, "read this `partition` only, from the end unless --offset is given")
	f.StringVar(&c.offset, "offset", "", "`offset` to begin at (a number, earliest or latest), with --partition")
	f.Int64Var(&c.c.max, "max-messages", -1, "end after so `many` records")
	f.Int64Var(&c.timeoutMs, "timeout-ms", -1, "end when nothing came for so many `milliseconds`")
	f.StringVar(&c.c.group, "group", "", "the consumer `group`; without it a new one, console-consumer-NUMBER")
	f.StringVar(&c.isolation, "isolation-level", "read_uncommitted", "`level`: read_committed or read_uncommitted")
	f.StringVar(&c.formatter, "formatter", formatters[0], "`class` that prints a record; there are DefaultMessageFormatter and NoOpMessageFormatter")
	f.StringVar(&c.formatterFile, "formatter-config", "", "`file` of formatter properties")
	f.StringArrayVar(&c.properties, "property", nil, "a `name=value` of the formatter: print.timestamp, print.key, print.offset, print.partition, print.headers, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer")
	f.StringArrayVar(&c.consumer, "consumer-property", nil, "a `name=value` of the consumer; may be repeated")
	f.StringVar(&c.config, "consumer.config", "", "`file` of consumer properties")
	var keys, values string
	f.StringVar(&keys, "key-deserializer", "", "`class` for keys, as --property key.deserializer")
	f.StringVar(&values, "value-deserializer", "", "`class` for values, as --property value.deserializer")
	f.BoolVar(&c.c.lenient, "skip-message-on-error", false, "go on after a record that cannot be printed")
	tool.Switches(f, map[string]string{
		"new-consumer": "accepted for old scripts, without effect", "delete-consumer-offsets": "accepted for old scripts, without effect",
		"enable-systest-events": "accepted for test scripts, without effect",
	})
	cmd.PreRun = func(*cobra.Command, []string) {
		for name, v := range map[string]string{"key.deserializer": keys, "value.deserializer": values} {
			if v != "" {
				c.properties = append([]string{name + "=" + v}, c.properties...)
			}
		}
	}
	return cmd
}

// check reads the options into the consumer.
func (c *consumerCall) check() error {
	k := tool.Checks{Cmd: c.Command}
	if c.kafka.Servers == "" && c.zookeeper == "" {
		k.Required("bootstrap-server")
	}
	if (c.topic == "") == (c.include == "") {
		k.Wrong("Exactly one of --include/--topic is required. ")
	}
	if c.c.partition >= 0 && c.topic == "" {
		k.Wrong("The topic is required when partition is specified.")
	}
	if c.offset != "" && c.c.partition < 0 {
		k.Wrong("The partition is required when offset is specified.")
	}
	if c.offset != "" && c.fromBeginning {
		k.Wrong("Options from-beginning and offset cannot be specified together.")
	}
	steps := []func() error{c.where, c.how, c.format}
	for _, step := range steps {
		if err := step(); err != nil {
			k.Wrong("%v", err)
		}
	}
	return k.Err
}

// where says what to consume and where to begin.
func (c *consumerCall) where() (err error) {
	c.c.topics = []string{c.topic}
	if c.include != "" {
		c.c.regex, c.c.topics = true, []string{"^(?:" + strings.ReplaceAll(c.include, ",", "|") + ")$"}
		if _, err := tool.Include(c.include); err != nil {
			return err
		}
	}
	c.c.offset = kgo.NewOffset().AtEnd()
	switch {
	case c.fromBeginning:
		c.c.offset = kgo.NewOffset().AtStart()
	case c.offset != "":
		n, err := strconv.ParseInt(c.offset, 10, 64)
		if err == nil && n >= 0 {
			c.c.offset = kgo.NewOffset().At(n)
		} else if c.c.offset, err = startOf(c.offset); err != nil {
			return fmt.Errorf("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", c.offset)
		}
	}
	return nil
}

// how takes group, limits and the consumer's properties.
func (c *consumerCall) how() error {
	p, err := client.Gather(c.config, c.consumer)
	if err != nil {
		return err
	}
	if _, given := p["isolation.level"]; !given {
		p["isolation.level"] = c.isolation
	}
	reset := p["auto.offset.reset"]
	if c.fromBeginning && (reset == "latest" || reset == "largest") {
		return fmt.Errorf("Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', please remove one option", reset)
	}
	if id, given := p["group.id"]; given && c.c.group != "" && id != c.c.group {
		return errors.New("The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '" + c.c.group + "', '" + id + "'")
	}
	c.c.commit = c.c.group != ""
	if c.timeoutMs >= 0 {
		c.c.idle = max(time.Duration(c.timeoutMs)*time.Millisecond, time.Millisecond)
	}
	if c.c.group == "" && p["group.id"] == "" {
		c.c.group = fmt.Sprintf("console-consumer-%d", rand.IntN(100_000))
	}
	return c.c.apply(p)
}

// format chooses how records are printed.
func (c *consumerCall) format() error {
	p := newPrinter()
	switch {
	case slices.Contains(noFormats, c.formatter):
		p.none = true
	case !slices.Contains(formatters, c.formatter):
		return fmt.Errorf("There is no formatter %s here: Java classes cannot be loaded. There are %s and %s.", c.formatter, formatters[0], noFormats[0])
	}
	props, err := client.Gather(c.formatterFile, nil)
	if err != nil {
		return err
	}
	for _, o := range c.properties { // a separator may begin or end with a blank
		k, v, _ := strings.Cut(o, "=")
		props[strings.TrimSpace(k)] = v
	}
	for name, value := range props {
		if _, err := p.set(name, value); err != nil {
			return err
		}
	}
	c.c.print = p.write
	return nil
}

func (c *consumerCall) run() error {
	if err := c.check(); err != nil {
		return err
	}
	if c.zookeeper != "" {
		fmt.Fprintln(c.ErrOrStderr(), "Using the ConsoleConsumer with old consumer is deprecated and will be removed in a future major release. Consider using the new consumer by passing [bootstrap-server] instead of [zookeeper].")
		servers, err := brokersOf(c.Context(), c.zookeeper)
		if err != nil {
			return err
		}
		c.kafka.Servers, c.c.group = servers, "" // its groups lived in ZooKeeper; here it reads by itself
	}
	count, err := c.c.run(c.Command, &c.kafka)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "Error processing message, terminating consumer process: %v\n", err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "Processed a total of %d messages\n", count)
	if err != nil {
		return output.Status(1)
	}
	return nil
}

// brokersOf finds the plaintext addresses of the registered brokers.
func brokersOf(ctx context.Context, connect string) (string, error) {
	z := client.ZooKeeper{Connect: connect}
	cl, s, err := z.Layout(ctx)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	brokers, _, err := s.Brokers(ctx)
	if err != nil && !errors.Is(err, znode.ErrNoNode) {
		return "", err
	}
	var out []string
	for _, b := range brokers {
		for _, e := range b.Endpoints {
			if e.Protocol.String() == "PLAINTEXT" {
				out = append(out, e.HostPort())
				break
			}
		}
	}
	if len(out) == 0 {
		return "", fmt.Errorf("no broker with a PLAINTEXT listener is registered in ZooKeeper at %s; start one, with `kafka-server-start` or `ottla broker`", connect)
	}
	return strings.Join(out, ","), nil
}
