package zk

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

func syncCommand() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{
		Use: "sync [PATH]", Short: "Wait until this server has caught up with its ensemble", Args: cobra.MaximumNArgs(1),
		Long: "Wait until the server that this session is with has everything that the ensemble had committed before. In `ottla zk shell` what is read next is no older.",
	}
	z.Flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			_, err := t.Sync(at)
			return err
		})
	}
	return cmd
}

func ephemerals() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{
		Use: "ephemerals [PREFIX]", Aliases: []string{"getEphemerals"}, Short: "List the ephemeral nodes of this session", Args: cobra.MaximumNArgs(1),
		Long: "List the ephemeral nodes of this session, of use in `ottla zk shell`; for those of others see `ottla zk find --ephemeral`.",
	}
	z.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			paths, err := t.Ephemerals(cmd.Context(), at)
			if err != nil {
				return err
			}
			rows := make([]row, len(paths))
			for i, p := range paths {
				rows[i].Path = t.Shown(p)
			}
			slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Path, b.Path) })
			return printListing(cmd, *format, rows, false)
		})
	}
	return cmd
}

func configCommand() *cobra.Command {
	var z client.ZooKeeper
	var short bool
	cmd := &cobra.Command{Use: "config", Short: "Show the ensemble's configuration; that of a standalone server is empty", Args: cobra.NoArgs}
	z.Flags(cmd.Flags())
	cmd.Flags().BoolVarP(&short, "client", "c", false, "only the version and what clients connect to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd, &z, "/", func(t *client.Tree, _ string) error {
			data, _, err := t.Get(configNode)
			if err != nil {
				return err
			}
			text := strings.TrimSpace(string(data))
			if short {
				text = strings.TrimSpace(clientConfig(text))
			}
			if text != "" {
				fmt.Fprintln(cmd.OutOrStdout(), text)
			}
			return nil
		})
	}
	return cmd
}

func reconfig() *cobra.Command {
	var z client.ZooKeeper
	var add, removed, members []string
	var version int64
	cmd := &cobra.Command{
		Use: "reconfig", Short: "Change the members of an ensemble", Args: cobra.NoArgs,
		Long: `Change the members of a ZooKeeper ensemble that runs with reconfigEnabled=true. A standalone server refuses it, ours does too.`,
	}
	z.Flags(cmd.Flags())
	f := cmd.Flags()
	f.StringArrayVar(&add, "add", nil, "a server that joins, `ID=HOST:PORT:PORT;PORT`; may be repeated")
	f.StringSliceVar(&removed, "remove", nil, "`ids` of servers that leave")
	f.StringArrayVar(&members, "member", nil, "all servers that there shall be, each `ID=HOST:PORT:PORT;PORT`")
	f.Int64Var(&version, "version", -1, "only if the configuration has this `version`")
	cmd.MarkFlagsOneRequired("add", "remove", "member")
	cmd.MarkFlagsMutuallyExclusive("member", "add")
	cmd.MarkFlagsMutuallyExclusive("member", "remove")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd, &z, configNode, func(t *client.Tree, _ string) (err error) {
			if len(members) > 0 {
				_, err = t.Reconfig(members, version)
			} else {
				_, err = t.IncrementalReconfig(add, removed, version)
			}
			return err
		})
	}
	return cmd
}
