package perf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

// window is how often a producer tells how it goes.
const window = 5 * time.Second

// latencies counts acknowledged records, in milliseconds as the tool does.
type latencies struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
	all   counts
	part  counts // since the last line
	since time.Time
	each  []int64 // a sample of at most latencySamples of them
	every int64
}

type counts struct {
	records, bytes, sum, max int64
}

func (c *counts) add(latency, bytes int64) {
	c.records++
	c.bytes += bytes
	c.sum += latency
	c.max = max(c.max, latency)
}

const latencySamples = 500_000

func newLatencies(w io.Writer, records int64) *latencies {
	now := time.Now()
	return &latencies{w: w, start: now, since: now, every: max(1, records/min(max(records, 1), latencySamples))}
}

func (l *latencies) add(sent time.Time, bytes int) {
	now := time.Now()
	ms := now.Sub(sent).Milliseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all.records%l.every == 0 {
		l.each = append(l.each, ms)
	}
	l.all.add(ms, int64(bytes))
	l.part.add(ms, int64(bytes))
	if now.Sub(l.since) >= window {
		per, mb := l.part.rates(now.Sub(l.since))
		fmt.Fprintf(l.w, "%d records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max latency.\n",
			l.part.records, per, mb, l.part.mean(), float64(l.part.max))
		l.part, l.since = counts{}, now
	}
}

func (c *counts) rates(took time.Duration) (records, megabytes float64) {
	s := max(took.Seconds(), 0.001)
	return float64(c.records) / s, float64(c.bytes) / s / (1 << 20)
}

func (c *counts) mean() float64 { return float64(c.sum) / float64(max(c.records, 1)) }

// quantile is one of the sorted samples.
func quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// total prints the last line.
func (l *latencies) total() {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.each)
	per, mb := l.all.rates(time.Since(l.start))
	fmt.Fprintf(l.w, "%d records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %d ms 50th, %d ms 95th, %d ms 99th, %d ms 99.9th.\n",
		l.all.records, per, mb, l.all.mean(), float64(l.all.max), quantile(l.each, .5), quantile(l.each, .95), quantile(l.each, .99), quantile(l.each, .999))
}

// perfProducer is one call of kafka-producer-perf-test.
type perfProducer struct {
	topic         string
	records       int64
	size          int
	file          string
	delimiter     string
	monotonic     bool
	throughput    float64
	transactional string
	transaction   int64 // ms; 0: none
}

// KafkaProducerPerfTest is kafka-producer-perf-test.sh.
func KafkaProducerPerfTest() *cobra.Command {
	var p perfProducer
	var given []string
	var config string
	var metrics bool
	cmd := &cobra.Command{
		Use:     "kafka-producer-perf-test",
		Short:   "Measure how fast a producer is, as Apache Kafka's tool does",
		Example: "  kafka-producer-perf-test --topic test --num-records 100000 --record-size 100 --throughput -1 --producer-props bootstrap.servers=localhost:9092",
	}
	f := cmd.Flags()
	f.StringVar(&p.topic, "topic", "", "the `topic` to produce to")
	f.Int64Var(&p.records, "num-records", 0, "how `many` records to produce")
	f.IntVar(&p.size, "record-size", 0, "`bytes` of a record")
	f.StringVar(&p.file, "payload-file", "", "`file` of texts, of which each record is one")
	f.BoolVar(&p.monotonic, "payload-monotonic", false, "records are increasing numbers")
	f.StringVar(&p.delimiter, "payload-delimiter", `\n`, "what is `between` the texts of the file")
	f.Float64Var(&p.throughput, "throughput", -1, "about so `many` records a second; -1: as fast as it goes")
	f.StringArrayVar(&given, "producer-props", nil, "`name=value` of the producer, several with blanks between; bootstrap.servers says where")
	f.StringVar(&config, "producer.config", "", "`file` of producer properties")
	f.BoolVar(&metrics, "print-metrics", false, "accepted; there are no metrics of a Java client here")
	f.StringVar(&p.transactional, "transactional-id", "performance-producer-default-transactional-id", "transactional `id`, with --transaction-duration-ms")
	f.Int64Var(&p.transaction, "transaction-duration-ms", 0, "commit transactions of so many `milliseconds`; 0: none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		on := cmd.Flags().Changed
		for _, o := range []string{"topic", "num-records", "throughput"} {
			if !on(o) {
				return tool.Wrong(cmd, "producer-performance: error: argument --%s is required", o)
			}
		}
		if n := count(on("record-size"), on("payload-file"), on("payload-monotonic")); n != 1 {
			return tool.Wrong(cmd, "producer-performance: error: exactly one of the arguments --record-size --payload-file --payload-monotonic is required")
		}
		if len(given) == 0 && config == "" {
			return tool.Wrong(cmd, "producer-performance: error: Either --producer-props or --producer.config must be specified.")
		}
		props, err := client.Gather(config, append(given, args...))
		if err != nil {
			return tool.Failed(cmd, "Invalid property: %v", err)
		}
		servers, _ := props.Take("bootstrap.servers")
		k := client.Kafka{Servers: servers, ID: "perf-producer-client"}
		opts, err := client.ProducerOptions(props)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		return p.run(cmd, &k, opts)
	}
	return cmd
}

func count(all ...bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// payloads returns what the nth record holds.
func (p *perfProducer) payloads(w io.Writer) (func(n int64) []byte, error) {
	rng := rand.New(rand.NewPCG(0, 0)) // the same data in each run
	switch {
	case p.file != "":
		path, err := filepath.Abs(p.file)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(w, "Reading payloads from: "+path)
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return nil, errors.New("File does not exist or empty file provided.")
		}
		between := p.delimiter
		if between == `\n` {
			between = "\n"
		}
		texts := strings.Split(strings.TrimSuffix(string(b), between), between)
		fmt.Fprintf(w, "Number of messages read: %d\n", len(texts))
		return func(int64) []byte { return []byte(texts[rng.IntN(len(texts))]) }, nil
	case p.monotonic:
		return func(n int64) []byte { return strconv.AppendInt(nil, n, 10) }, nil
	case p.size < 0:
		return nil, fmt.Errorf("--record-size %d: want 0 or more", p.size)
	}
	return func(int64) []byte {
		b := make([]byte, p.size)
		for i := range b {
			b[i] = byte('A' + rng.IntN(26))
		}
		return b
	}, nil
}

func (p *perfProducer) run(cmd *cobra.Command, k *client.Kafka, opts []kgo.Opt) error {
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	next, err := p.payloads(cmd.OutOrStdout())
	if err != nil {
		return tool.Failed(cmd, "%v", err)
	}
	if p.transaction > 0 {
		opts = append(opts, kgo.TransactionalID(p.transactional))
	}
	cl, err := k.Open(ctx, append(client.Producing(p.topic), opts...)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	l := newLatencies(cmd.OutOrStdout(), p.records)
	rate := pace{p.throughput, time.Now()}
	var began time.Time
	for i := int64(0); i < p.records && ctx.Err() == nil; i++ {
		if p.transaction > 0 && began.IsZero() {
			if err := cl.BeginTransaction(); err != nil {
				return err
			}
			began = time.Now()
		}
		value, at := next(i), time.Now()
		cl.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), tool.Java(err, ""))
				return
			}
			l.add(at, len(value))
		})
		if p.transaction > 0 && time.Since(began).Milliseconds() >= p.transaction {
			if err := end(ctx, cl); err != nil {
				return err
			}
			began = time.Time{}
		}
		rate.wait(ctx, i+1)
	}
	if p.transaction > 0 && !began.IsZero() {
		err = end(ctx, cl)
	} else {
		err = cl.Flush(ctx)
	}
	l.total()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// end commits what was produced in a transaction.
func end(ctx context.Context, cl *kgo.Client) error {
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}
