package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// fillTime bounds how long a log is written before it is read.
const fillTime = 30 * time.Second

func consume() *cobra.Command {
	var l load
	var k kafkaFlags
	var b batches
	var fetch int32
	var fill int64
	cmd := &cobra.Command{
		Use: "consume", Short: "Read a log from its start to its end, over and over", Args: cobra.NoArgs,
		Long: `Read a log from its start to its end, over and over, each connection one partition. Unless --topic names one that has data, the log is
written first.`,
	}
	l.flags(cmd.Flags(), 0)
	k.flags(cmd.Flags())
	b.flags(cmd.Flags())
	cmd.Flags().Int32Var(&fetch, "fetch", 1<<20, "`bytes` of a fetch")
	cmd.Flags().Int64Var(&fill, "fill", 256, "`MiB` of the log written before")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		batch, _, acks, err := b.make()
		if err != nil {
			return err
		}
		ctx, stop := l.context(cmd)
		defer stop()
		s, err := prepare(ctx, &k, l.connections)
		if err != nil {
			return err
		}
		defer s.close()
		if s.own {
			if err := s.fill(ctx, fill<<20, batch, acks); err != nil {
				return fmt.Errorf("fill topic %s: %w", s.topic, err)
			}
		}
		starts, ends, err := s.ends(ctx)
		if err != nil {
			return err
		}
		var pipes []*pipe
		for i := range l.connections {
			p := i % len(s.leaders)
			if starts[p] >= ends[p] {
				return fmt.Errorf("partition %d of topic %s is empty", p, s.topic)
			}
			c, err := s.dial(ctx, p)
			if err != nil {
				return err
			}
			pipes = append(pipes, newPipe(c, newFetching(s.topic, p, starts[p], ends[p], fetch), 1))
		}
		return l.run(ctx, cmd, pipes, Result{Op: "consume", Server: k.Servers, Detail: "fetches of " + sizeText(int64(fetch)), what: "fetches"})
	}
	return cmd
}

// fill writes bytes over all partitions, for a limited time.
func (s *scratch) fill(ctx context.Context, bytes int64, batch []byte, acks int16) error {
	each := max(bytes/int64(len(s.leaders))/int64(len(batch)), 1)
	until := time.Now().Add(fillTime)
	errs := make([]error, len(s.leaders))
	turns := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for p := range s.leaders {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			errs[p] = s.write(ctx, p, each, until, batch, acks)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *scratch) write(ctx context.Context, partition int, count int64, until time.Time, batch []byte, acks int16) error {
	c, err := s.dial(ctx, partition)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(until.Add(patience))
	p := newPipe(c, nil, 1)
	request := produceRequest(s.topic, partition, acks, batch)
	for n := int64(0); n < count && (n == 0 || time.Now().Before(until)) && ctx.Err() == nil; n++ {
		if _, err := c.Write(request); err != nil {
			return err
		}
		frame, err := p.frame()
		if err != nil {
			return err
		}
		if _, err := produced(frame, s.topic); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ends finds where each partition starts and ends.
func (s *scratch) ends(ctx context.Context) (starts, ends []int64, err error) {
	from, err := s.adm.ListStartOffsets(ctx, s.topic)
	if err != nil {
		return nil, nil, err
	}
	to, err := s.adm.ListEndOffsets(ctx, s.topic)
	if err != nil {
		return nil, nil, err
	}
	for p := range s.leaders {
		a, ok1 := from.Lookup(s.topic, int32(p))
		b, ok2 := to.Lookup(s.topic, int32(p))
		if !ok1 || !ok2 || a.Err != nil || b.Err != nil {
			return nil, nil, fmt.Errorf("the ends of partition %d are not known: %w", p, errors.Join(a.Err, b.Err))
		}
		starts, ends = append(starts, a.Offset), append(ends, b.Offset)
	}
	return starts, ends, nil
}
