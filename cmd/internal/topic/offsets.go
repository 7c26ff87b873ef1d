package topic

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// at is which offsets of partitions are meant: one of the names below, or those of a time.
type at struct {
	name string
	time time.Time
}

// offsetNames are the special offsets, with the timestamps that ask for them.
var offsetNames = map[string]int64{"latest": -1, "earliest": -2, "max-timestamp": -3, "earliest-local": -4, "latest-tiered": -5}

// parseAt reads a name, its number, or milliseconds since 1970.
func parseAt(text string) (at, error) {
	if _, ok := offsetNames[text]; ok {
		return at{name: text}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return at{}, fmt.Errorf("Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified long format timestamp", text)
	}
	for name, number := range offsetNames {
		if n == number {
			return at{name: name}, nil
		}
	}
	return at{time: time.UnixMilli(n)}, nil
}

// listed is the offset of a partition, -1 if there is none; or why there is no answer.
type listedOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp int64  `json:"timestamp"` // ms since 1970 of the record at the offset; -1 if it does not count
	err       error
}

// offsets reads the offsets of topics, by topic and partition.
func (a at) offsets(s client.Session, topics ...string) ([]listedOffset, error) {
	ask := map[string]func(topics ...string) (kadm.ListedOffsets, error){
		"latest":         func(t ...string) (kadm.ListedOffsets, error) { return s.ListEndOffsets(s, t...) },
		"earliest":       func(t ...string) (kadm.ListedOffsets, error) { return s.ListStartOffsets(s, t...) },
		"max-timestamp":  func(t ...string) (kadm.ListedOffsets, error) { return s.ListMaxTimestampOffsets(s, t...) },
		"earliest-local": func(t ...string) (kadm.ListedOffsets, error) { return s.ListLocalLogStartOffsets(s, t...) },
		"latest-tiered":  func(t ...string) (kadm.ListedOffsets, error) { return s.ListLatestRemoteOffsets(s, t...) },
		"": func(t ...string) (kadm.ListedOffsets, error) {
			return s.ListOffsetsAfterMilli(s, a.time.UnixMilli(), t...)
		},
	}[a.name]
	found, err := ask(topics...)
	var shards *kadm.ShardErrors
	if err != nil && !errors.As(err, &shards) {
		return nil, err
	}
	out := []listedOffset{}
	found.Each(func(o kadm.ListedOffset) {
		if a.name == "" && o.Timestamp < 0 {
			o.Offset = -1 // the library means the end by that
		}
		out = append(out, listedOffset{o.Topic, o.Partition, o.Offset, o.Timestamp, o.Err})
	})
	slices.SortFunc(out, func(a, b listedOffset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

// offsetsCommand is `ottla topic offsets`.
func offsetsCommand() *cobra.Command {
	var k client.Kafka
	var when string
	cmd := &cobra.Command{
		Use: "offsets TOPIC...", Short: "Show the ends of partitions, or their offsets at a time", Args: cobra.MinimumNArgs(1),
		Example: "  ottla topic offsets orders\n  ottla topic offsets orders --at earliest\n  ottla topic offsets orders --at 2024-05-06T07:08:09Z",
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("")
	cmd.Flags().StringVar(&when, "at", "latest", "`which`: latest, earliest, max-timestamp, a time, or milliseconds since 1970")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := parseAt(when)
		if t, terr := time.Parse(time.RFC3339, when); terr == nil {
			a, err = at{time: t}, nil
		}
		if err != nil {
			return output.Usagef("--at %s: want latest, earliest, max-timestamp, a time as 2024-05-06T07:08:09Z, or milliseconds since 1970", when)
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			if _, err := topics(s, args...); err != nil {
				return err
			}
			rows, err := a.offsets(s, args...)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if r.err != nil {
					return fmt.Errorf("partition %d of topic %s: %w", r.Partition, r.Topic, r.err)
				}
			}
			return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
				t := &output.Table{Columns: []string{"TOPIC", "PARTITION", "OFFSET"}}
				for _, r := range rows {
					offset := "-"
					if r.Offset >= 0 {
						offset = strconv.FormatInt(r.Offset, 10)
					}
					t.Row(r.Topic, r.Partition, offset)
				}
				return t
			})
		})
	}
	return cmd
}

// truncateCommand is `ottla topic delete-records`.
func truncateCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use: "delete-records TOPIC:PARTITION:OFFSET...", Short: "Delete the records before an offset", Args: cobra.MinimumNArgs(1),
		Long:    "Delete the records of partitions that are before an offset; -1 stands for the end, and deletes all.",
		Example: "  ottla topic delete-records orders:0:1000 orders:1:-1",
	}
	k.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		offsets := kadm.Offsets{}
		for _, a := range args {
			topic, partition, offset, err := parsePlace(a)
			if err != nil {
				return output.UsageError{Err: err}
			}
			offsets.AddOffset(topic, partition, offset, -1)
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			rows, err := deleteRecords(s, offsets)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if r.err != nil {
					return fmt.Errorf("partition %d of topic %s: %w", r.Partition, r.Topic, r.err)
				}
			}
			return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
				t := &output.Table{Columns: []string{"TOPIC", "PARTITION", "START"}}
				for _, r := range rows {
					t.Row(r.Topic, r.Partition, r.Start)
				}
				return t
			})
		})
	}
	return cmd
}

// parsePlace reads topic:partition:offset.
func parsePlace(text string) (topic string, partition int32, offset int64, err error) {
	bad := fmt.Errorf("%q: want topic:partition:offset", text)
	head, tail, ok := cutLast(text, ":")
	if !ok {
		return "", 0, 0, bad
	}
	topic, middle, ok := cutLast(head, ":")
	p, err1 := strconv.ParseInt(middle, 10, 32)
	offset, err2 := strconv.ParseInt(tail, 10, 64)
	if !ok || err1 != nil || err2 != nil || p < 0 || offset < -1 {
		return "", 0, 0, bad
	}
	return topic, int32(p), offset, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i:i+1] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// truncated is a partition whose records before Start are deleted, or why they are not.
type truncated struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
	err       error
}

func deleteRecords(s client.Session, offsets kadm.Offsets) ([]truncated, error) {
	rs, err := s.DeleteRecords(s, offsets)
	var shards *kadm.ShardErrors
	if err != nil && !errors.As(err, &shards) {
		return nil, err
	}
	out := []truncated{}
	for _, o := range offsets.Sorted() {
		r, ok := rs.Lookup(o.Topic, o.Partition)
		if !ok {
			r.Err = err
		}
		out = append(out, truncated{o.Topic, o.Partition, r.LowWatermark, r.Err})
	}
	return out, nil
}
