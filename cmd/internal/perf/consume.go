package perf

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

// perfConsumer is one call of kafka-consumer-perf-test.
type perfConsumer struct {
	kafka    client.Kafka
	messages int64
	timeout  int64 // ms without a record
	interval int64 // ms between lines of --show-detailed-stats
	detailed bool
	layout   string

	mu     sync.Mutex
	lost   time.Time // since when there is no assignment
	joins  time.Duration
	joined time.Duration // of the interval
}

// KafkaConsumerPerfTest is kafka-consumer-perf-test.sh.
func KafkaConsumerPerfTest() *cobra.Command {
	c := perfConsumer{kafka: client.Kafka{ID: "perf-consumer-client"}}
	var brokerList, topic, group, config, format string
	var fetch int32
	var latest, plain, metrics bool
	cmd := &cobra.Command{
		Use:     "kafka-consumer-perf-test",
		Short:   "Measure how fast a consumer is, as Apache Kafka's tool does",
		Example: "  kafka-consumer-perf-test --bootstrap-server localhost:9092 --topic test --messages 100000",
	}
	f := cmd.Flags()
	f.StringVar(&c.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&brokerList, "broker-list", "", "the same, by its old name: `host:port,...`")
	f.StringVar(&topic, "topic", "", "the `topic` to consume")
	f.StringVar(&group, "group", "", "the `group` to join (default perf-consumer- and a random number)")
	f.Int32Var(&fetch, "fetch-size", 1<<20, "`bytes` of a partition in one answer")
	f.BoolVar(&latest, "from-latest", false, "without an offset begin at the end")
	f.Int("socket-buffer-size", 2<<20, "`bytes`, accepted for old scripts")
	f.Int("threads", 10, "`number`, accepted for old scripts")
	f.Int("num-fetch-threads", 1, "`number`, accepted for old scripts")
	f.StringVar(&config, "consumer.config", "", "`file` of consumer properties")
	f.BoolVar(&metrics, "print-metrics", false, "accepted; there are no metrics of a Java client here")
	f.BoolVar(&c.detailed, "show-detailed-stats", false, "a line for each reporting interval")
	f.Int64Var(&c.timeout, "timeout", 10_000, "end after so many `milliseconds` without a record")
	f.Lookup("timeout").NoOptDefVal = "10000"
	f.Int64Var(&c.messages, "messages", 0, "how `many` to consume")
	f.Int64Var(&c.interval, "reporting-interval", 5000, "`milliseconds`")
	f.StringVar(&format, "date-format", "yyyy-MM-dd HH:mm:ss:SSS", "`format` of times, in letters of Java's SimpleDateFormat")
	f.BoolVar(&plain, "hide-header", false, "no header")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if c.kafka.Servers == "" {
			c.kafka.Servers = brokerList
		}
		k := tool.Checks{Cmd: cmd}
		if c.kafka.Servers == "" {
			k.Wrong("Missing required option(s) [bootstrap-server]")
		}
		k.Required("topic", "messages")
		if c.interval <= 0 {
			k.Wrong("Reporting interval must be greater than 0.")
		}
		if k.Err != nil {
			return k.Err
		}
		w := cmd.OutOrStdout()
		if cmd.Flags().Changed("threads") || cmd.Flags().Changed("num-fetch-threads") {
			fmt.Fprintln(w, "WARNING: option [threads] and [num-fetch-threads] have been deprecated and will be ignored by the test")
		}
		props, err := client.Gather(config, nil)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		props["max.partition.fetch.bytes"] = fmt.Sprint(fetch)
		opts, err := client.ConsumerOptions(props, true)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		if group == "" {
			group = fmt.Sprint("perf-consumer-", rand.IntN(100_000))
		}
		begin := kgo.NewOffset().AtStart()
		if latest {
			begin = kgo.NewOffset().AtEnd()
		}
		c.layout = layoutOf(format)
		if !plain {
			header(w, c.detailed)
		}
		return c.run(cmd, append(opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(begin)))
	}
	return cmd
}

func header(w io.Writer, detailed bool) {
	first := "start.time, end.time"
	if detailed {
		first = "time, threadId"
	}
	fmt.Fprintln(w, first+", data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
}

// layoutOf translates a date format of Java's. What Go has no letters for stays as it is.
func layoutOf(format string) string {
	r := strings.NewReplacer("yyyy", "2006", "yy", "06", "MMM", "Jan", "MM", "01", "dd", "02", "HH", "15", "hh", "03", "mm", "04", "ss", "05", "SSS", "000", "a", "PM", "XXX", "-07:00", "Z", "-0700", "'", "")
	return r.Replace(format)
}

// text writes a time; Go wants milliseconds behind a point or a comma.
func (c *perfConsumer) text(t time.Time) string {
	return strings.Replace(t.Format(c.layout), "000", fmt.Sprintf("%03d", t.Nanosecond()/1e6), strings.Count(c.layout, "000"))
}

func (c *perfConsumer) run(cmd *cobra.Command, opts []kgo.Opt) error {
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	c.lost = time.Now()
	opts = append(opts,
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lost = time.Now()
		}),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			c.mu.Lock()
			defer c.mu.Unlock()
			took := time.Since(c.lost)
			c.joins, c.joined = c.joins+took, c.joined+took
		}))
	start := time.Now()
	cl, err := c.kafka.Open(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	all := c.consume(ctx, cmd.OutOrStdout(), cl)
	end := time.Now()
	if c.detailed {
		return nil
	}
	c.mu.Lock()
	joins := c.joins.Milliseconds()
	c.mu.Unlock()
	took, mb := end.Sub(start), float64(all.bytes)/(1<<20)
	fetching := took.Milliseconds() - joins
	per := func(n float64, ms int64) float64 { return n / (float64(max(ms, 1)) / 1000) }
	fmt.Fprintf(cmd.OutOrStdout(), "%s, %s, %.4f, %.4f, %d, %.4f, %d, %d, %.4f, %.4f\n", c.text(start), c.text(end), mb, per(mb, took.Milliseconds()),
		all.records, per(float64(all.records), took.Milliseconds()), joins, fetching, per(mb, fetching), per(float64(all.records), fetching))
	return nil
}

// consume reads until there are enough records, or none for too long.
func (c *perfConsumer) consume(ctx context.Context, w io.Writer, cl *kgo.Client) (all counts) {
	last, reported := time.Now(), time.Now()
	var before counts
	for all.records < c.messages && time.Since(last).Milliseconds() <= c.timeout && ctx.Err() == nil {
		polling, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := cl.PollRecords(polling, pollMax)
		cancel()
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			last = now
			all.records++
			all.bytes += int64(len(r.Key) + len(r.Value))
		})
		if took := now.Sub(reported); took.Milliseconds() >= c.interval && fetches.NumRecords() > 0 {
			c.report(w, now, took, all, before)
			before, reported = all, now
		}
	}
	if all.records < c.messages {
		fmt.Fprintf(w, "WARNING: Exiting before consuming the expected number of messages: timeout (%d ms) exceeded. You can use the --timeout option to increase the timeout.\n", c.timeout)
	}
	return all
}

func (c *perfConsumer) report(w io.Writer, now time.Time, took time.Duration, all, before counts) {
	c.mu.Lock()
	joined := c.joined
	c.joined = 0
	c.mu.Unlock()
	if !c.detailed {
		return
	}
	mb, records := float64(all.bytes-before.bytes)/(1<<20), float64(all.records-before.records)
	fetching := (took - joined).Milliseconds()
	fetchMB, fetchN := 0.0, 0.0
	if fetching > 0 {
		fetchMB, fetchN = mb/float64(fetching)*1000, records/float64(fetching)*1000
	}
	fmt.Fprintf(w, "%s, 0, %.4f, %.4f, %d, %.4f, %d, %d, %.4f, %.4f\n", c.text(now), float64(all.bytes)/(1<<20), mb/took.Seconds(), all.records, records/took.Seconds(),
		joined.Milliseconds(), fetching, fetchMB, fetchN)
}
