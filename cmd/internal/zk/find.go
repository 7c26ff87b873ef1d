package zk

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// filter says which nodes are looked for. The zero value takes all.
type filter struct {
	name      string // a pattern of path.Match
	data      *regexp.Regexp
	ephemeral bool
	owner     int64
	leaf      bool
	bytes     int
	within    time.Duration
}

func (f *filter) takes(n *full, now time.Time) bool {
	if f.name != "" {
		if ok, _ := path.Match(f.name, path.Base(n.at)); !ok {
			return false
		}
	}
	st := n.stat
	return (f.data == nil || f.data.Match(n.data)) &&
		(!f.ephemeral || st.EphemeralOwner != 0) &&
		(f.owner == 0 || st.EphemeralOwner == f.owner) &&
		(!f.leaf || st.NumChildren == 0) &&
		len(n.data) >= f.bytes &&
		(f.within == 0 || now.Sub(time.UnixMilli(st.Mtime)) <= f.within)
}

func find() *cobra.Command {
	var z client.ZooKeeper
	var f filter
	var data, owner string
	var long bool
	cmd := &cobra.Command{
		Use: "find [PATH]", Short: "Find nodes by name, data, owner, size or age", Args: cobra.MaximumNArgs(1),
		Long:    "Print the paths of a node and those below it for which everything holds that the flags say. What cannot be read for its ACL is left out.",
		Example: "  ottla zk find /brokers --name 'partition*' --data '\"leader\":-1'",
	}
	z.Flags(cmd.Flags())
	fl := cmd.Flags()
	fl.StringVarP(&f.name, "name", "n", "", "the last part of the path matches this `pattern` of *, ? and [a-z]")
	fl.StringVarP(&data, "data", "d", "", "the data matches this regular `expression`")
	fl.BoolVarP(&f.ephemeral, "ephemeral", "e", false, "it belongs to a session")
	fl.StringVar(&owner, "owner", "", "it belongs to this `session`, 0x...")
	fl.BoolVar(&f.leaf, "leaf", false, "it has no children")
	fl.IntVar(&f.bytes, "min-bytes", 0, "it has at least so many `bytes` of data")
	fl.DurationVar(&f.within, "changed-within", 0, "its data was set within this time")
	fl.BoolVarP(&long, "stat", "s", false, "with versions, sizes and owners")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if _, err := path.Match(f.name, ""); err != nil {
			return output.Usagef("--name %s: %v", f.name, err)
		}
		if data != "" {
			if f.data, err = regexp.Compile(data); err != nil {
				return output.Usagef("--data: %v", err)
			}
		}
		if owner != "" {
			id, err := strconv.ParseUint(owner, 0, 64)
			if err != nil || id == 0 {
				return output.Usagef("--owner %s: want a session as `ottla zk sessions` prints it, 0x...", owner)
			}
			f.owner = int64(id)
		}
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			all, err := readTree(t, at, false)
			if err != nil {
				return err
			}
			rows := []row{}
			for _, n := range all {
				if f.takes(n, time.Now()) {
					s := newStats(n.stat)
					rows = append(rows, row{Path: t.Shown(n.at), Stat: &s})
				}
			}
			return printListing(cmd, *format, rows, long)
		})
	}
	return cmd
}

// full is all that a client can learn of a node. Whether it is a container or has a time to live, servers do not tell.
type full struct {
	at   string
	data []byte
	acl  []zk.ACL // only if asked for
	stat *zk.Stat
}

// readTree reads a node and all below it, each before what is below it, in the order of their names, many at a time. Nodes below
// it that vanish or must not be read are left out, but with their ACLs asked for the latter are an error: a copy would lack them.
func readTree(t *client.Tree, at string, acls bool) ([]*full, error) {
	var all []*full
	for level := []string{at}; len(level) > 0; {
		nodes := make([]*full, len(level))
		below := make([][]string, len(level))
		err := parallel(len(level), func(i int) error {
			n := &full{at: level[i]}
			var err error
			n.data, n.stat, err = t.Get(n.at)
			if err == nil && acls {
				n.acl, _, err = t.GetACL(n.at)
			}
			if err == nil && n.stat.NumChildren > 0 {
				below[i], _, err = t.Children(n.at)
			}
			switch {
			case err == nil:
				nodes[i] = n
			case level[i] == at, isOneOf(err, zk.ErrNoAuth) && acls, !isOneOf(err, zk.ErrNoNode, zk.ErrNoAuth):
				return &failedAt{n.at, err}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		var next []string
		for i, n := range nodes {
			if n == nil {
				continue
			}
			all = append(all, n)
			slices.Sort(below[i])
			for _, name := range below[i] {
				next = append(next, join(n.at, name))
			}
		}
		level = next
	}
	return all, nil
}

func isOneOf(err error, those ...error) bool {
	for _, e := range those {
		if err == e {
			return true
		}
	}
	return false
}

func count() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{Use: "count [PATH]", Aliases: []string{"getAllChildrenNumber"}, Short: "Count the nodes below a node, at all depths", Args: cobra.MaximumNArgs(1)}
	z.Flags(cmd.Flags())
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			n, err := t.CountBelow(cmd.Context(), at)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), n)
			}
			return err
		})
	}
	return cmd
}
