package zk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// branch is a node with what is below it.
type branch struct {
	Name     string    `json:"name"`
	Data     *string   `json:"data,omitempty"`
	Children []*branch `json:"children,omitempty"`
	Cut      int32     `json:"cut,omitempty"` // children that --depth left out

	at   string
	text string
}

// readers is how many requests are under way at a time.
const readers = 32

func tree() *cobra.Command {
	var z client.ZooKeeper
	var depth int
	var data bool
	cmd := &cobra.Command{Use: "tree [PATH]", Short: "Show a node and all below it", Args: cobra.MaximumNArgs(1)}
	z.Flags(cmd.Flags())
	cmd.Flags().IntVarP(&depth, "depth", "L", -1, "how many `levels` below the node; -1: all")
	cmd.Flags().BoolVarP(&data, "data", "d", false, "with the nodes' data")
	format := output.Flag(cmd)
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, optional(args), func(t *client.Tree, at string) error {
			root := &branch{Name: optional(args), at: at}
			if err := grow(t, root, depth, data); err != nil {
				return err
			}
			if *format == output.AsJSON {
				return output.JSON(cmd.OutOrStdout(), root)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintln(w, output.Heading(w, root.Name)+root.suffix(w))
			root.print(w, "")
			return nil
		})
	}
	return cmd
}

// grow reads level by level, so that a wide tree takes few round trips.
func grow(t *client.Tree, root *branch, depth int, data bool) error {
	for level := []*branch{root}; len(level) > 0; depth-- {
		errs := make([]error, len(level))
		_ = parallel(len(level), func(i int) error {
			errs[i] = level[i].read(t, depth, data)
			return nil
		})
		var next []*branch
		for i, b := range level {
			if errs[i] != nil && (b == root || !errors.Is(errs[i], zk.ErrNoNode) && !errors.Is(errs[i], zk.ErrNoAuth)) {
				return errs[i]
			}
			next = append(next, b.Children...)
		}
		level = next
	}
	return nil
}

// parallel calls f for 0 to n-1, a bounded number at a time, and returns the first error there was.
func parallel(n int, f func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(readers)
	for i := range n {
		g.Go(func() error { return f(i) })
	}
	return g.Wait()
}

func (b *branch) read(t *client.Tree, depth int, data bool) error {
	if data {
		d, _, err := t.Get(b.at)
		if err != nil {
			return err
		}
		b.text = preview(d)
		if s := string(d); d != nil && utf8.Valid(d) {
			b.Data = &s
		}
	}
	names, st, err := t.Children(b.at)
	if err != nil {
		return err
	}
	if depth == 0 {
		b.Cut = st.NumChildren
		return nil
	}
	slices.Sort(names)
	base := b.at
	if base == "/" {
		base = ""
	}
	for _, n := range names {
		b.Children = append(b.Children, &branch{Name: n, at: base + "/" + n})
	}
	return nil
}

// previewMax is how much data a line of the tree shows.
const previewMax = 100

// preview is data on one line.
func preview(d []byte) string {
	switch {
	case len(d) == 0:
		return ""
	case !utf8.Valid(d) || bytes.ContainsAny(d, "\x00\x1b"):
		return fmt.Sprintf("(%d bytes)", len(d))
	case len(d) > previewMax:
		return fmt.Sprintf("%s… (%d bytes)", bytes.ToValidUTF8(d[:previewMax], nil), len(d))
	}
	return string(bytes.Join(bytes.Fields(d), []byte(" ")))
}

func (b *branch) suffix(w io.Writer) string {
	s := ""
	if b.text != "" {
		s = "  " + output.Aside(w, b.text)
	}
	if b.Cut > 0 {
		s += output.Aside(w, fmt.Sprintf("  (%d below)", b.Cut))
	}
	return s
}

func (b *branch) print(w io.Writer, indent string) {
	for i, c := range b.Children {
		mark, below := "├── ", "│   "
		if i == len(b.Children)-1 {
			mark, below = "└── ", "    "
		}
		fmt.Fprintln(w, indent+mark+c.Name+c.suffix(w))
		c.print(w, indent+below)
	}
}
