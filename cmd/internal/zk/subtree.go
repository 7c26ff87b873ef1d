package zk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"ottla/cmd/internal/client"
)

// join is a child's path.
func join(at, name string) string { return strings.TrimSuffix(at, "/") + "/" + name }

// visit calls f for a node and all below it as ZooKeeper's client lists them: the children of a node in the order of their names,
// then what is below each. Nodes that vanish meanwhile are left out.
func visit(t *client.Tree, at string, f func(at string) error) error {
	if err := f(at); err != nil {
		return err
	}
	return visitBelow(t, at, f)
}

func visitBelow(t *client.Tree, at string, f func(at string) error) error {
	names, _, err := t.Children(at)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, n := range names {
		if err := f(join(at, n)); err != nil {
			return err
		}
	}
	for _, n := range names {
		if err := visitBelow(t, join(at, n), f); err != nil {
			return err
		}
	}
	return nil
}

// list returns a node and all below it, each before what is below it.
func list(t *client.Tree, at string) ([]string, error) {
	if there, _, err := t.Exists(at); err != nil || !there {
		return nil, firstOf(err, zk.ErrNoNode)
	}
	var all []string
	err := visit(t, at, func(at string) error {
		all = append(all, at)
		return nil
	})
	return all, err
}

// firstOf is the first of two errors that is one.
func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// batchMax is how many operations go into a transaction, and batchBytes how many bytes: what a server takes in one frame is
// jute.maxbuffer, 1 MiB unless it is set otherwise.
const (
	batchMax   = 1000
	batchBytes = 512 << 10
)

// deleteAll deletes a node and all below it, the deepest first, in transactions of so many nodes; 0: each on its own. Nodes that
// vanish meanwhile are fine. Each transaction is atomic, the whole is not.
func deleteAll(t *client.Tree, at string, batch int) error {
	if at == "/" {
		return errors.New("the root cannot be deleted")
	}
	all, err := list(t, at)
	if err != nil {
		return err
	}
	slices.Reverse(all)
	if batch <= 0 {
		return deleteEach(t, all)
	}
	for len(all) > 0 {
		var ops []any
		for size := 0; len(ops) < min(batch, len(all)) && size < batchBytes; {
			op := &zk.DeleteRequest{Path: all[len(ops)], Version: -1}
			ops = append(ops, op)
			size += len(op.Path)
		}
		if _, err := multi(t, ops); errors.Is(err, zk.ErrNoNode) { // somebody else deletes too
			err = deleteEach(t, all[:len(ops)])
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		all = all[len(ops):]
	}
	return nil
}

func deleteEach(t *client.Tree, all []string) error {
	for _, at := range all {
		if err := t.Delete(at, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}

// failedAt is an error of a transaction with the path that failed.
type failedAt struct {
	at  string
	err error
}

func (f *failedAt) Error() string { return fmt.Sprintf("%s: %v", f.at, f.err) }
func (f *failedAt) Unwrap() error { return f.err }

// multi runs a transaction. The error names the operation that failed.
func multi(t *client.Tree, ops []any) ([]zk.MultiResponse, error) {
	results, err := t.Multi(ops...)
	for i, r := range results {
		// What comes after the operation that failed has an error too, but none before.
		if r.Error != nil && i < len(ops) {
			return nil, &failedAt{pathOf(ops[i]), r.Error}
		}
	}
	return results, err
}

func pathOf(op any) string {
	switch op := op.(type) {
	case *zk.CreateRequest:
		return op.Path
	case *zk.DeleteRequest:
		return op.Path
	case *zk.SetDataRequest:
		return op.Path
	case *zk.CheckVersionRequest:
		return op.Path
	}
	return ""
}
