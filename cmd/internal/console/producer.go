package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
)

// producer sends records and remembers the first failure.
type producer struct {
	cl   *kgo.Client
	sync bool // wait for each

	mu   sync.Mutex
	sent int
	err  error
}

func openProducer(ctx context.Context, k *client.Kafka, topic string, opts []kgo.Opt) (*producer, error) {
	cl, err := k.Open(ctx, append(client.Producing(topic), opts...)...)
	if err != nil {
		return nil, err
	}
	return &producer{cl: cl}, nil
}

// send produces a record. The error is of this one only if the producer waits for each.
func (p *producer) send(ctx context.Context, r *kgo.Record) error {
	if p.sync {
		err := p.cl.ProduceSync(ctx, r).FirstErr()
		p.note(err)
		return err
	}
	p.cl.Produce(ctx, r, func(_ *kgo.Record, err error) { p.note(err) })
	return nil
}

func (p *producer) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.sent++
	} else if p.err == nil {
		p.err = err
	}
}

// close waits until everything is acknowledged or has failed, and returns how much was acknowledged and the first failure.
func (p *producer) close(ctx context.Context) (int, error) {
	err := p.cl.Flush(ctx)
	p.cl.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, errors.Join(p.err, err)
}

// feed sends the lines of in as records.
func (p *producer) feed(ctx context.Context, in io.Reader, l *layout, each func(r *kgo.Record)) error {
	return lines(in, func(line []byte, n int) error {
		r, err := l.record(line, n)
		if err != nil {
			return err
		}
		if each != nil {
			each(r)
		}
		return p.send(ctx, r)
	})
}

// explain says what to do about a failure to produce to, or to consume, a topic.
func explain(topic string, err error) error {
	switch {
	case err == nil, topic == "":
		return err
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("there is no topic %s, and the broker does not make it by itself; `ottla topic create %s` does", topic, topic)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("topic %s: a record is larger than the topic accepts; `ottla config set topic/%s max.message.bytes=…` raises the limit", topic, topic)
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries):
		return fmt.Errorf("topic %s: not acknowledged in time: %w; `ottla topic describe %s` shows whether its partitions have leaders", topic, err, topic)
	}
	return fmt.Errorf("topic %s: %s", topic, tool.Message(err, ""))
}
