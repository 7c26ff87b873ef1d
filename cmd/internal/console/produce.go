package console

import (
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Produce is `ottla produce`.
func Produce() *cobra.Command {
	var k client.Kafka
	var key, keySeparator, acks, compression string
	var headers, props []string
	var partition int32
	cmd := &cobra.Command{
		Use:   "produce TOPIC [VALUE]...",
		Short: "Write records to a topic: arguments, or the lines of standard input",
		Example: `  echo hello | ottla produce greetings
  ottla produce greetings hello "good morning" --key en
  ottla produce orders --key-separator : < orders.txt`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	k.Flags(f)
	f.StringVarP(&key, "key", "k", "", "`key` of every record")
	f.StringVarP(&keySeparator, "key-separator", "K", "", "`text` between key and value in each line")
	f.StringArrayVarP(&headers, "header", "H", nil, "a `key=value` header of every record; may be repeated")
	f.Int32VarP(&partition, "partition", "p", -1, "write to this `partition`; -1: by key, or in turn")
	f.StringVarP(&acks, "acks", "a", "all", "who must have a record before it counts: `all`, 1 or 0")
	f.StringVarP(&compression, "compression", "c", "none", "`codec`: none, gzip, snappy, lz4 or zstd")
	f.StringArrayVar(&props, "producer-property", nil, "a `key=value` in the names of the Java client; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		topic, values := args[0], args[1:]
		p, err := client.Gather("", append([]string{"acks=" + acks, "compression.type=" + compression}, props...))
		if err != nil {
			return output.UsageError{Err: err}
		}
		opts, err := client.ProducerOptions(p)
		if err != nil {
			return output.UsageError{Err: err}
		}
		if partition >= 0 {
			opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		}
		hs, err := headerFlags(headers)
		if err != nil {
			return err
		}
		decorate := func(r *kgo.Record) {
			r.Partition, r.Headers = partition, hs
			if cmd.Flags().Changed("key") {
				r.Key = []byte(key)
			}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
		defer stop()
		pr, err := openProducer(ctx, &k, topic, opts)
		if err != nil {
			return err
		}
		began := time.Now()
		if len(values) > 0 {
			for _, v := range values {
				r := kgo.StringRecord(v)
				decorate(r)
				if err = pr.send(ctx, r); err != nil {
					break
				}
			}
		} else {
			l := defaultLayout()
			if keySeparator != "" {
				l.key, l.keyEnd = true, keySeparator
			}
			if output.IsTerminal(cmd.OutOrStdout()) && isTerminal(cmd.InOrStdin()) {
				fmt.Fprintln(cmd.ErrOrStderr(), output.Aside(cmd.ErrOrStderr(), "Each line is a record; Ctrl-D ends."))
			}
			err = pr.feed(ctx, cmd.InOrStdin(), &l, decorate)
		}
		sent, failed := pr.close(ctx)
		if output.IsTerminal(cmd.ErrOrStderr()) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d records acknowledged in %v\n", sent, time.Since(began).Round(time.Millisecond))
		}
		return errors.Join(err, explain(topic, failed))
	}
	return cmd
}

func headerFlags(options []string) ([]kgo.RecordHeader, error) {
	var out []kgo.RecordHeader
	for _, o := range options {
		k, v, ok := strings.Cut(o, "=")
		if !ok {
			return nil, output.Usagef("--header %q: want key=value", o)
		}
		out = append(out, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	return out, nil
}
