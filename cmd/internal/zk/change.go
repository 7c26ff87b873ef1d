package zk

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// dataOf is an argument's text, or with - all of standard input.
func dataOf(cmd *cobra.Command, arg string) ([]byte, error) {
	if arg == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return []byte(arg), nil
}

func create() *cobra.Command {
	var z client.ZooKeeper
	var kind kindOf
	var parents bool
	var aclText string
	cmd := &cobra.Command{
		Use: "create PATH [DATA]", Short: "Make a node; DATA - is standard input", Args: cobra.RangeArgs(1, 2),
		Long: "Make a node and print its path. An ephemeral one vanishes with its session, which ends with the command unless it is one of `ottla zk shell`.",
	}
	z.Flags(cmd.Flags())
	f := cmd.Flags()
	f.BoolVarP(&kind.sequential, "sequential", "s", false, "let the server add a number to the name")
	f.BoolVarP(&kind.ephemeral, "ephemeral", "e", false, "a node that vanishes with the session; in `ottla zk shell`")
	f.BoolVarP(&parents, "parents", "p", false, "make the nodes above it that are missing")
	f.BoolVarP(&kind.container, "container", "c", false, "a node that the server deletes after its last child")
	f.DurationVarP(&kind.ttl, "ttl", "t", 0, "a node that the server deletes when it was not changed for so long and has no children")
	f.StringVar(&aclText, "acl", "", "who may do what, `scheme:id:cdrwa,...`; everybody may do everything if it is not given")
	cmd.MarkFlagsMutuallyExclusive("container", "ttl", "ephemeral")
	cmd.MarkFlagsMutuallyExclusive("container", "sequential")
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, shell := cmd.Context().Value(sessionKey{}).(*client.Tree); kind.ephemeral && !shell {
			return output.Usagef("an ephemeral node would vanish with this command; make it in `ottla zk shell`, or run a command under `ottla zk lock`")
		}
		acl := open
		if aclText != "" {
			var err error
			if acl, err = strictACL(aclText); err != nil {
				return err
			}
		}
		var data []byte
		if len(args) > 1 {
			var err error
			if data, err = dataOf(cmd, args[1]); err != nil {
				return err
			}
		}
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if strings.HasSuffix(args[0], "/") && kind.sequential {
				at += "/" // the name is the number alone
			}
			if parents {
				if err := makeAbove(t, at); err != nil {
					return err
				}
			}
			made, err := makeNode(t, at, data, kind, acl)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), t.Shown(made))
			}
			return err
		})
	}
	return cmd
}

// kindOf is what a new node is to be.
type kindOf struct {
	sequential, ephemeral, container bool
	ttl                              time.Duration // 0: none
}

// makeNode makes a node of any kind.
func makeNode(t *client.Tree, at string, data []byte, k kindOf, acl []zk.ACL) (string, error) {
	flags := int32(0)
	if k.sequential {
		flags |= zk.FlagSequence
	}
	if k.ephemeral {
		flags |= zk.FlagEphemeral
	}
	switch {
	case k.container:
		return t.CreateContainer(at, data, zk.FlagContainer, acl)
	case k.ttl > 0 && k.sequential:
		return t.CreateTTL(at, data, zk.FlagPersistentSequentialWithTTL, acl, k.ttl)
	case k.ttl > 0:
		return t.CreateTTL(at, data, zk.FlagTTL, acl, k.ttl)
	}
	return t.Create(at, data, flags, acl)
}

// makeAbove makes the nodes above a path that are missing.
func makeAbove(t *client.Tree, at string) error {
	for i := 1; i < len(at); i++ {
		if at[i] != '/' {
			continue
		}
		if _, err := t.Create(at[:i], nil, 0, open); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return nil
}

func set() *cobra.Command {
	var z client.ZooKeeper
	var version int32
	var long bool
	cmd := &cobra.Command{Use: "set PATH DATA", Short: "Replace a node's data; DATA - is standard input", Args: cobra.ExactArgs(2)}
	z.Flags(cmd.Flags())
	cmd.Flags().Int32VarP(&version, "version", "v", -1, "only if the node has this `version`")
	cmd.Flags().BoolVarP(&long, "stat", "s", false, "print the node's new versions and times")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := dataOf(cmd, args[1])
		if err != nil {
			return err
		}
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			st, err := t.Set(at, data, version)
			if err != nil || !long {
				return err
			}
			s := newStats(st)
			return format.Print(cmd.OutOrStdout(), s, s.table)
		})
	}
	return cmd
}

func remove() *cobra.Command {
	var z client.ZooKeeper
	var version int32
	var recursive bool
	var batch int
	cmd := &cobra.Command{Use: "delete PATH", Aliases: []string{"rm"}, Long: "Delete a node. With --recursive all nodes below it too, the deepest first, in transactions: each is atomic, the whole is not when there are more nodes than one takes.", Short: "Delete a node", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	cmd.Flags().IntVarP(&batch, "batch", "b", batchMax, "with --recursive, so `many` nodes in a transaction; 0: each on its own")
	cmd.Flags().Int32VarP(&version, "version", "v", -1, "only if the node has this `version`")
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "and all nodes below it")
	cmd.MarkFlagsMutuallyExclusive("version", "recursive")
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if recursive {
				return deleteAll(t, at, batch)
			}
			return t.Delete(at, version)
		})
	}
	return cmd
}
