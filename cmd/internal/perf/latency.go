package perf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

const latencyUsage = "USAGE: java org.apache.kafka.tools.EndToEndLatency broker_list topic num_messages producer_acks message_size_bytes [optional] properties_file"

// arrival is how long a record may take to arrive.
const arrival = time.Minute

// KafkaE2ELatency is kafka-e2e-latency.sh, or kafka.tools.EndToEndLatency.
func KafkaE2ELatency() *cobra.Command {
	return &cobra.Command{
		Use:     "kafka-e2e-latency BROKER_LIST TOPIC NUM_MESSAGES PRODUCER_ACKS MESSAGE_SIZE_BYTES [PROPERTIES_FILE]",
		Short:   "Measure the time from a producer to a consumer, as Apache Kafka's tool does",
		Example: "  kafka-e2e-latency localhost:9092 test 10000 1 100",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 5 && len(args) != 6 {
				return tool.Failed(cmd, latencyUsage)
			}
			n, err1 := strconv.Atoi(args[2])
			size, err2 := strconv.Atoi(args[4])
			if err := errors.Join(err1, err2); err != nil || n < 1 || size < 0 {
				return tool.Failed(cmd, "num_messages %s and message_size_bytes %s: want numbers", args[2], args[4])
			}
			if args[3] != "1" && args[3] != "all" {
				return tool.Failed(cmd, "Latency testing requires synchronous acknowledgement. Please use 1 or all")
			}
			file := ""
			if len(args) == 6 {
				file = args[5]
			}
			props, err := client.Gather(file, []string{"acks=" + args[3], "linger.ms=0"})
			if err != nil {
				return tool.Failed(cmd, "%v", err)
			}
			opts, err := client.ProducerOptions(props)
			if err != nil {
				return tool.Failed(cmd, "%v", err)
			}
			return measure(cmd, &client.Kafka{Servers: args[0]}, args[1], n, size, opts)
		},
	}
}

// ends makes the topic if it is not there, and returns where its partitions end.
func ends(cmd *cobra.Command, adm *kadm.Client, topic string) (map[int32]kgo.Offset, error) {
	ctx := cmd.Context()
	all, err := adm.ListTopics(ctx) // asked for by name it would be made
	if err != nil {
		return nil, err
	}
	if !all.Has(topic) {
		fmt.Fprintf(cmd.OutOrStdout(), "Topic \"%s\" does not exist. Will create topic with %d partition(s) and replication factor = %d\n", topic, 1, 1)
		if _, err := adm.CreateTopic(ctx, 1, 1, nil, topic); err != nil {
			return nil, fmt.Errorf("Creation of topic %s failed: %w", topic, err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		found, err := adm.ListEndOffsets(ctx, topic)
		if err == nil {
			err = found.Error()
		}
		at := map[int32]kgo.Offset{}
		found.Each(func(o kadm.ListedOffset) { at[o.Partition] = kgo.NewOffset().At(o.Offset) })
		if err == nil && len(at) > 0 {
			return at, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("topic %s has no leader: %w", topic, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func measure(cmd *cobra.Command, k *client.Kafka, topic string, n, size int, opts []kgo.Opt) error {
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	producer, err := k.Open(ctx, append(client.Producing(topic), opts...)...)
	if err != nil {
		return err
	}
	defer producer.Close()
	at, err := ends(cmd, kadm.NewClient(producer), topic)
	if err != nil {
		return tool.Failed(cmd, "%v", err)
	}
	consumer, err := k.Open(ctx, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	rng := rand.New(rand.NewPCG(0, 0))
	each := make([]time.Duration, n)
	var sum time.Duration
	for i := range each {
		message := bytes.Repeat([]byte{byte('A' + rng.IntN(26))}, size)
		start := time.Now()
		if err := producer.ProduceSync(ctx, &kgo.Record{Value: message}).FirstErr(); err != nil {
			return tool.Refused(cmd, err)
		}
		if err := arrive(ctx, consumer, message); err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		each[i] = time.Since(start)
		sum += each[i]
		if i%1000 == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%d\t%v\n", i, float64(each[i].Nanoseconds())/1e6)
		}
	}
	slices.Sort(each)
	of := func(q float64) int64 { return each[min(int(q*float64(n)), n-1)].Milliseconds() }
	fmt.Fprintf(cmd.OutOrStdout(), "Avg latency: %.4f ms\n", float64(sum.Nanoseconds())/float64(n)/1e6)
	fmt.Fprintf(cmd.OutOrStdout(), "Percentiles: 50th = %d, 99th = %d, 99.9th = %d\n", of(.5), of(.99), of(.999))
	return nil
}

// arrive waits for one record, which must be the message.
func arrive(ctx context.Context, cl *kgo.Client, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	for {
		f := cl.PollFetches(ctx)
		if rs := f.Records(); len(rs) > 1 {
			return fmt.Errorf("Only one result was expected during this test. We found [%d]", len(rs))
		} else if len(rs) == 1 {
			if !bytes.Equal(rs[0].Value, message) {
				return fmt.Errorf("The message read [%s] did not match the message sent [%s]", rs[0].Value, message)
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("poll() timed out before finding a result (timeout:[%d])", arrival.Milliseconds())
		}
	}
}
