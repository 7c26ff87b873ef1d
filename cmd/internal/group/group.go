package group

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Command is `ottla group`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List and describe consumer groups", Args: cobra.NoArgs}
	cmd.AddCommand(listCommand(), describeCommand())
	return cmd
}

func with(cmd *cobra.Command, k *client.Kafka, f func(ctx context.Context, adm *kadm.Client) error) error {
	ctx, cancel := k.Context(cmd.Context())
	defer cancel()
	adm, err := k.Admin(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	return f(ctx, adm)
}

// listed is a group in JSON.
type listed struct {
	Group       string `json:"group"`
	State       string `json:"state,omitempty"`
	Coordinator int32  `json:"coordinator"`
}

func listCommand() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List consumer groups", Args: cobra.NoArgs}
	k.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd, &k, func(ctx context.Context, adm *kadm.Client) error {
			groups, err := list(ctx, adm)
			if err != nil {
				return err
			}
			rows := []listed{}
			for _, g := range groups {
				rows = append(rows, listed{g.Group, g.State, g.Coordinator})
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
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &k, func(ctx context.Context, adm *kadm.Client) error {
			groups, err := describe(ctx, adm, args...)
			if err != nil {
				return err
			}
			var out []description
			for _, g := range groups {
				if !g.exists() {
					return fmt.Errorf("there is no group %s; `ottla group list` shows what there is", g.Group)
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
