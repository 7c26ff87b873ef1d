package zk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// A dump is a subtree as JSON:
//
//	{"format": "ottla-zk-dump", "version": 1, "root": "/app", "nodes": [
//	  {"path": "/", "data": "text", "acl": ["world:anyone:cdrwa"]},
//	  {"path": "/a", "dataBase64": "//4=", "acl": ["digest:bob:hash=:cdrwa"], "container": true},
//	  {"path": "/a/b", "data": null, "acl": ["world:anyone:cdrwa"], "ttlMs": 60000}]}
//
// Paths are below the root, each node stands behind the one above it. Data that is no UTF-8 stands in dataBase64. Servers do not
// tell clients of containers and times to live, so dump never writes them; load makes what it finds.
type dumpFile struct {
	Format  string     `json:"format"`
	Version int        `json:"version"`
	Root    string     `json:"root"`
	Nodes   []dumpNode `json:"nodes"`
}

type dumpNode struct {
	Path       string   `json:"path"`
	Data       *string  `json:"data"`
	DataBase64 []byte   `json:"dataBase64,omitempty"`
	ACL        []string `json:"acl"`
	Container  bool     `json:"container,omitempty"`
	TTL        int64    `json:"ttlMs,omitempty"`
}

const (
	dumpFormat  = "ottla-zk-dump"
	dumpVersion = 1
	reserved    = "/zookeeper" // the server's own nodes
)

func isReserved(at string) bool { return at == reserved || strings.HasPrefix(at, reserved+"/") }

func dump() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{
		Use: "dump [PATH]", Short: "Write a node and all below it as JSON, for load", Args: cobra.MaximumNArgs(1),
		Long: `Write a node and all below it as JSON to standard output, with data and ACLs. Ephemeral nodes and the server's own below ` + reserved + `
are left out. Containers and times to live come out as plain nodes, since servers do not tell them: for all that a server knows
there is ` + "`ottla coordinator export`" + `. The dump is no snapshot: nodes that change meanwhile may be in it as before or as after.`,
		Example: "  ottla zk dump /app > app.json",
	}
	z.Flags(cmd.Flags())
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			all, err := readTree(t, at, true)
			if err != nil {
				return err
			}
			d := dumpFile{Format: dumpFormat, Version: dumpVersion, Root: optional(args), Nodes: []dumpNode{}}
			owned := 0
			for _, n := range all {
				switch {
				case n.stat.EphemeralOwner != 0:
					owned++
				case isReserved(n.at) && !isReserved(at):
				default:
					node := dumpNode{Path: "/" + strings.TrimPrefix(strings.TrimPrefix(n.at, at), "/"), ACL: texts(n.acl)}
					if utf8.Valid(n.data) && n.data != nil {
						s := string(n.data)
						node.Data = &s
					} else {
						node.DataBase64 = n.data
					}
					d.Nodes = append(d.Nodes, node)
				}
			}
			if owned > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "left out %d ephemeral nodes\n", owned)
			}
			return output.JSON(cmd.OutOrStdout(), d)
		})
	}
	return cmd
}

func load() *cobra.Command {
	var z client.ZooKeeper
	var overwrite, dry bool
	cmd := &cobra.Command{
		Use: "load FILE [PATH]", Short: "Make the nodes that dump has written; FILE - is standard input", Args: cobra.RangeArgs(1, 2),
		Long: `Make the nodes that dump has written, below PATH or where they were. Nodes above PATH that are missing are made too. If any of
them is there already, nothing is changed, unless --overwrite: then those get the data and ACL of the file, and what else is there
stays. Nodes are made in transactions, each atomic, the whole not when it takes more than one; the command says how many.`,
	}
	z.Flags(cmd.Flags())
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "change nodes that are there already")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be done")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := readDump(cmd, args[0])
		if err != nil {
			return err
		}
		root := d.Root
		if len(args) > 1 {
			root = args[1]
		}
		return with(cmd, &z, root, func(t *client.Tree, at string) error {
			l, err := planLoad(t, d, at)
			if err != nil {
				return err
			}
			if len(l.there) > 0 && !overwrite {
				return fmt.Errorf("%d of %d nodes are there already, for example %s; nothing was changed. --overwrite changes them", len(l.there), len(d.Nodes), t.Shown(l.there[0].at))
			}
			if !dry {
				if err := makeAbove(t, at); err != nil {
					return err
				}
				if err := l.run(t); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d nodes made, %d changed, %d transactions\n", l.made, len(l.there), len(l.steps))
			return nil
		})
	}
	return cmd
}

func readDump(cmd *cobra.Command, name string) (*dumpFile, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var d dumpFile
	if err := json.NewDecoder(in).Decode(&d); err != nil {
		return nil, fmt.Errorf("%s is not what `ottla zk dump` writes: %w", name, err)
	}
	if d.Format != dumpFormat || d.Version != dumpVersion {
		return nil, fmt.Errorf("%s is not what `ottla zk dump` of this version writes: format %q, version %d", name, d.Format, d.Version)
	}
	return &d, nil
}

// wanted is a node to be made or changed.
type wanted struct {
	at   string
	data []byte
	acl  []zk.ACL
	kind kindOf
}

func (n *dumpNode) wanted(root string) (*wanted, error) {
	if fault := pathFault(n.Path); fault != "" {
		return nil, fmt.Errorf("the dump's node %q: %s", n.Path, fault)
	}
	w := &wanted{at: strings.TrimSuffix(root, "/") + n.Path, data: n.DataBase64}
	w.kind = kindOf{container: n.Container, ttl: time.Duration(n.TTL) * time.Millisecond}
	if n.Path == "/" {
		w.at = root
	}
	if n.Data != nil {
		w.data = []byte(*n.Data)
	}
	var err error
	w.acl, err = strictACL(strings.Join(n.ACL, ","))
	return w, err
}

// loading is what a load takes: steps, of which each is a transaction, and nodes that exist.
type loading struct {
	there []*wanted
	made  int
	steps []func(t *client.Tree) error
}

func planLoad(t *client.Tree, d *dumpFile, root string) (*loading, error) {
	l := &loading{}
	all := make([]*wanted, len(d.Nodes))
	exists := make([]bool, len(d.Nodes))
	err := parallel(len(all), func(i int) (err error) {
		if all[i], err = d.Nodes[i].wanted(root); err == nil {
			exists[i], _, err = t.Exists(all[i].at)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var ops []any
	flush := func() {
		for _, b := range batches(ops) {
			l.steps = append(l.steps, func(t *client.Tree) error {
				_, err := multi(t, b)
				return err
			})
		}
		ops = nil
	}
	for i, w := range all {
		switch {
		case exists[i]:
			l.there = append(l.there, w)
			continue
		case w.kind.container || w.kind.ttl > 0: // the library has them in no transaction
			flush()
			l.steps = append(l.steps, func(t *client.Tree) error {
				_, err := makeNode(t, w.at, w.data, w.kind, w.acl)
				if err != nil {
					err = &failedAt{w.at, err}
				}
				return err
			})
		default:
			ops = append(ops, &zk.CreateRequest{Path: w.at, Data: w.data, Acl: w.acl})
		}
		l.made++
	}
	flush()
	for _, w := range l.there {
		ops = append(ops, &zk.SetDataRequest{Path: w.at, Data: w.data, Version: -1})
	}
	flush()
	return l, nil
}

// run makes and changes the nodes. ACLs of those that exist come last: they may forbid the rest.
func (l *loading) run(t *client.Tree) error {
	for i, step := range l.steps {
		if err := step(t); err != nil {
			if i > 0 {
				return fmt.Errorf("%d of %d transactions were done, and stay; then %w", i, len(l.steps), err)
			}
			return err
		}
	}
	for i := range l.there {
		w := l.there[len(l.there)-1-i]
		if _, err := t.SetACL(w.at, w.acl, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return &failedAt{w.at, err}
		}
	}
	return nil
}
