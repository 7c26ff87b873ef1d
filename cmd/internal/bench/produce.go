package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ottla/broker/record"
	"ottla/cmd/internal/output"
)

// batches say what is produced.
type batches struct {
	batch int
	size  int
	codec string
	acks  string
}

func (b *batches) flags(f *pflag.FlagSet) {
	f.IntVarP(&b.batch, "batch", "B", 16<<10, "`bytes` of a record batch, before compression")
	f.IntVar(&b.size, "size", 100, "`bytes` of a record's value")
	f.StringVar(&b.codec, "codec", "none", "`codec`: none, gzip, snappy, lz4 or zstd")
	f.StringVarP(&b.acks, "acks", "a", "1", "`acks` of a request: 1 or all")
}

func (b *batches) make() (batch []byte, records int, acks int16, err error) {
	codec := slices.IndexFunc([]record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}, func(c record.Codec) bool { return c.String() == b.codec })
	switch {
	case codec < 0:
		return nil, 0, 0, output.Usagef("--codec %s: want none, gzip, snappy, lz4 or zstd", b.codec)
	case b.acks == "all" || b.acks == "-1":
		acks = -1
	case b.acks == "1":
		acks = 1
	default:
		return nil, 0, 0, output.Usagef("--acks %s: want 1 or all (with 0 there is no answer to measure)", b.acks)
	}
	if b.size < 0 || b.batch < 1 || b.batch > 64<<20 || b.size > 64<<20 {
		return nil, 0, 0, output.Usagef("--size and --batch must be at most 64 MiB")
	}
	batch, records, err = batchOf(b.batch, b.size, record.Codec(codec))
	return batch, records, acks, err
}

func (b *batches) detail(batch []byte, records int) string {
	s := fmt.Sprintf("batches of %d bytes (%d records of %d), acks=%s", len(batch), records, b.size, b.acks)
	if b.codec != "none" {
		s += ", " + b.codec
	}
	return s
}

func (k *kafkaFlags) flags(f *pflag.FlagSet) {
	k.Kafka.Flags(f)
	f.StringVar(&k.topic, "topic", "", "an existing `topic`; without it one is made for the run")
	f.IntVarP(&k.partitions, "partitions", "p", 0, "`partitions` of the topic made for the run; 0: one for each connection")
	f.IntVar(&k.replicas, "replication-factor", 1, "`replicas` of the topic made for the run")
	f.StringArrayVar(&k.configs, "config", nil, "a `key=value` of the topic made for the run; may be repeated")
}

func produce() *cobra.Command {
	var l load
	var k kafkaFlags
	var b batches
	cmd := &cobra.Command{
		Use: "produce", Short: "Produce batches", Args: cobra.NoArgs,
		Example: "  ottla bench produce -c 16 --batch 65536 --acks all\n  ottla bench produce --rate 1000 --batch 1 --size 200",
	}
	l.flags(cmd.Flags(), 5)
	k.flags(cmd.Flags())
	b.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		batch, records, acks, err := b.make()
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
		pipes, err := s.producers(ctx, &l, batch, records, acks)
		if err != nil {
			return err
		}
		return l.run(ctx, cmd, pipes, Result{Op: "produce", Server: k.Servers, Detail: b.detail(batch, records), what: "requests"})
	}
	return cmd
}

// producers connects each connection to a partition, in turn.
func (s *scratch) producers(ctx context.Context, l *load, batch []byte, records int, acks int16) ([]*pipe, error) {
	var pipes []*pipe
	for i := range l.connections {
		partition := i % len(s.leaders)
		c, err := s.dial(ctx, partition)
		if err != nil {
			return nil, err
		}
		x := &producing{s.topic, produceRequest(s.topic, partition, acks, batch), records, len(batch)}
		pipes = append(pipes, newPipe(c, x, l.outstanding))
	}
	return pipes, nil
}

// sizeText prints a number of bytes for people.
func sizeText(n int64) string {
	for _, unit := range []string{"bytes", "KiB", "MiB"} {
		if n < 1<<10 || n%(1<<10) != 0 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		n >>= 10
	}
	return strings.TrimSpace(fmt.Sprintf("%d GiB", n))
}
