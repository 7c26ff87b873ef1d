package zk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"

	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// batches cuts operations into transactions that a server takes in one frame.
func batches(ops []any) (out [][]any) {
	start, size := 0, 0
	for i, op := range ops {
		n := sizeOf(op)
		if i > start && (i-start == batchMax || size+n > batchBytes) {
			out = append(out, ops[start:i])
			start, size = i, 0
		}
		size += n
	}
	if start < len(ops) {
		out = append(out, ops[start:])
	}
	return out
}

// sizeOf is about what an operation takes in a frame.
func sizeOf(op any) int {
	const header, entry = 32, 16
	n := header + len(pathOf(op))
	switch op := op.(type) {
	case *zk.CreateRequest:
		n += len(op.Data)
		for _, a := range op.Acl {
			n += entry + len(a.Scheme) + len(a.ID)
		}
	case *zk.SetDataRequest:
		n += len(op.Data)
	}
	return n
}

// runBatches runs transactions in order. The error says how many were done.
func runBatches(t *client.Tree, all [][]any) error {
	for i, ops := range all {
		if _, err := multi(t, ops); err != nil {
			if i > 0 {
				return fmt.Errorf("%d of %d transactions were done, and stay; then %w", i, len(all), err)
			}
			return err
		}
	}
	return nil
}

// plan is what a copy of a subtree takes.
type plan struct {
	creates []any
	deletes []any // of what was copied, the deepest first, each only if it has not changed
	owned   []string
}

// planCopy reads the subtree at from. Ephemeral nodes are left out: they belong to their sessions.
func planCopy(t *client.Tree, from, to string) (*plan, error) {
	if from == to || strings.HasPrefix(to, strings.TrimSuffix(from, "/")+"/") {
		return nil, output.Usagef("%s is in %s itself", t.Shown(to), t.Shown(from))
	}
	all, err := readTree(t, from, true)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	for _, n := range all {
		if n.stat.EphemeralOwner != 0 {
			p.owned = append(p.owned, t.Shown(n.at))
			continue
		}
		p.creates = append(p.creates, &zk.CreateRequest{Path: to + strings.TrimPrefix(n.at, from), Data: n.data, Acl: n.acl})
		p.deletes = append(p.deletes, &zk.DeleteRequest{Path: n.at, Version: n.stat.Version})
	}
	slices.Reverse(p.deletes)
	return p, nil
}

func copyTree() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{
		Use: "cp FROM TO", Aliases: []string{"copy"}, Short: "Copy a node and all below it, with data and ACLs", Args: cobra.ExactArgs(2),
		Long: `Copy a node and all below it, with data and ACLs. TO must not exist, the node above it must. Ephemeral nodes are left out, since they
belong to their sessions; containers and times to live become plain nodes, since servers do not tell them.

What is read is not a snapshot: nodes that change meanwhile may be copied before or after. What is written is atomic as far as it
fits into one transaction (` + fmt.Sprintf("%d nodes, %d KiB", batchMax, batchBytes>>10) + `); the command says when it took more.`,
	}
	z.Flags(cmd.Flags())
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, from string) error {
			to, err := t.At(args[1])
			if err != nil {
				return err
			}
			p, err := planCopy(t, from, to)
			if err != nil {
				return err
			}
			all := batches(p.creates)
			if err := runBatches(t, all); err != nil {
				return err
			}
			p.tell(cmd, "copied", len(all))
			return nil
		})
	}
	return cmd
}

// tell says what was done, and what was not.
func (p *plan) tell(cmd *cobra.Command, what string, transactions int) {
	w := cmd.ErrOrStderr()
	fmt.Fprintf(w, "%s %d nodes", what, len(p.creates))
	if transactions > 1 {
		fmt.Fprintf(w, " in %d transactions, each atomic, the whole not", transactions)
	}
	fmt.Fprintln(w)
	if len(p.owned) > 0 {
		fmt.Fprintf(w, "left out %d ephemeral nodes, for example %s\n", len(p.owned), p.owned[0])
	}
}

func move() *cobra.Command {
	var z client.ZooKeeper
	cmd := &cobra.Command{
		Use: "mv FROM TO", Aliases: []string{"move"}, Short: "Move a node and all below it", Args: cobra.ExactArgs(2),
		Long: `Move a node and all below it: make them anew at TO, with data and ACLs, and delete those at FROM. TO must not exist, the node above it
must. Versions begin anew, watches stay behind, containers and times to live become plain nodes.

A subtree that fits into one transaction (` + fmt.Sprintf("%d operations, two for each node; %d KiB", batchMax, batchBytes>>10) + `) is moved atomically, and not at all when
it changes meanwhile. A larger one is copied first and then deleted, each in several transactions: others see both for a while, and
what changed meanwhile is not deleted, which ends the command with an error.`,
	}
	z.Flags(cmd.Flags())
	cmd.ValidArgsFunction = completeNodes(&z)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd, &z, args[0], func(t *client.Tree, from string) error {
			to, err := t.At(args[1])
			if err != nil {
				return err
			}
			p, err := planCopy(t, from, to)
			if err != nil {
				return err
			}
			if len(p.owned) > 0 {
				return fmt.Errorf("%s belongs to a session and cannot be moved; `ottla zk cp` copies what is around it", p.owned[0])
			}
			all := batches(slices.Concat(p.creates, p.deletes))
			if len(all) > 1 {
				all = append(batches(p.creates), batches(p.deletes)...)
			}
			err = runBatches(t, all)
			if errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNotEmpty) {
				return fmt.Errorf("%s changed while it was moved: %w", args[0], err)
			}
			if err != nil {
				return err
			}
			p.tell(cmd, "moved", len(all))
			return nil
		})
	}
	return cmd
}
