package zk

import (
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// quotaCommand is `ottla zk quota`.
func quotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "quota", Short: "Bound the nodes and bytes below a node", Args: cobra.NoArgs,
		Long: `Bound the nodes and bytes below a node. A server only logs when a soft limit is exceeded; hard ones it enforces with
enforceQuota=true.`,
	}
	cmd.AddCommand(quotaGet(), quotaSet(), quotaDelete())
	return cmd
}

func quotaGet() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "get PATH", Short: "Show a node's quota and what counts against it", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, _ string) error {
			limit, used, err := quotaOf(t, args[0])
			if errors.Is(err, zk.ErrNoNode) {
				return fmt.Errorf("%s has no quota; `ottla zk quota set %s` sets one", args[0], args[0])
			}
			if err != nil {
				return err
			}
			type bound struct {
				Used int64 `json:"used"`
				Soft int64 `json:"soft"` // -1: none
				Hard int64 `json:"hard"`
			}
			value := struct {
				Nodes bound `json:"nodes"`
				Bytes bound `json:"bytes"`
			}{
				bound{used.get(softCount), limit.get(softCount), limit.get(hardCount)},
				bound{used.get(softBytes), limit.get(softBytes), limit.get(hardBytes)},
			}
			return format.Print(cmd.OutOrStdout(), value, func() *output.Table {
				tab := &output.Table{Columns: []string{"OF", "USED", "SOFT", "HARD"}}
				for _, l := range []struct {
					name string
					b    bound
				}{{"nodes", value.Nodes}, {"bytes", value.Bytes}} {
					tab.Row(l.name, l.b.Used, dash(l.b.Soft), dash(l.b.Hard))
				}
				return tab
			})
		})
	}
	return cmd
}

// dash is a number, or - for none.
func dash(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func quotaSet() *cobra.Command {
	var z client.ZooKeeper
	values := map[string]*int64{softCount: new(int64), softBytes: new(int64), hardCount: new(int64), hardBytes: new(int64)}
	cmd := &cobra.Command{Use: "set PATH", Short: "Set some limits of a node, and leave its others", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	f := cmd.Flags()
	f.Int64VarP(values[softCount], "nodes", "n", 0, "soft limit of nodes, itself included")
	f.Int64VarP(values[softBytes], "bytes", "b", 0, "soft limit of bytes of data")
	f.Int64VarP(values[hardCount], "hard-nodes", "N", 0, "hard limit of nodes")
	f.Int64VarP(values[hardBytes], "hard-bytes", "B", 0, "hard limit of bytes")
	cmd.MarkFlagsOneRequired("nodes", "bytes", "hard-nodes", "hard-bytes")
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		want := limits{}
		for flag, key := range map[string]string{"nodes": softCount, "bytes": softBytes, "hard-nodes": hardCount, "hard-bytes": hardBytes} {
			if n := *values[key]; f.Changed(flag) {
				if n < 0 || n == 0 && (key == softCount || key == hardCount) {
					return output.Usagef("--%s %d: want more; `ottla zk quota delete` takes a limit away", flag, n)
				}
				want[key] = n
			}
		}
		return with(cmd, &z, args[0], func(t *client.Tree, _ string) error {
			warnings, err := setQuota(t, args[0], want)
			for _, w := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w)
			}
			return err
		})
	}
	return cmd
}

func quotaDelete() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "delete PATH", Short: "Take some limits of a node away, or its whole quota", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	f := cmd.Flags()
	flags := map[string]string{"nodes": softCount, "bytes": softBytes, "hard-nodes": hardCount, "hard-bytes": hardBytes}
	f.BoolP("nodes", "n", false, "the soft limit of nodes")
	f.BoolP("bytes", "b", false, "the soft limit of bytes")
	f.BoolP("hard-nodes", "N", false, "the hard limit of nodes")
	f.BoolP("hard-bytes", "B", false, "the hard limit of bytes")
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var keys []string
		for flag, key := range flags {
			if on, _ := f.GetBool(flag); on {
				keys = append(keys, key)
			}
		}
		return with(cmd, &z, args[0], func(t *client.Tree, _ string) error {
			had, err := deleteQuota(t, args[0], keys)
			if err == nil && !had {
				err = fmt.Errorf("%s has no quota", args[0])
			}
			return err
		})
	}
	return cmd
}
