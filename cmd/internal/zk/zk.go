package zk

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// Command is `ottla zk`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "zk", Short: "Read, change, watch and lock ZooKeeper's nodes", Args: cobra.NoArgs}
	cmd.AddCommand(ls(), get(), create(), set(), remove(), stat(), watch(), tree(), lock())
	return cmd
}

// with connects, runs f on a path of the user and closes. Errors of ZooKeeper are explained for that path.
func with(cmd *cobra.Command, z *client.ZooKeeper, path string, f func(t *client.Tree, at string) error) error {
	t, err := z.Open(cmd.Context())
	if err != nil {
		return err
	}
	defer t.Close()
	at, err := t.At(path)
	if err != nil {
		return err
	}
	if err := f(t, at); err != nil {
		if isZooKeeper(err) {
			return client.Explain(path, err)
		}
		return err
	}
	return nil
}

// isZooKeeper says whether err is one of the library's own, which name no path.
func isZooKeeper(err error) bool {
	return slices.Contains([]error{
		zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrBadVersion, zk.ErrNoAuth, zk.ErrNoChildrenForEphemerals,
		zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrInvalidACL, zk.ErrBadArguments, zk.ErrInvalidPath, zk.ErrSessionExpired, zk.ErrUnknown, zk.ErrAPIError, zk.ErrClosing,
	}, err)
}

var open = zk.WorldACL(zk.PermAll)

func ls() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "ls [PATH]", Aliases: []string{"list"}, Short: "List a node's children", Args: cobra.MaximumNArgs(1)}
	z.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			names, _, err := t.Children(at)
			if err != nil {
				return err
			}
			slices.Sort(names)
			if *format == output.AsJSON {
				return output.JSON(cmd.OutOrStdout(), append([]string{}, names...))
			}
			for _, n := range names {
				fmt.Fprintln(cmd.OutOrStdout(), n)
			}
			return nil
		})
	}
	return cmd
}

func optional(args []string) string {
	if len(args) == 0 {
		return "/"
	}
	return args[0]
}

// node is a node in JSON. Data that is no UTF-8 stands in dataBase64.
type node struct {
	Path       string  `json:"path"`
	Data       *string `json:"data"`
	DataBase64 []byte  `json:"dataBase64,omitempty"`
	Stat       stats   `json:"stat"`
}

type stats struct {
	Czxid          string    `json:"czxid"`
	Mzxid          string    `json:"mzxid"`
	Pzxid          string    `json:"pzxid"`
	Created        time.Time `json:"created"`
	Modified       time.Time `json:"modified"`
	Version        int32     `json:"version"`
	ChildVersion   int32     `json:"childVersion"`
	ACLVersion     int32     `json:"aclVersion"`
	EphemeralOwner string    `json:"ephemeralOwner"`
	DataLength     int32     `json:"dataLength"`
	Children       int32     `json:"children"`
}

func zxid(n int64) string { return fmt.Sprintf("0x%x", uint64(n)) }

func newStats(s *zk.Stat) stats {
	return stats{
		zxid(s.Czxid), zxid(s.Mzxid), zxid(s.Pzxid), time.UnixMilli(s.Ctime).UTC(), time.UnixMilli(s.Mtime).UTC(),
		s.Version, s.Cversion, s.Aversion, zxid(s.EphemeralOwner), s.DataLength, s.NumChildren,
	}
}

func (s stats) table() *output.Table {
	t := &output.Table{Columns: []string{"FIELD", "VALUE"}}
	t.Row("created", s.Created.Format(time.RFC3339Nano))
	t.Row("modified", s.Modified.Format(time.RFC3339Nano))
	t.Row("version", s.Version)
	t.Row("data length", s.DataLength)
	t.Row("children", s.Children)
	t.Row("child version", s.ChildVersion)
	t.Row("acl version", s.ACLVersion)
	t.Row("ephemeral owner", s.EphemeralOwner)
	t.Row("czxid", s.Czxid)
	t.Row("mzxid", s.Mzxid)
	t.Row("pzxid", s.Pzxid)
	return t
}

func get() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "get PATH", Aliases: []string{"cat"}, Short: "Print a node's data", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			data, st, err := t.Get(at)
			if err != nil {
				return err
			}
			if *format == output.AsJSON {
				n := node{Path: args[0], Stat: newStats(st)}
				if utf8.Valid(data) && data != nil {
					s := string(data)
					n.Data = &s
				} else {
					n.DataBase64 = data
				}
				return output.JSON(cmd.OutOrStdout(), n)
			}
			if len(data) > 0 && data[len(data)-1] != '\n' {
				data = append(data, '\n')
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		})
	}
	return cmd
}

// dataOf is an argument's text, or with - all of standard input.
func dataOf(cmd *cobra.Command, arg string) ([]byte, error) {
	if arg == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return []byte(arg), nil
}

func create() *cobra.Command {
	var z client.ZooKeeper
	var sequential, parents, container bool
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create PATH [DATA]", Short: "Make a node; DATA - is standard input", Args: cobra.RangeArgs(1, 2),
		Long: "Make a node and print its path. Nodes that vanish with a session make no sense here, since it ends with the command: see `ottla zk lock`.",
	}
	z.Flags(cmd.Flags())
	f := cmd.Flags()
	f.BoolVarP(&sequential, "sequential", "s", false, "let the server add a number to the name")
	f.BoolVarP(&parents, "parents", "p", false, "make the nodes above it that are missing")
	f.BoolVar(&container, "container", false, "a node that the server deletes after its last child")
	f.DurationVar(&ttl, "ttl", 0, "a node that the server deletes when it was not changed for so long and has no children")
	cmd.MarkFlagsMutuallyExclusive("container", "ttl")
	cmd.MarkFlagsMutuallyExclusive("container", "sequential")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var data []byte
		if len(args) > 1 {
			var err error
			if data, err = dataOf(cmd, args[1]); err != nil {
				return err
			}
		}
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if strings.HasSuffix(args[0], "/") && sequential {
				at += "/" // the name is the number alone
			}
			if parents {
				if err := makeAbove(t, at); err != nil {
					return err
				}
			}
			made, err := makeNode(t, at, data, kindOf{sequential: sequential, container: container, ttl: ttl}, open)
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
	cmd := &cobra.Command{Use: "set PATH DATA", Short: "Replace a node's data; DATA - is standard input", Args: cobra.ExactArgs(2)}
	z.Flags(cmd.Flags())
	cmd.Flags().Int32Var(&version, "version", -1, "only if the node has this `version`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := dataOf(cmd, args[1])
		if err != nil {
			return err
		}
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			_, err := t.Set(at, data, version)
			return err
		})
	}
	return cmd
}

func remove() *cobra.Command {
	var z client.ZooKeeper
	var version int32
	var recursive bool
	cmd := &cobra.Command{Use: "delete PATH", Aliases: []string{"rm"}, Short: "Delete a node", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	cmd.Flags().Int32Var(&version, "version", -1, "only if the node has this `version`")
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "and all nodes below it")
	cmd.MarkFlagsMutuallyExclusive("version", "recursive")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if recursive {
				return deleteAll(t, at, batchMax)
			}
			return t.Delete(at, version)
		})
	}
	return cmd
}

func stat() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "stat PATH", Short: "Show a node's versions, times and owner", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			there, st, err := t.Exists(at)
			if err != nil {
				return err
			}
			if !there {
				return zk.ErrNoNode
			}
			s := newStats(st)
			return format.Print(cmd.OutOrStdout(), s, s.table)
		})
	}
	return cmd
}
