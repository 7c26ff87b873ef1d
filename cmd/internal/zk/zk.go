package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
	"ottla/coord/wire"
)

// Command is `ottla zk`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "zk", Short: "Read, change, watch and lock ZooKeeper's nodes", Args: cobra.NoArgs,
		Long: "Work with the nodes of a ZooKeeper server, ours or Apache's: one command at a time, or with `ottla zk shell` many in one session.",
	}
	cmd.AddGroup(&cobra.Group{ID: "nodes", Title: "Nodes:"}, &cobra.Group{ID: "trees", Title: "Trees:"},
		&cobra.Group{ID: "access", Title: "Access and limits:"}, &cobra.Group{ID: "together", Title: "Working together:"}, &cobra.Group{ID: "server", Title: "Server:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			cmd.AddCommand(c)
		}
	}
	add("nodes", ls(), get(), create(), set(), remove(), stat(), watch(), syncCommand())
	add("trees", tree(), find(), copyTree(), move(), dump(), load(), count())
	add("access", getACL(), setACL(), whoAmI(), quotaCommand())
	add("together", lock(), elect(), barrier())
	add("server", interactive(), sessions(), configCommand(), reconfig(), ephemerals(), crossCheck())
	return cmd
}

// open session of an interactive shell, in the context of its commands.
type sessionKey struct{}

// with connects, runs f on a path of the user and closes; in an interactive shell it uses the session that there is. Errors of
// ZooKeeper are explained for that path.
func with(cmd *cobra.Command, z *client.ZooKeeper, path string, f func(t *client.Tree, at string) error) error {
	t, ok := cmd.Context().Value(sessionKey{}).(*client.Tree)
	if !ok {
		var err error
		if t, err = z.Open(cmd.Context()); err != nil {
			return err
		}
		defer t.Close()
	}
	at, err := t.At(path)
	if err != nil {
		return err
	}
	err = f(t, at)
	var failed *failedAt
	switch {
	case errors.As(err, &failed):
		return client.Explain(t.Shown(failed.at), failed.err)
	case err != nil && isZooKeeper(err):
		return client.Explain(path, err)
	}
	return err
}

// completeNodes completes paths.
func completeNodes(z *client.ZooKeeper) client.Completer {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		if begun == "" {
			begun = "/"
		}
		var paths []string
		quick := *z
		quick.Timeout = 2 * time.Second
		if cmd.Context() == nil {
			cmd.SetContext(context.Background())
		}
		_ = with(cmd, &quick, "/", func(t *client.Tree, _ string) error {
			paths = completePath(t, begun)
			return nil
		})
		return paths, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// isZooKeeper says whether err is one of the library's own, which name no path.
func isZooKeeper(err error) bool {
	if _, ok := client.CodeOf(err); ok {
		return true
	}
	return slices.Contains([]error{
		zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrBadVersion, zk.ErrNoAuth, zk.ErrNoChildrenForEphemerals,
		zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrInvalidACL, zk.ErrBadArguments, zk.ErrInvalidPath, zk.ErrSessionExpired, zk.ErrUnknown, zk.ErrAPIError, zk.ErrClosing,
	}, err)
}

var open = zk.WorldACL(zk.PermAll)

func ls() *cobra.Command {
	var z client.ZooKeeper
	var all, long bool
	cmd := &cobra.Command{Use: "ls [PATH]", Aliases: []string{"list"}, Short: "List a node's children", Args: cobra.MaximumNArgs(1)}
	z.Flags(cmd.Flags())
	cmd.Flags().BoolVarP(&all, "recursive", "R", false, "list all nodes below it, by their paths")
	cmd.Flags().BoolVarP(&long, "stat", "s", false, "with versions, sizes and owners")
	watching := watchFlag(cmd, "list of children")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			paths, err := listing(t, at, all, watching)
			if err != nil {
				return err
			}
			rows, err := describe(t, paths, long)
			if err != nil {
				return err
			}
			for i := range rows {
				if all {
					rows[i].Path = t.Shown(paths[i])
				} else {
					rows[i].Path = path.Base(paths[i])
				}
			}
			if err := printListing(cmd, *format, rows, long); err != nil {
				return err
			}
			return watching.wait(cmd)
		})
	}
	cmd.ValidArgsFunction = completeNodes(&z)
	return cmd
}

// listing is the paths of a node's children, or of all nodes below it.
func listing(t *client.Tree, at string, all bool, w *watching) (paths []string, err error) {
	if all {
		if paths, err = list(t, at); err != nil {
			return nil, err
		}
		return paths[1:], w.set(t, at, wire.WatcherPersistentRecursive)
	}
	if err := w.set(t, at, wire.WatcherChildren); err != nil {
		return nil, err
	}
	names, _, err := t.Children(at)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, n := range names {
		paths = append(paths, join(at, n))
	}
	return paths, nil
}

// row is a node of a list.
type row struct {
	Path string `json:"path"`
	Stat *stats `json:"stat,omitempty"`
}

// describe reads what a list says of its nodes; those that have vanished are left out.
func describe(t *client.Tree, paths []string, long bool) ([]row, error) {
	rows := make([]row, len(paths))
	if !long {
		return rows, nil
	}
	err := parallel(len(paths), func(i int) error {
		there, st, err := t.Exists(paths[i])
		if err == nil && there {
			s := newStats(st)
			rows[i].Stat = &s
		}
		return err
	})
	return rows, err
}

func printListing(cmd *cobra.Command, format output.Format, rows []row, long bool) error {
	w := cmd.OutOrStdout()
	switch {
	case long:
		return format.Print(w, rows, func() *output.Table {
			t := &output.Table{Columns: []string{"PATH", "VERSION", "BYTES", "CHILDREN", "OWNER", "MODIFIED"}}
			for _, r := range rows {
				if s := r.Stat; s != nil {
					t.Row(r.Path, s.Version, s.DataLength, s.Children, s.EphemeralOwner, s.Modified.Format(time.RFC3339))
				}
			}
			return t
		})
	case format == output.AsJSON:
		names := make([]string, len(rows))
		for i, r := range rows {
			names[i] = r.Path
		}
		return output.JSON(w, names)
	}
	for _, r := range rows {
		fmt.Fprintln(w, r.Path)
	}
	return nil
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
	var long bool
	cmd.Flags().BoolVarP(&long, "stat", "s", false, "with versions, times and owner behind the data")
	watching := watchFlag(cmd, "node")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if err := watching.set(t, at, wire.WatcherData); err != nil {
				return err
			}
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
				if err := output.JSON(cmd.OutOrStdout(), n); err != nil {
					return err
				}
				return watching.wait(cmd)
			}
			if len(data) > 0 && data[len(data)-1] != '\n' {
				data = append(data, '\n')
			}
			if _, err = cmd.OutOrStdout().Write(data); err != nil {
				return err
			}
			if long {
				if err := newStats(st).table().Write(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return watching.wait(cmd)
		})
	}
	return cmd
}

func stat() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "stat PATH", Short: "Show a node's versions, times and owner", Args: cobra.ExactArgs(1)}
	z.Flags(cmd.Flags())
	watching := watchFlag(cmd, "node")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, at string) error {
			if err := watching.set(t, at, wire.WatcherData); err != nil {
				return err
			}
			there, st, err := t.Exists(at)
			if err != nil {
				return err
			}
			if !there {
				return zk.ErrNoNode
			}
			s := newStats(st)
			if err := format.Print(cmd.OutOrStdout(), s, s.table); err != nil {
				return err
			}
			return watching.wait(cmd)
		})
	}
	return cmd
}
