package group

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Command is `ottla group`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List, describe, reset and delete consumer groups", Args: cobra.NoArgs}
	cmd.AddCommand(listCommand(), describeCommand(), resetCommand(), deleteCommand(), deleteOffsetsCommand())
	return cmd
}

// listed is a group in JSON.
type listed struct {
	Group       string `json:"group"`
	Type        string `json:"type"`
	State       string `json:"state,omitempty"`
	Coordinator int32  `json:"coordinator"`
}

func listCommand() *cobra.Command {
	var k client.Kafka
	var state, kind string
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List consumer groups", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	cmd.Flags().StringVar(&state, "state", "", "only groups in these `states`, such as stable,empty")
	cmd.Flags().StringVar(&kind, "type", "", "only groups of these `types`: classic, consumer")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		states, err1 := chosen("state", state, states)
		types, err2 := chosen("type", kind, types)
		if err := errors.Join(err1, err2); err != nil {
			return output.UsageError{Err: err}
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			groups, err := list(s, types, states)
			if err != nil {
				return err
			}
			rows := []listed{}
			for _, g := range groups {
				rows = append(rows, listed(g))
			}
			return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
				t := &output.Table{Columns: []string{"GROUP", "STATE", "COORDINATOR"}}
				for _, g := range rows {
					t.Row(g.Group, g.State, g.Coordinator)
				}
				return t
			})
		})
	}
	return cmd
}

// description is a group in JSON, with all that is known.
type description struct {
	Group       string  `json:"group"`
	State       string  `json:"state"`
	Strategy    string  `json:"strategy,omitempty"`
	Coordinator int32   `json:"coordinator"`
	Members     int     `json:"members"`
	Partitions  []place `json:"partitions"`
}

func describeCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "describe GROUP...", Short: "Show members, offsets and lag of consumer groups", Args: cobra.MinimumNArgs(1)}
	k.Flags(cmd.Flags())
	cmd.ValidArgsFunction = k.CompleteGroups()
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.With(cmd.Context(), func(s client.Session) error {
			groups, err := describe(s, args...)
			if err != nil {
				return err
			}
			var out []description
			for _, g := range groups {
				if !g.exists() {
					return absent(g.Group)
				}
				d := description{g.Group, g.State, g.Protocol, g.Coordinator.NodeID, len(g.Members), g.places}
				if d.Partitions == nil {
					d.Partitions = []place{}
				}
				out = append(out, d)
			}
			if *format == output.AsJSON {
				return output.JSON(cmd.OutOrStdout(), out)
			}
			for i, d := range out {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := show(cmd, d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// show prints a group for people.
func show(cmd *cobra.Command, d description) error {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s  %s, %d members, coordinator %d\n", output.Heading(w, d.Group), d.State, d.Members, d.Coordinator)
	t := &output.Table{Columns: []string{"TOPIC", "PARTITION", "OFFSET", "END", "LAG", "CLIENT", "HOST", "MEMBER"}}
	for _, p := range d.Partitions {
		t.Row(orDash(p.Topic), number(int64(p.Partition)), number(p.Offset), number(p.End), number(p.Lag), orDash(p.Client), orDash(p.Host), orDash(p.Member))
	}
	return t.Write(w)
}

// number prints what is known.
func number(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
