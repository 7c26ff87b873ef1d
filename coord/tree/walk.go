package tree

import (
	"maps"
	"slices"
)

// Walk calls f for all nodes, parents before children and siblings by name, until f returns an error, which it returns.
func (t *Tree) Walk(f func(path string, n *Node) error) error { return walk("/", t.root, f) }

func walk(path string, n *Node, f func(path string, n *Node) error) error {
	if err := f(path, n); err != nil {
		return err
	}
	if path != "/" {
		path += "/"
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if err := walk(path+name, n.children[name], f); err != nil {
			return err
		}
	}
	return nil
}
