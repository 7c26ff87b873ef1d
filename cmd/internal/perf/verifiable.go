package perf

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

// events prints events as lines of JSON.
type events struct {
	mu sync.Mutex
	w  io.Writer
}

func (e *events) print(event any) {
	b, err := json.Marshal(event)
	if err != nil {
		return // they are made of strings and numbers
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintln(e.w, string(b))
}

// event is the beginning of every line.
type event struct {
	Timestamp int64  `json:"timestamp"` // ms since 1970
	Name      string `json:"name"`
}

func named(name string) event { return event{time.Now().UnixMilli(), name} }

// interrupted is ctx that also ends with a signal, which is the normal end of a command without a limit.
func interrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// pace holds a loop to so many rounds a second; a rate below 1 does not.
type pace struct {
	rate  float64
	start time.Time
}

// wait waits until round n is due.
func (p pace) wait(ctx context.Context, n int64) {
	if p.rate <= 0 {
		return
	}
	due := p.start.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	if d := time.Until(due); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
}

type sent struct {
	event
	Key       *string `json:"key"`
	Value     string  `json:"value"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
}

type notSent struct {
	event
	Key       *string `json:"key"`
	Value     string  `json:"value"`
	Topic     string  `json:"topic"`
	Exception string  `json:"exception"`
	Message   string  `json:"message"`
}

type produced struct {
	event
	Sent   int64   `json:"sent"`
	Acked  int64   `json:"acked"`
	Target int64   `json:"target_throughput"`
	Rate   float64 `json:"avg_throughput"`
}

// verifiableProducer is one call of kafka-verifiable-producer.
type verifiableProducer struct {
	kafka      client.Kafka
	topic      string
	limit      int64
	throughput int64
	acks       int
	created    int64
	prefix     int
	keys       int
}

// KafkaVerifiableProducer is kafka-verifiable-producer.sh.
func KafkaVerifiableProducer() *cobra.Command {
	v := verifiableProducer{kafka: client.Kafka{ID: "producer-1"}}
	var config, brokerList string
	cmd := &cobra.Command{
		Use:     "kafka-verifiable-producer",
		Short:   "Produce increasing numbers and print what became of each, as Apache Kafka's tool does",
		Example: "  kafka-verifiable-producer --bootstrap-server localhost:9092 --topic test --max-messages 100",
	}
	f := cmd.Flags()
	f.StringVar(&v.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&brokerList, "broker-list", "", "the same, by its old name: `host:port,...`")
	f.StringVar(&v.topic, "topic", "", "the `topic` to produce to")
	f.Int64Var(&v.limit, "max-messages", -1, "how `many`; -1: until it is stopped")
	f.Int64Var(&v.throughput, "throughput", -1, "about so `many` a second; -1: as fast as it goes")
	f.IntVar(&v.acks, "acks", -1, "`acks` of each: 0, 1 or -1")
	f.StringVar(&config, "producer.config", "", "`file` of producer properties")
	f.Int64Var(&v.created, "message-create-time", -1, "the time of the first message, in `milliseconds` since 1970")
	f.IntVar(&v.prefix, "value-prefix", 0, "a `number` and a dot before each value")
	f.IntVar(&v.keys, "repeating-keys", 0, "keys from 0 to this `number`, exclusive, over and over")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if v.kafka.Servers == "" {
			v.kafka.Servers = brokerList
		}
		switch {
		case v.topic == "":
			return tool.Wrong(cmd, "verifiable-producer: error: argument --topic is required")
		case v.kafka.Servers == "":
			return tool.Wrong(cmd, "verifiable-producer: error: one of the arguments --bootstrap-server --broker-list is required")
		case v.acks < -1 || v.acks > 1:
			return tool.Wrong(cmd, "verifiable-producer: error: argument --acks: invalid choice: '%d' (choose from {0,1,-1})", v.acks)
		}
		props, err := client.Gather(config, nil)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		if _, ok := props["acks"]; !ok {
			props["acks"] = fmt.Sprint(v.acks)
		}
		if _, ok := props["retries"]; !ok { // so that each message has one fate
			props["retries"], props["enable.idempotence"] = "0", "false"
		}
		opts, err := client.ProducerOptions(props)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		return v.run(cmd, opts)
	}
	return cmd
}

func (v *verifiableProducer) run(cmd *cobra.Command, opts []kgo.Opt) error {
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	opts = append(client.Producing(v.topic), opts...)
	if v.created >= 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(0)) // the library takes a record's time for when it was sent
	}
	cl, err := v.kafka.Open(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	out := &events{w: cmd.OutOrStdout()}
	var mu sync.Mutex
	var asked, acked int64
	start := time.Now()
	out.print(named("startup_complete"))
	p := pace{float64(v.throughput), start}
	created := v.created
	for i := int64(0); (v.limit < 0 || i < v.limit) && ctx.Err() == nil; i++ {
		r := &kgo.Record{Value: fmt.Append(nil, i)}
		if cmd.Flags().Changed("value-prefix") {
			r.Value = fmt.Appendf(nil, "%d.%d", v.prefix, i)
		}
		var key *string
		if v.keys > 0 {
			k := fmt.Sprint(i % int64(v.keys))
			key, r.Key = &k, []byte(k)
		}
		if v.created >= 0 {
			r.Timestamp = time.UnixMilli(created)
			created += time.Since(start).Milliseconds()
		}
		asked++
		cl.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
			if err != nil {
				out.print(notSent{named("producer_send_error"), key, string(r.Value), v.topic, "class " + tool.Class(err), tool.Message(err, "")})
				return
			}
			mu.Lock()
			acked++
			mu.Unlock()
			offset := r.Offset
			if v.acks == 0 {
				offset = -1 // nobody knows
			}
			out.print(sent{named("producer_send_success"), key, string(r.Value), r.Topic, r.Partition, offset})
		})
		p.wait(ctx, i+1)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	err = cl.Flush(flush)
	out.print(named("shutdown_complete"))
	mu.Lock()
	defer mu.Unlock()
	rate := 1000 * float64(acked) / float64(max(time.Since(start).Milliseconds(), 1))
	out.print(produced{named("tool_data"), asked, acked, v.throughput, rate})
	return err
}
