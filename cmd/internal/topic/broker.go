package topic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	names "ottla/broker/topic"
	"ottla/cmd/internal/tool"
)

// viaBroker is kafka-topics with --bootstrap-server.
type viaBroker struct {
	*call
	cl  *kgo.Client
	adm *kadm.Client
}

func openBroker(ctx context.Context, c *call) (backend, error) {
	cl, err := c.kafka.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &viaBroker{c, cl, kadm.NewClient(cl)}, nil
}

func (b *viaBroker) close() { b.cl.Close() }

// failed is a broker's refusal with its own words.
func failed(err error, sent string) error {
	if err == nil {
		return nil
	}
	return errors.New(tool.Message(err, sent))
}

func (b *viaBroker) create(ctx context.Context, assignment [][]int32, configs map[string]string) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = b.topic, b.partitions, int16(b.replicas)
	for i, replicas := range assignment {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), replicas
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	for k, v := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		t.Configs = append(t.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics = brokerMillis, []kmsg.CreateTopicsRequestTopic{t}
	resp, err := req.RequestWith(ctx, b.cl)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 {
		return errors.New("the broker did not answer for the topic")
	}
	r := resp.Topics[0]
	if r.ErrorCode == kerr.TopicAlreadyExists.Code && b.on("if-not-exists") {
		return errExists
	}
	return failed(kerr.ErrorForCode(r.ErrorCode), text(r.ErrorMessage))
}

// errExists ends --create --if-not-exists without a word.
var errExists = errors.New("exists")

// text is an error message that may be missing.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// brokerMillis is how long the broker may take.
const brokerMillis = 30_000

func (b *viaBroker) list(ctx context.Context) ([]string, error) {
	all, err := b.adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	return all.Names(), nil
}

func (b *viaBroker) alter(ctx context.Context, topics []string, assignment [][]int32, _ map[string]string) error {
	if len(topics) == 0 {
		return nil
	}
	now, err := b.adm.ListTopics(ctx, topics...)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = brokerMillis
	for _, name := range topics {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, b.partitions
		for _, replicas := range assignment[min(len(now[name].Partitions), len(assignment)):] {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = replicas
			t.Assignment = append(t.Assignment, a)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, b.cl)
	if err != nil {
		return err
	}
	for _, r := range resp.Topics {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return failed(err, text(r.ErrorMessage))
		}
	}
	return nil
}

func (b *viaBroker) remove(ctx context.Context, topics []string) error {
	rs, err := b.adm.DeleteTopics(ctx, topics...)
	if err != nil {
		return err
	}
	for _, name := range topics {
		if r := rs[name]; r.Err != nil {
			return failed(r.Err, r.ErrMessage)
		}
	}
	return nil
}

// described is a topic that is about to be printed.
type described struct {
	kadm.TopicDetail
	config    kadm.ResourceConfig
	moves     map[int32]kadm.ListPartitionReassignmentsResponse // partitions under reassignment
	live      []int32
	minISR    int
	overrides bool
}

func (b *viaBroker) describe(ctx context.Context, topics []string) error {
	if b.topicID != "" {
		return b.describeID(ctx)
	}
	if len(topics) == 0 {
		return nil
	}
	details, err := b.adm.ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		return err
	}
	return b.print(ctx, details.Sorted())
}

func (b *viaBroker) describeID(ctx context.Context) error {
	all, err := b.adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if names.ID(d.ID).String() == b.topicID {
			return b.print(ctx, []kadm.TopicDetail{d})
		}
	}
	if b.on("if-exists") {
		return nil
	}
	return fmt.Errorf("TopicId '%s' does not exist as expected", b.topicID)
}

func (b *viaBroker) print(ctx context.Context, details []kadm.TopicDetail) error {
	all := make([]string, len(details))
	set := kadm.TopicsSet{}
	for i, d := range details {
		all[i] = d.Topic
		set.Add(d.Topic, d.Partitions.Numbers()...)
	}
	configs, err := b.adm.DescribeTopicConfigs(ctx, all...)
	if err != nil {
		return err
	}
	brokers, err := b.adm.ListBrokers(ctx)
	if err != nil {
		return err
	}
	moves, err := b.adm.ListPartitionReassignments(ctx, set)
	if err != nil {
		moves = nil // brokers that cannot reassign partitions have none under way
	}
	for _, d := range details {
		if d.Err != nil {
			return failed(d.Err, "")
		}
		c, err := configs.On(d.Topic, nil)
		if err != nil {
			return err
		}
		if c.Err != nil {
			return failed(c.Err, c.ErrMessage)
		}
		x := described{TopicDetail: d, config: c, moves: moves[d.Topic], live: brokers.NodeIDs(), overrides: len(overridden(c)) > 0}
		for _, e := range c.Configs {
			if e.Key == "min.insync.replicas" {
				x.minISR, _ = strconv.Atoi(e.MaybeValue())
			}
		}
		b.printTopic(b.OutOrStdout(), x)
	}
	return nil
}

// factor is how many replicas a partition has when no reassignment is under way.
func (d described) factor(p kadm.PartitionDetail) int {
	if m, ok := d.moves[p.Partition]; ok {
		return len(m.Replicas) - len(m.AddingReplicas)
	}
	return len(p.Replicas)
}

func (c *call) filtered() bool { return slices.ContainsFunc(filters, c.on) }

func (c *call) printTopic(w io.Writer, d described) {
	partitions := d.Partitions.Sorted()
	if !c.filtered() && (!c.on("topics-with-overrides") || d.overrides) && len(partitions) > 0 {
		var configs []string
		for _, e := range d.config.Configs {
			if e.Source != kmsg.ConfigSourceDefaultConfig {
				configs = append(configs, e.Key+"="+e.MaybeValue())
			}
		}
		head := "Topic: " + d.Topic
		if d.ID != (kadm.TopicID{}) {
			head += "\tTopicId: " + names.ID(d.ID).String()
		}
		fmt.Fprintf(w, "%s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n", head, len(partitions), d.factor(partitions[0]), strings.Join(configs, ","))
	}
	if c.on("topics-with-overrides") {
		return
	}
	for _, p := range partitions {
		if c.filtered() && !c.troubled(d, p) {
			continue
		}
		line := partitionLine(d.Topic, p)
		if m, ok := d.moves[p.Partition]; ok {
			line += "\tAdding Replicas: " + join(m.AddingReplicas) + "\tRemoving Replicas: " + join(m.RemovingReplicas)
		}
		fmt.Fprintln(w, line+"\tElr: N/A\tLastKnownElr: N/A")
	}
}

func partitionLine(topic string, p kadm.PartitionDetail) string {
	leader := "none"
	if p.Leader >= 0 {
		leader = strconv.Itoa(int(p.Leader))
	}
	return fmt.Sprintf("\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s", topic, p.Partition, leader, join(p.Replicas), join(p.ISR))
}

// troubled says whether the partition is one that a filter asks for.
func (c *call) troubled(d described, p kadm.PartitionDetail) bool {
	return c.on("under-replicated-partitions") && d.factor(p) > len(p.ISR) ||
		c.on("unavailable-partitions") && (p.Leader < 0 || !slices.Contains(d.live, p.Leader)) ||
		c.on("under-min-isr-partitions") && (p.Leader < 0 || len(p.ISR) < d.minISR) ||
		c.on("at-min-isr-partitions") && len(p.ISR) == d.minISR
}
