package console

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// producerCall is one call of kafka-console-producer.
type producerCall struct {
	*cobra.Command
	kafka        client.Kafka
	brokerList   string
	topic        string
	sync         bool
	compression  string
	acks         string
	properties   []string
	readerConfig string
	producer     []string
	config       string
	lineReader   string
}

// lineReaders are the names of the one reader there is.
var lineReaders = []string{"kafka.tools.ConsoleProducer$LineMessageReader", "org.apache.kafka.tools.LineMessageReader"}

// producerNumbers are options that stand for a property of the producer.
var producerNumbers = map[string]string{
	"timeout": "linger.ms", "batch-size": "batch.size", "request-timeout-ms": "request.timeout.ms", "metadata-expiry-ms": "metadata.max.age.ms",
	"max-block-ms": "max.block.ms", "max-memory-bytes": "buffer.memory", "max-partition-memory-bytes": "batch.size", "message-send-max-retries": "retries",
	"retry-backoff-ms": "retry.backoff.ms", "socket-buffer-size": "send.buffer.bytes", "queue-size": "", "queue-enqueuetimeout-ms": "",
}

// KafkaConsoleProducer is kafka-console-producer.sh.
func KafkaConsoleProducer() *cobra.Command {
	c := &producerCall{kafka: client.Kafka{ID: "console-producer"}}
	cmd := &cobra.Command{
		Use:   "kafka-console-producer",
		Short: "Read lines from standard input and write them to a topic, as Apache Kafka's tool does",
		Example: `  kafka-console-producer --bootstrap-server localhost:9092 --topic test
  kafka-console-producer --broker-list localhost:9092 --topic test --property parse.key=true --property key.separator=:`,
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}
	c.Command = cmd
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&c.brokerList, "broker-list", "", "the old name of --bootstrap-server, `host:port,...`")
	f.StringVar(&c.topic, "topic", "", "the `topic` to write to")
	f.BoolVar(&c.sync, "sync", false, "wait for each record's acknowledgement")
	f.StringVar(&c.compression, "compression-codec", "none", "`codec`: none, gzip, snappy, lz4 or zstd; gzip if the option stands alone")
	f.Lookup("compression-codec").NoOptDefVal = "gzip"
	f.StringVar(&c.acks, "request-required-acks", "-1", "`acks` of a request: all, -1, 1 or 0")
	f.StringArrayVar(&c.properties, "property", nil, "a `name=value` of the line reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, ignore.error, null.marker")
	f.StringVar(&c.readerConfig, "reader-config", "", "`file` of line reader properties")
	f.StringArrayVar(&c.producer, "producer-property", nil, "a `name=value` of the producer; may be repeated")
	f.StringVar(&c.config, "producer.config", "", "`file` of producer properties")
	f.StringVar(&c.lineReader, "line-reader", lineReaders[0], "`class` that reads lines; there is only this one")
	for name, property := range producerNumbers {
		usage := "the producer's " + property
		if property == "" {
			usage = "accepted for old scripts, without effect"
		}
		f.String(name, "", usage)
	}
	return cmd
}

// check reads the options into a layout and the producer's options.
func (c *producerCall) check() (*layout, []kgo.Opt, error) {
	k := tool.Checks{Cmd: c.Command}
	k.Required("topic")
	if c.brokerList != "" {
		c.kafka.Servers = c.brokerList
	}
	if c.kafka.Servers == "" {
		k.Required("bootstrap-server")
	}
	if c.lineReader != lineReaders[0] && c.lineReader != lineReaders[1] {
		k.Wrong("There is no line reader %s here: Java classes cannot be loaded. The one there is reads lines; see --property.", c.lineReader)
	}
	l := defaultLayout()
	props, err := client.Gather(c.readerConfig, c.properties)
	for name, value := range props {
		if _, e := l.set(name, value); err == nil { // unknown ones are for other readers, as in Apache Kafka
			err = e
		}
	}
	if err == nil {
		err = l.check()
	}
	if err != nil {
		k.Wrong("%v", err)
	}
	opts, err := c.options()
	if err != nil {
		k.Wrong("%v", err)
	}
	return &l, opts, k.Err
}

// options are the producer's: those of the command's own options, then the properties over them.
func (c *producerCall) options() ([]kgo.Opt, error) {
	p := client.Props{"acks": c.acks, "compression.type": c.compression, "linger.ms": "5"}
	for name, property := range producerNumbers {
		if v, _ := c.Flags().GetString(name); v != "" && property != "" {
			p[property] = v
		}
	}
	given, err := client.Gather(c.config, c.producer)
	if err != nil {
		return nil, err
	}
	for k, v := range given {
		p[k] = v
	}
	return client.ProducerOptions(p)
}

func (c *producerCall) run() error {
	l, opts, err := c.check()
	if err != nil {
		return err
	}
	ctx := c.Context()
	p, err := openProducer(ctx, &c.kafka, c.topic, opts)
	if err != nil {
		return err
	}
	p.sync = c.sync
	in := c.InOrStdin()
	if isTerminal(in) && output.IsTerminal(c.OutOrStdout()) {
		in = &prompting{in, c.OutOrStdout()}
	}
	err = p.feed(ctx, in, l, nil)
	_, failed := p.close(ctx)
	if failed != nil {
		fmt.Fprintf(c.ErrOrStderr(), "Error when sending message to topic %s: %v\n", c.topic, explain(c.topic, failed))
	}
	if err != nil && !errors.Is(failed, err) {
		fmt.Fprintln(c.ErrOrStderr(), strings.TrimSpace(err.Error()))
	}
	if err != nil || failed != nil {
		return output.Status(1)
	}
	return nil
}

// prompting shows a > before each line that a person types.
type prompting struct {
	in  io.Reader
	out io.Writer
}

func (p *prompting) Read(b []byte) (int, error) {
	fmt.Fprint(p.out, ">")
	return p.in.Read(b)
}
