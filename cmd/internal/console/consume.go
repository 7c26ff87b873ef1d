package console

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Consume is `ottla consume`.
func Consume() *cobra.Command {
	var k client.Kafka
	c := consumer{}
	var fromBeginning, committed bool
	var offset, format, separator string
	var fields, props []string
	cmd := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Print the records of topics, from now on or from the beginning",
		Long: `Print the records of topics: what is written from now on, or with --from-beginning all there is. Without --group it reads all
partitions by itself and leaves no trace. With --group the members of the group share the partitions, and what was printed is
committed.

--print chooses columns, in their order: topic, partition, offset, timestamp (milliseconds), key, headers, value. --format is a
layout with %t topic, %p partition, %o offset, %d milliseconds, %k key, %v value, %h{%k=%v } headers, \n and \t.`,
		Example: `  ottla consume greetings --from-beginning
  ottla consume orders --group billing --print partition,offset,value
  ottla consume orders --partition 0 --offset 1000 --max-messages 5 --format '%o %k=%v\n'`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	k.Flags(f)
	as := output.Flag(cmd)
	f.BoolVar(&fromBeginning, "from-beginning", false, "begin with the oldest record")
	f.StringVar(&offset, "offset", "", "begin at an `offset`, with --partition; negative: so many before the end")
	f.Int32VarP(&c.partition, "partition", "p", -1, "read this `partition` only")
	f.StringVarP(&c.group, "group", "g", "", "read as a member of a `group`")
	f.Int64VarP(&c.max, "max-messages", "n", -1, "end after so `many` records")
	f.DurationVar(&c.idle, "idle", 0, "end when nothing came for so long, such as 2s")
	f.StringSliceVar(&fields, "print", []string{"value"}, "`columns` to print")
	f.StringVar(&separator, "separator", " ", "`text` between columns")
	f.StringVarP(&format, "format", "f", "", "`layout` of a record, instead of columns")
	f.BoolVar(&committed, "read-committed", false, "only records of committed transactions")
	f.StringArrayVar(&props, "consumer-property", nil, "a `key=value` in the names of the Java client; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if c.topics, c.commit = args, c.group != ""; c.print == nil {
			if c.print, err = layoutOf(*as, format, fields, separator); err != nil {
				return output.UsageError{Err: err}
			}
		}
		if c.offset, err = begin(fromBeginning, offset, c.partition); err != nil {
			return output.UsageError{Err: err}
		}
		p, err := client.Gather("", props)
		if err == nil {
			err = c.apply(p)
		}
		if err != nil {
			return output.UsageError{Err: err}
		}
		if committed {
			c.opts = append(c.opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		}
		_, err = c.run(cmd, &k)
		return err
	}
	return cmd
}

// begin is where a consumer begins.
func begin(fromBeginning bool, offset string, partition int32) (kgo.Offset, error) {
	switch {
	case offset == "" && fromBeginning:
		return kgo.NewOffset().AtStart(), nil
	case offset == "":
		return kgo.NewOffset().AtEnd(), nil
	case fromBeginning:
		return kgo.Offset{}, fmt.Errorf("--offset and --from-beginning exclude each other")
	case partition < 0:
		return kgo.Offset{}, fmt.Errorf("--offset needs --partition, since every partition has offsets of its own")
	}
	n, err := strconv.ParseInt(offset, 10, 64)
	switch {
	case err != nil:
		return startOf(offset)
	case n < 0:
		return kgo.NewOffset().AtEnd().Relative(n), nil
	}
	return kgo.NewOffset().At(n), nil
}

// columns are what --print can name.
var columns = map[string]func(b []byte, r *kgo.Record) []byte{
	"topic":     func(b []byte, r *kgo.Record) []byte { return append(b, r.Topic...) },
	"partition": func(b []byte, r *kgo.Record) []byte { return strconv.AppendInt(b, int64(r.Partition), 10) },
	"offset":    func(b []byte, r *kgo.Record) []byte { return strconv.AppendInt(b, r.Offset, 10) },
	"timestamp": func(b []byte, r *kgo.Record) []byte { return strconv.AppendInt(b, r.Timestamp.UnixMilli(), 10) },
	"key":       func(b []byte, r *kgo.Record) []byte { return append(b, orNull(r.Key)...) },
	"value":     func(b []byte, r *kgo.Record) []byte { return append(b, orNull(r.Value)...) },
	"headers": func(b []byte, r *kgo.Record) []byte {
		for i, h := range r.Headers {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, h.Key...), '='), orNull(h.Value)...)
		}
		return b
	},
}

func orNull(b []byte) []byte {
	if b == nil {
		return []byte("null")
	}
	return b
}

// layoutOf makes the function that prints a record.
func layoutOf(as output.Format, format string, fields []string, separator string) (func(io.Writer, *kgo.Record) error, error) {
	if as == output.AsJSON {
		return func(w io.Writer, r *kgo.Record) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			return e.Encode(newRecord(r))
		}, nil
	}
	if format != "" {
		f, err := kgo.NewRecordFormatter(format)
		if err != nil {
			return nil, fmt.Errorf("--format: %w", err)
		}
		var b []byte
		return func(w io.Writer, r *kgo.Record) error {
			b = f.AppendRecord(b[:0], r)
			_, err := w.Write(b)
			return err
		}, nil
	}
	var parts []func([]byte, *kgo.Record) []byte
	for _, name := range fields {
		c := columns[strings.TrimSpace(name)]
		if c == nil {
			return nil, fmt.Errorf("--print %s: want some of topic, partition, offset, timestamp, key, headers, value", name)
		}
		parts = append(parts, c)
	}
	var b []byte
	return func(w io.Writer, r *kgo.Record) error {
		b = b[:0]
		for i, p := range parts {
			if i > 0 {
				b = append(b, separator...)
			}
			b = p(b, r)
		}
		_, err := w.Write(append(b, '\n'))
		return err
	}, nil
}

// record is a record in JSON, one a line. Bytes that are no UTF-8 stand in the fields that end in base64.
type record struct {
	Topic       string    `json:"topic"`
	Partition   int32     `json:"partition"`
	Offset      int64     `json:"offset"`
	Timestamp   time.Time `json:"timestamp"`
	Key         *string   `json:"key"`
	KeyBase64   []byte    `json:"keyBase64,omitempty"`
	Value       *string   `json:"value"`
	ValueBase64 []byte    `json:"valueBase64,omitempty"`
	Headers     []header  `json:"headers,omitempty"`
}

type header struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"valueBase64,omitempty"`
}

func newRecord(r *kgo.Record) record {
	j := record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC()}
	j.Key, j.KeyBase64 = jsonBytes(r.Key)
	j.Value, j.ValueBase64 = jsonBytes(r.Value)
	for _, h := range r.Headers {
		x := header{Key: h.Key}
		x.Value, x.ValueBase64 = jsonBytes(h.Value)
		j.Headers = append(j.Headers, x)
	}
	return j
}

func jsonBytes(b []byte) (text *string, binary []byte) {
	switch {
	case b == nil:
		return nil, nil
	case !utf8.Valid(b):
		return nil, slices.Clone(b)
	}
	s := string(b)
	return &s, nil
}
