package group

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// absent says where to look for a group that is not there.
func absent(group string) error {
	return fmt.Errorf("there is no group %s; `ottla group list` shows what there is", group)
}

func explain(group string, err error, sent string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.GroupIDNotFound):
		return absent(group)
	case errors.Is(err, kerr.NonEmptyGroup):
		return fmt.Errorf("group %s has members; `ottla group describe %s` shows them, stop them first", group, group)
	case sent != "":
		return fmt.Errorf("group %s: %s", group, sent)
	}
	return fmt.Errorf("group %s: %w", group, err)
}

// parseTarget reads earliest, latest, current, an offset, +N or -N, a time, or a duration ago.
func parseTarget(text string) (*reset, error) {
	switch text {
	case "earliest":
		return &reset{target: toEarliest}, nil
	case "latest":
		return &reset{target: toLatest}, nil
	case "current":
		return &reset{target: toCurrent}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if strings.ContainsAny(text[:1], "+-") {
			return &reset{target: shiftBy, number: n}, nil
		}
		return &reset{target: toOffset, number: n}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return &reset{target: toTime, time: time.Now().Add(-d)}, nil
	}
	if at, err := parseDate(text); err == nil {
		return &reset{target: toTime, time: at}, nil
	}
	return nil, output.Usagef("--to %q: want earliest, latest, current, an offset, +N or -N records, a time as 2024-05-06T07:08:09Z, or a duration ago as 90m", text)
}

func resetCommand() *cobra.Command {
	var k client.Kafka
	var to, file string
	var c scope
	var dry, export bool
	cmd := &cobra.Command{
		Use: "reset GROUP...", Short: "Set the offsets of consumer groups without members", Args: cobra.MinimumNArgs(1),
		Long: `Set the offsets of consumer groups that have no members at present. Without --topic all partitions are reset that the group has
offsets of. What is asked for beyond the ends of a log becomes its end.`,
		Example: "  ottla group reset readers --to earliest\n  ottla group reset readers --to -100 --topic orders:0,1 --dry-run\n  ottla group reset readers --to 2024-05-06T07:08:09Z",
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteGroups()
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "where to: earliest, latest, current, an `offset`, +N or -N records, a time, or a duration ago")
	f.StringVar(&file, "from", "", "as a `file` says that --export wrote")
	f.StringArrayVarP(&c.topics, "topic", "t", nil, "a `topic`, or topic:0,1 for some partitions; may be repeated")
	f.BoolVarP(&dry, "dry-run", "n", false, "only show what would be done")
	f.BoolVar(&export, "export", false, "print lines for --from")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (to == "") == (file == "") {
			return output.Usagef("want either --to or --from")
		}
		var r *reset
		var err error
		if file != "" {
			r = &reset{target: toPlan}
			r.plan, err = readPlan(file, args)
		} else {
			r, err = parseTarget(to)
		}
		if err != nil {
			return err
		}
		c.all = len(c.topics) == 0
		return k.With(cmd.Context(), func(s client.Session) error {
			rows, err := r.apply(s, args, c, dry)
			if err != nil {
				return err
			}
			if export {
				_, err := fmt.Fprint(cmd.OutOrStdout(), writePlan(rows, len(args) > 1))
				return err
			}
			return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
				t := &output.Table{Columns: []string{"GROUP", "TOPIC", "PARTITION", "OFFSET", "NEW", "NOTE"}}
				for _, m := range rows {
					t.Row(m.Group, m.Topic, m.Partition, number(m.Offset), m.New, m.Note)
				}
				return t
			})
		})
	}
	return cmd
}

// apply resets groups, or with dry only computes how.
func (r *reset) apply(s client.Session, groups []string, c scope, dry bool) ([]moved, error) {
	found, err := s.DescribeGroups(s, groups...)
	if err != nil {
		return nil, err
	}
	rows := []moved{}
	for _, name := range groups {
		if g := found[name]; g.Err == nil && len(g.Members) > 0 {
			return nil, explain(name, kerr.NonEmptyGroup, "")
		}
		new, err := r.compute(s, name, c)
		if err != nil {
			return nil, explain(name, err, "")
		}
		if !dry {
			if err := commit(s, name, new); err != nil {
				return nil, explain(name, err, "")
			}
		}
		rows = append(rows, new...)
	}
	return rows, nil
}

func deleteCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "delete GROUP...", Aliases: []string{"rm"}, Short: "Delete consumer groups without members, and their offsets", Args: cobra.MinimumNArgs(1)}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteGroups()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			rs, err := s.DeleteGroups(s, args...)
			if err != nil {
				return lacks("delete groups", err)
			}
			var errs []error
			for _, name := range slices.Sorted(slices.Values(args)) {
				if r := rs[name]; r.Err != nil {
					errs = append(errs, explain(name, r.Err, r.ErrMessage))
				} else {
					fmt.Fprintf(cmd.ErrOrStderr(), "deleted group %s\n", name)
				}
			}
			return errors.Join(errs...)
		})
	}
	return cmd
}

func deleteOffsetsCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use: "delete-offsets GROUP TOPIC[:PARTITION,...]...", Short: "Delete offsets of topics that no member of the group is subscribed to", Args: cobra.MinimumNArgs(2),
		Example: "  ottla group delete-offsets readers orders:0,1 payments",
	}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteGroups()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			set, err := scope{topics: args[1:]}.partitions(s, nil)
			if err != nil {
				return err
			}
			rs, err := s.DeleteOffsets(s, args[0], set)
			if err != nil {
				return explain(args[0], lacks("delete offsets of a group", err), "")
			}
			var errs []error
			set.Each(func(t string, p int32) {
				if err, _ := rs.Lookup(t, p); err != nil {
					errs = append(errs, fmt.Errorf("%s-%d: %w", t, p, err))
				}
			})
			return errors.Join(errs...)
		})
	}
	return cmd
}
