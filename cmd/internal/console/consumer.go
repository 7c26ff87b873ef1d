package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
)

// consumer is what to consume and how far.
type consumer struct {
	topics    []string
	regex     bool          // the topics are expressions
	partition int32         // -1: all
	offset    kgo.Offset    // where to begin without a committed offset
	group     string        // "": none
	commit    bool          // what was printed counts as read for the group
	every     time.Duration // how often to commit; 0: the client's default
	max       int64         // records; -1: no limit
	idle      time.Duration // ends when nothing came for so long; 0: never
	create    bool          // a missing topic is made, or waited for
	opts      []kgo.Opt     // further ones
	print     func(io.Writer, *kgo.Record) error
	lenient   bool // a record that cannot be printed is skipped
}

// options are those of the client.
func (c *consumer) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.MetadataMinAge(250 * time.Millisecond), kgo.ConsumeResetOffset(c.offset)}
	if c.create {
		opts = append(opts, kgo.AllowAutoTopicCreation())
	}
	switch {
	case c.partition >= 0:
		at := map[string]map[int32]kgo.Offset{}
		for _, t := range c.topics {
			at[t] = map[int32]kgo.Offset{c.partition: c.offset}
		}
		opts = append(opts, kgo.ConsumePartitions(at))
	case c.regex:
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(c.topics...), kgo.MetadataMaxAge(30*time.Second))
	default:
		opts = append(opts, kgo.ConsumeTopics(c.topics...))
	}
	if c.grouped() {
		opts = append(opts, kgo.ConsumerGroup(c.group), kgo.Balancers(kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll())
		switch {
		case !c.commit:
			opts = append(opts, kgo.DisableAutoCommit())
		case c.every > 0:
			opts = append(opts, kgo.AutoCommitMarks(), kgo.AutoCommitInterval(c.every))
		default:
			opts = append(opts, kgo.AutoCommitMarks())
		}
	}
	return append(opts, c.opts...)
}

// grouped says whether the consumer joins its group: with a partition of its own it need not.
func (c *consumer) grouped() bool { return c.group != "" && c.partition < 0 }

// apply takes the properties that decide what is consumed; the others become options.
func (c *consumer) apply(p client.Props) (err error) {
	if v, ok := p.Take("group.id"); ok && c.group == "" {
		c.group, c.commit = v, true
	}
	if v, ok := p.Take("auto.offset.reset"); ok {
		if c.offset, err = startOf(v); err != nil {
			return fmt.Errorf("auto.offset.reset=%s: want earliest or latest", v)
		}
	}
	if v, ok := p.Take("enable.auto.commit"); ok && strings.EqualFold(v, "false") {
		c.commit = false
	}
	if err := p.Number("auto.commit.interval.ms", func(n int64) error { c.every = max(time.Duration(n)*time.Millisecond, 10*time.Millisecond); return nil }); err != nil {
		return err
	}
	opts, err := client.ConsumerOptions(p, c.grouped())
	c.opts = append(c.opts, opts...)
	return err
}

// startOf reads earliest or latest.
func startOf(v string) (kgo.Offset, error) {
	switch strings.ToLower(v) {
	case "earliest", "smallest":
		return kgo.NewOffset().AtStart(), nil
	case "latest", "largest":
		return kgo.NewOffset().AtEnd(), nil
	}
	return kgo.Offset{}, fmt.Errorf("%q: want earliest, latest or a number", v)
}

// run consumes until it has enough, nothing comes any more, or a signal ends it, and returns how many records it printed.
func (c *consumer) run(cmd *cobra.Command, k *client.Kafka) (count int64, err error) {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	cl, err := k.Open(ctx, c.options()...)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil
		}
		return 0, err
	}
	if !c.create && !c.regex {
		if err := c.exist(ctx, k, cl); err != nil {
			cl.CloseAllowingRebalance()
			return 0, err
		}
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	defer func() {
		err = errors.Join(err, out.Flush(), c.leave(cl))
	}()
	for c.max < 0 || count < c.max {
		fetches, idle := c.poll(ctx, cl)
		if ctx.Err() != nil || idle {
			return count, nil
		}
		if err := c.failure(fetches); err != nil {
			return count, err
		}
		for it := fetches.RecordIter(); !it.Done() && (c.max < 0 || count < c.max); {
			r := it.Next()
			if err := c.print(out, r); err != nil && !c.lenient {
				return count, fmt.Errorf("topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			count++
			cl.MarkCommitRecords(r)
		}
		if err := out.Flush(); err != nil {
			return count, err
		}
		cl.AllowRebalance()
	}
	return count, nil
}

// exist refuses topics that are missing: a group would wait for them without a word.
func (c *consumer) exist(ctx context.Context, k *client.Kafka, cl *kgo.Client) error {
	ctx, cancel := k.Context(ctx)
	defer cancel()
	all, err := kadm.NewClient(cl).ListTopics(ctx, c.topics...)
	if err != nil {
		return err
	}
	for _, t := range all.Sorted() {
		if err := t.Err; err != nil {
			return explain(t.Topic, err)
		}
		if _, there := t.Partitions[c.partition]; c.partition >= 0 && !there {
			return fmt.Errorf("topic %s has no partition %d: they are numbered from 0 to %d", t.Topic, c.partition, len(t.Partitions)-1)
		}
	}
	return nil
}

// poll waits for records. idle says that the time without any is over.
func (c *consumer) poll(ctx context.Context, cl *kgo.Client) (f kgo.Fetches, idle bool) {
	if c.idle <= 0 {
		return cl.PollFetches(ctx), false
	}
	wait, cancel := context.WithTimeout(ctx, c.idle)
	defer cancel()
	for {
		f = cl.PollFetches(wait)
		if wait.Err() != nil && f.NumRecords() == 0 {
			return f, true
		}
		if f.NumRecords() > 0 || c.failure(f) != nil {
			return f, false
		}
		cl.AllowRebalance()
	}
}

// failure is the first error that time does not mend. A broker that is away, a group that is in motion and a topic that may yet
// come are waited for.
func (c *consumer) failure(f kgo.Fetches) (err error) {
	f.EachError(func(topic string, _ int32, e error) {
		if err == nil && c.isFinal(e) {
			err = explain(topic, e)
		}
	})
	return err
}

func (c *consumer) isFinal(err error) bool {
	var ke *kerr.Error
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return true
	case !errors.As(err, &ke): // of the network, or lost data, behind which the client goes on
		return false
	case ke == kerr.UnknownTopicOrPartition:
		return !c.create
	case ke == kerr.UnknownMemberID, ke == kerr.IllegalGeneration, ke == kerr.RebalanceInProgress:
		return false
	}
	return !ke.Retriable
}

// leave commits what was printed and leaves the group.
func (c *consumer) leave(cl *kgo.Client) (err error) {
	if c.grouped() && c.commit {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err = cl.CommitMarkedOffsets(ctx); err != nil {
			err = fmt.Errorf("group %s: what was read is not committed: %w", c.group, err)
		}
	}
	cl.CloseAllowingRebalance()
	return err
}
