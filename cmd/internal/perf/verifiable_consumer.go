package perf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

type partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

type assigned struct {
	event
	Partitions []partition `json:"partitions"`
}

type summary struct {
	partition
	Count     int64 `json:"count"`
	MinOffset int64 `json:"minOffset"`
	MaxOffset int64 `json:"maxOffset"`
}

type consumed struct {
	event
	Count      int64     `json:"count"`
	Partitions []summary `json:"partitions"`
}

type record struct {
	event
	Key       *string `json:"key"`
	Value     *string `json:"value"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
}

type place struct {
	partition
	Offset int64 `json:"offset"`
}

type committed struct {
	event
	Offsets []place `json:"offsets"`
	Error   string  `json:"error,omitempty"`
	Success bool    `json:"success"`
}

// verifiableConsumer is one call of kafka-verifiable-consumer.
type verifiableConsumer struct {
	kafka   client.Kafka
	topic   string
	group   string
	limit   int64
	verbose bool
	auto    bool
	out     *events
}

// pollMax is how many records a poll returns, as max.poll.records.
const pollMax = 500

// KafkaVerifiableConsumer is kafka-verifiable-consumer.sh.
func KafkaVerifiableConsumer() *cobra.Command {
	var v verifiableConsumer
	var config, brokerList, instance, policy, strategy, protocol, assignor string
	var session int64
	cmd := &cobra.Command{
		Use:     "kafka-verifiable-consumer",
		Short:   "Consume in a group and print each step, as Apache Kafka's tool does",
		Example: "  kafka-verifiable-consumer --bootstrap-server localhost:9092 --topic test --group-id g --max-messages 100",
	}
	f := cmd.Flags()
	f.StringVar(&v.kafka.Servers, "bootstrap-server", "", "brokers to connect to, `host:port,...`")
	f.StringVar(&brokerList, "broker-list", "", "the same, by its old name: `host:port,...`")
	f.StringVar(&v.topic, "topic", "", "the `topic` to consume")
	f.StringVar(&v.group, "group-id", "", "the `group` to join")
	f.StringVar(&instance, "group-instance-id", "", "`id` of a static member")
	f.StringVar(&protocol, "group-protocol", "classic", "`protocol` of the group; there is classic here")
	f.StringVar(&assignor, "group-remote-assignor", "", "`assignor` of the group protocol consumer")
	f.Int64Var(&v.limit, "max-messages", -1, "how `many`; -1: until it is stopped")
	f.Int64Var(&session, "session-timeout", 30_000, "the member's session timeout in `milliseconds`")
	f.BoolVar(&v.verbose, "verbose", false, "print each record")
	f.BoolVar(&v.auto, "enable-autocommit", false, "commit in the background")
	f.StringVar(&policy, "reset-policy", "earliest", "`where` to begin without an offset: earliest, latest or none")
	f.StringVar(&strategy, "assignment-strategy", "org.apache.kafka.clients.consumer.RangeAssignor", "`class` of an assignor: Range, RoundRobin, Sticky, CooperativeSticky")
	f.StringVar(&config, "consumer.config", "", "`file` of consumer properties")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if v.kafka.Servers == "" {
			v.kafka.Servers = brokerList
		}
		switch {
		case v.topic == "":
			return tool.Wrong(cmd, "verifiable-consumer: error: argument --topic is required")
		case v.group == "":
			return tool.Wrong(cmd, "verifiable-consumer: error: argument --group-id is required")
		case v.kafka.Servers == "":
			return tool.Wrong(cmd, "verifiable-consumer: error: one of the arguments --bootstrap-server --broker-list is required")
		case protocol != "classic" && protocol != "CLASSIC":
			return tool.Failed(cmd, "--group-protocol %s: this command joins by the classic protocol only", protocol)
		}
		props, err := client.Gather(config, nil)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		props["session.timeout.ms"], props["partition.assignment.strategy"] = fmt.Sprint(session), strategy
		if instance != "" {
			props["group.instance.id"] = instance
		}
		if v.kafka.ID = "consumer-" + v.group + "-1"; instance != "" { // as Java's client calls itself
			v.kafka.ID = "consumer-" + v.group + "-" + instance
		}
		opts, err := client.ConsumerOptions(props, true)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		switch policy {
		case "earliest":
			opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		case "latest":
			opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
		case "none":
			opts = append(opts, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		default:
			return tool.Failed(cmd, "--reset-policy %s: want earliest, latest or none", policy)
		}
		return v.run(cmd, opts)
	}
	return cmd
}

// partitionsOf lists what a callback of the group is about, sorted.
func partitionsOf(all map[string][]int32) []partition {
	out := []partition{}
	for t, ps := range all {
		for _, p := range ps {
			out = append(out, partition{t, p})
		}
	}
	slices.SortFunc(out, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

func (v *verifiableConsumer) run(cmd *cobra.Command, opts []kgo.Opt) error {
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	v.out = &events{w: cmd.OutOrStdout()}
	opts = append(opts, kgo.ConsumerGroup(v.group), kgo.ConsumeTopics(v.topic), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			v.out.print(assigned{named("partitions_assigned"), partitionsOf(all)})
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			v.out.print(assigned{named("partitions_revoked"), partitionsOf(all)})
		}))
	if v.auto {
		opts = append(opts, kgo.AutoCommitMarks())
	} else {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	cl, err := v.kafka.Open(ctx, opts...)
	if err != nil {
		return err
	}
	v.out.print(named("startup_complete"))
	err = v.consume(ctx, cl)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if v.auto {
		_ = cl.CommitMarkedOffsets(closing) // what it does not commit is read again
	}
	cl.CloseAllowingRebalance()
	v.out.print(named("shutdown_complete"))
	return err
}

func (v *verifiableConsumer) consume(ctx context.Context, cl *kgo.Client) error {
	for n := int64(0); v.limit < 0 || n < v.limit; cl.AllowRebalance() {
		fetches := cl.PollRecords(ctx, pollMax)
		if ctx.Err() != nil {
			return nil
		}
		var failed error
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				failed = err
			}
		})
		if failed != nil {
			return failed
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		offsets := v.take(fetches, &n)
		if v.auto {
			cl.MarkCommitOffsets(offsets)
			continue
		}
		v.commit(ctx, cl, offsets)
	}
	return nil
}

// take prints what a poll returned, as far as the limit allows, and returns the offsets behind it.
func (v *verifiableConsumer) take(fetches kgo.Fetches, n *int64) map[string]map[int32]kgo.EpochOffset {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	all := consumed{event: named("records_consumed"), Count: int64(fetches.NumRecords()), Partitions: []summary{}}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		rs := p.Records
		if v.limit >= 0 && *n+int64(len(rs)) > v.limit {
			rs = rs[:v.limit-*n]
		}
		if len(rs) == 0 {
			return
		}
		last := rs[len(rs)-1]
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		all.Partitions = append(all.Partitions, summary{partition{p.Topic, p.Partition}, int64(len(rs)), rs[0].Offset, last.Offset})
		if v.verbose {
			for _, r := range rs {
				v.out.print(record{named("record_data"), text(r.Key), text(r.Value), r.Topic, r.Partition, r.Offset})
			}
		}
		*n += int64(len(rs))
	})
	v.out.print(all)
	return offsets
}

func text(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

func (v *verifiableConsumer) commit(ctx context.Context, cl *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) {
	c := committed{event: named("offsets_committed"), Offsets: []place{}, Success: true}
	for t, ps := range offsets {
		for p, o := range ps {
			c.Offsets = append(c.Offsets, place{partition{t, p}, o.Offset})
		}
	}
	slices.SortFunc(c.Offsets, func(a, b place) int { return cmp.Compare(a.Partition, b.Partition) })
	var err error
	cl.CommitOffsetsSync(context.WithoutCancel(ctx), offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, e error) {
		err = e
		if err == nil {
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		}
	})
	if err != nil {
		c.Error, c.Success = tool.Message(err, ""), false
	}
	v.out.print(c)
}
