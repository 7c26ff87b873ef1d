package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/tool"
)

// Props are client Props in Java's names. Take returns one and removes it, so that what is left is not understood.
type Props map[string]string

// Gather joins a file of properties ("" for none) with key=value options, which win.
func Gather(file string, options []string) (Props, error) {
	p := Props{}
	if file != "" {
		m, err := ReadProperties(file)
		if err != nil {
			return nil, err
		}
		p = m
	}
	m, err := tool.Pairs(options)
	if err != nil {
		return nil, err
	}
	for k, v := range m {
		p[k] = v
	}
	return p, nil
}

func (p Props) Take(name string) (string, bool) {
	v, ok := p[name]
	delete(p, name)
	return strings.TrimSpace(v), ok
}

// Number calls f with a property that is a number, if it is there.
func (p Props) Number(name string, f func(n int64) error) error {
	v, ok := p.Take(name)
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return fmt.Errorf("%s=%s: want a number", name, v)
	}
	return f(n)
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// builder collects options of the client.
type builder struct {
	opts []kgo.Opt
	err  error
}

func (b *builder) add(o ...kgo.Opt) { b.opts = append(b.opts, o...) }

func (b *builder) number(p Props, name string, f func(n int64) kgo.Opt) {
	if err := p.Number(name, func(n int64) error { b.add(f(n)); return nil }); err != nil && b.err == nil {
		b.err = err
	}
}

// text calls f with a property's value, if it is there.
func (b *builder) text(p Props, name string, f func(v string) (kgo.Opt, error)) {
	v, ok := p.Take(name)
	if !ok || b.err != nil {
		return
	}
	o, err := f(v)
	if err != nil {
		b.err = fmt.Errorf("%s=%s: %w", name, v, err)
		return
	}
	if o != nil {
		b.add(o)
	}
}

// common translates what producers and consumers share.
func (b *builder) common(p Props) {
	b.text(p, "client.id", func(v string) (kgo.Opt, error) { return kgo.ClientID(v), nil })
	b.text(p, "client.rack", func(v string) (kgo.Opt, error) { return kgo.Rack(v), nil })
	b.number(p, "request.timeout.ms", func(n int64) kgo.Opt { return kgo.RequestTimeoutOverhead(max(ms(n), 100*time.Millisecond)) })
	b.number(p, "metadata.max.age.ms", func(n int64) kgo.Opt { return kgo.MetadataMaxAge(max(ms(n), time.Second)) })
	more, err := Options(p)
	if err != nil && b.err == nil {
		b.err = err
	}
	b.add(more...)
}

// codecs are the names of compression.type.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func Codec(name string) (kgo.Opt, error) {
	c, ok := codecs[strings.ToLower(name)]
	if !ok {
		return nil, fmt.Errorf("want none, gzip, snappy, lz4 or zstd")
	}
	return kgo.ProducerBatchCompression(c), nil
}

// Acks reads acks. Fewer than all exclude the idempotent producer.
func Acks(v string) (acks kgo.Acks, all bool, err error) {
	switch strings.ToLower(v) {
	case "-1", "all":
		return kgo.AllISRAcks(), true, nil
	case "1":
		return kgo.LeaderAck(), false, nil
	case "0":
		return kgo.NoAck(), false, nil
	}
	return acks, false, fmt.Errorf("want all, -1, 1 or 0")
}

// ProducerOptions translates the properties of a producer.
func ProducerOptions(p Props) ([]kgo.Opt, error) {
	b := &builder{}
	if _, ok := p["transactional.id"]; ok {
		return nil, fmt.Errorf("transactional.id: this command writes without transactions")
	}
	b.common(p)
	idempotent := true
	b.text(p, "enable.idempotence", func(v string) (kgo.Opt, error) { idempotent = !strings.EqualFold(v, "false"); return nil, nil })
	b.text(p, "acks", func(v string) (kgo.Opt, error) {
		acks, all, err := Acks(v)
		idempotent = idempotent && all
		return kgo.RequiredAcks(acks), err
	})
	if !idempotent {
		b.add(kgo.DisableIdempotentWrite())
	}
	b.text(p, "compression.type", Codec)
	b.number(p, "linger.ms", func(n int64) kgo.Opt { return kgo.ProducerLinger(ms(n)) })
	b.number(p, "max.request.size", func(n int64) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) })
	b.number(p, "delivery.timeout.ms", func(n int64) kgo.Opt { return kgo.RecordDeliveryTimeout(max(ms(n), time.Second)) })
	b.number(p, "retries", func(n int64) kgo.Opt { return kgo.RecordRetries(int(n)) })
	return b.opts, b.err
}

// balancers are the classes of partition.assignment.strategy.
func balancers(list string) (kgo.Opt, error) {
	var out []kgo.GroupBalancer
	for _, class := range strings.Split(list, ",") {
		switch name := strings.TrimSpace(class); name[strings.LastIndexByte(name, '.')+1:] {
		case "RangeAssignor":
			out = append(out, kgo.RangeBalancer())
		case "RoundRobinAssignor":
			out = append(out, kgo.RoundRobinBalancer())
		case "StickyAssignor":
			out = append(out, kgo.StickyBalancer())
		case "CooperativeStickyAssignor":
			out = append(out, kgo.CooperativeStickyBalancer())
		default:
			return nil, fmt.Errorf("there is no assignor %s here", name)
		}
	}
	return kgo.Balancers(out...), nil
}

// ConsumerOptions translates the properties of a consumer, but for those that decide what to consume: see consumer.apply.
func ConsumerOptions(p Props, group bool) ([]kgo.Opt, error) {
	b := &builder{}
	b.common(p)
	b.number(p, "fetch.max.bytes", func(n int64) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) })
	b.number(p, "max.partition.fetch.bytes", func(n int64) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) })
	b.number(p, "fetch.min.bytes", func(n int64) kgo.Opt { return kgo.FetchMinBytes(int32(n)) })
	b.number(p, "fetch.max.wait.ms", func(n int64) kgo.Opt { return kgo.FetchMaxWait(ms(n)) })
	b.text(p, "isolation.level", Isolation)
	if group {
		b.number(p, "session.timeout.ms", func(n int64) kgo.Opt { return kgo.SessionTimeout(ms(n)) })
		b.number(p, "heartbeat.interval.ms", func(n int64) kgo.Opt { return kgo.HeartbeatInterval(ms(n)) })
		b.number(p, "max.poll.interval.ms", func(n int64) kgo.Opt { return kgo.RebalanceTimeout(ms(n)) })
		b.text(p, "group.instance.id", func(v string) (kgo.Opt, error) { return kgo.InstanceID(v), nil })
		b.text(p, "partition.assignment.strategy", balancers)
	}
	return b.opts, b.err
}

func Isolation(v string) (kgo.Opt, error) {
	switch v {
	case "read_committed":
		return kgo.FetchIsolationLevel(kgo.ReadCommitted()), nil
	case "read_uncommitted":
		return kgo.FetchIsolationLevel(kgo.ReadUncommitted()), nil
	}
	return nil, fmt.Errorf("want read_committed or read_uncommitted")
}

// Producing are the options of every producer: topics are made as the broker is configured to, which takes it a moment.
func Producing(topic string) []kgo.Opt {
	return []kgo.Opt{
		kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(100 * time.Millisecond), kgo.UnknownTopicRetries(100),
		kgo.RecordDeliveryTimeout(2 * time.Minute), kgo.RequestRetries(100),
	}
}
