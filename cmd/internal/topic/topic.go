package topic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	names "ottla/broker/topic"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/cmd/internal/tool"
)

// Command is `ottla topic`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "topic", Short: "List, create, describe, delete and alter topics, and look at their ends", Args: cobra.NoArgs}
	cmd.AddCommand(list(), create(), describe(), remove(), alter(), offsetsCommand(), truncateCommand())
	return cmd
}

// explain says what to do about an error that concerns a topic.
func explain(name string, err error, sent string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("there is no topic %s; `ottla topic list` shows what there is, `ottla topic create %s` makes it", name, name)
	case errors.Is(err, kerr.TopicAlreadyExists):
		return fmt.Errorf("topic %s exists already; `ottla topic describe %s` shows it, --if-not-exists accepts it", name, name)
	}
	return fmt.Errorf("topic %s: %s", name, tool.Message(err, sent))
}

// Topic is a topic in JSON.
type Topic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id,omitempty"`
	Internal   bool              `json:"internal,omitempty"`
	Partitions []Partition       `json:"partitions"`
	Config     map[string]string `json:"config,omitempty"` // what differs from the defaults
}

// Partition is a partition in JSON.
type Partition struct {
	Partition int32   `json:"partition"`
	Leader    *int32  `json:"leader"` // null: none
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
}

// topics reads the wanted topics, or all if none is named.
func topics(s client.Session, wanted ...string) ([]Topic, error) {
	details, err := s.ListTopicsWithInternal(s, wanted...)
	if err != nil {
		return nil, err
	}
	var out []Topic
	for _, d := range details.Sorted() {
		if d.Err != nil {
			return nil, explain(d.Topic, d.Err, "")
		}
		t := Topic{Name: d.Topic, Internal: d.IsInternal}
		if d.ID != (kadm.TopicID{}) {
			t.ID = names.ID(d.ID).String()
		}
		for _, p := range d.Partitions.Sorted() {
			pt := Partition{Partition: p.Partition, Replicas: p.Replicas, ISR: p.ISR}
			if p.Leader >= 0 {
				pt.Leader = &p.Leader
			}
			t.Partitions = append(t.Partitions, pt)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (t *Topic) replicas() int {
	if len(t.Partitions) == 0 {
		return 0
	}
	return len(t.Partitions[0].Replicas)
}

func list() *cobra.Command {
	var k client.Kafka
	var internal bool
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List topics", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.Flags().BoolVar(&internal, "internal", false, "internal topics too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			all, err := topics(s)
			if err != nil {
				return err
			}
			if !internal {
				all = slices.DeleteFunc(all, func(t Topic) bool { return t.Internal })
			}
			return format.Print(cmd.OutOrStdout(), nonNil(all), func() *output.Table {
				t := &output.Table{Columns: []string{"TOPIC", "PARTITIONS", "REPLICAS"}}
				for _, x := range all {
					t.Row(x.Name, len(x.Partitions), x.replicas())
				}
				return t
			})
		})
	}
	return cmd
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func create() *cobra.Command {
	var k client.Kafka
	var partitions int32
	var replicas int16
	var configs []string
	var ifNotExists bool
	cmd := &cobra.Command{
		Use: "create TOPIC...", Short: "Create topics", Args: cobra.MinimumNArgs(1),
		Example: "  ottla topic create orders --partitions 12 --config retention.ms=86400000",
	}
	f := cmd.Flags()
	k.Flags(f)
	f.Int32VarP(&partitions, "partitions", "p", -1, "how many `partitions`; -1: as the broker is configured")
	f.Int16VarP(&replicas, "replication-factor", "r", -1, "how many `replicas` of each; -1: as the broker is configured")
	f.StringArrayVarP(&configs, "config", "c", nil, "a `key=value` of the topic; may be repeated")
	f.BoolVar(&ifNotExists, "if-not-exists", false, "a topic that exists already is no error")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := pointers(configs)
		if err != nil {
			return output.Usagef("--config %w", err)
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			made, err := s.CreateTopics(s, partitions, replicas, values, args...)
			if err != nil {
				return err
			}
			var errs []error
			for _, r := range made.Sorted() {
				switch {
				case r.Err == nil:
					fmt.Fprintf(cmd.ErrOrStderr(), "created topic %s\n", r.Topic)
				case !ifNotExists || !errors.Is(r.Err, kerr.TopicAlreadyExists):
					errs = append(errs, explain(r.Topic, r.Err, r.ErrMessage))
				}
			}
			return errors.Join(errs...)
		})
	}
	return cmd
}

// pointers are key=value options as kadm takes them.
func pointers(options []string) (map[string]*string, error) {
	m, err := tool.Pairs(options)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*string, len(m))
	for k, v := range m {
		out[k] = &v
	}
	return out, nil
}

func remove() *cobra.Command {
	var k client.Kafka
	var ifExists bool
	cmd := &cobra.Command{Use: "delete TOPIC...", Aliases: []string{"rm"}, Short: "Delete topics and their data", Args: cobra.MinimumNArgs(1)}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("")
	cmd.Flags().BoolVar(&ifExists, "if-exists", false, "a topic that does not exist is no error")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			gone, err := s.DeleteTopics(s, args...)
			if err != nil {
				return err
			}
			var errs []error
			for _, r := range gone.Sorted() {
				switch {
				case r.Err == nil:
					fmt.Fprintf(cmd.ErrOrStderr(), "deleted topic %s\n", r.Topic)
				case !ifExists || !errors.Is(r.Err, kerr.UnknownTopicOrPartition):
					errs = append(errs, explain(r.Topic, r.Err, r.ErrMessage))
				}
			}
			return errors.Join(errs...)
		})
	}
	return cmd
}

func alter() *cobra.Command {
	var k client.Kafka
	var partitions int
	cmd := &cobra.Command{
		Use: "alter TOPIC --partitions N", Short: "Add partitions to a topic", Args: cobra.ExactArgs(1),
		Long: `Add partitions to a topic. Keys of records map to partitions by their number, so records of one key may be in another partition
from then on. For a topic's configuration see ` + "`ottla config set`.",
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteTopics("")
	cmd.Flags().IntVarP(&partitions, "partitions", "p", 0, "how many `partitions` there shall be")
	_ = cmd.MarkFlagRequired("partitions")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			rs, err := s.UpdatePartitions(s, partitions, args[0])
			if err != nil {
				return err
			}
			r := rs[args[0]]
			if r.Err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "topic %s has %d partitions\n", args[0], partitions)
			}
			return explain(args[0], r.Err, r.ErrMessage)
		})
	}
	return cmd
}

// overridden is what of a topic's configuration is not a default.
func overridden(c kadm.ResourceConfig) map[string]string {
	m := map[string]string{}
	for _, e := range c.Configs {
		if e.Source != kmsg.ConfigSourceDefaultConfig {
			m[e.Key] = e.MaybeValue()
		}
	}
	return m
}

func sortedPairs(m map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}
