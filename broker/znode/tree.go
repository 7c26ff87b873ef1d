package znode

import (
	"context"
	"errors"
)

// CreateAll makes a persistent node, and the missing ones above it with null data. made is false if it was there, whatever
// its data.
func (s *Session) CreateAll(ctx context.Context, path string, data []byte) (made bool, err error) {
	_, err = s.Write(ctx, Fence{}, Create(path, data))
	if errors.Is(err, ErrNoNode) && parent(path) != "/" {
		if _, err := s.CreateAll(ctx, parent(path), nil); err != nil {
			return false, err
		}
		_, err = s.Write(ctx, Fence{}, Create(path, data))
	}
	if errors.Is(err, ErrNodeExists) {
		return false, nil
	}
	return err == nil, err
}

// MakePersistentPaths makes the nodes that every broker expects.
func (s *Session) MakePersistentPaths(ctx context.Context) error {
	for _, p := range persistentPaths {
		if _, err := s.CreateAll(ctx, p, nil); err != nil {
			return err
		}
	}
	return nil
}

// DeleteAll removes a node and all below it, deepest first, many at a time. Nodes that vanish meanwhile are fine; if some
// appear, it starts over.
func (s *Session) DeleteAll(ctx context.Context, fence Fence, path string) error {
	for range 10 {
		levels, err := s.levels(ctx, path)
		if err != nil {
			return err
		}
		again := false
		for i := len(levels) - 1; i >= 0; i-- {
			ops := make([]Op, len(levels[i]))
			for j, p := range levels[i] {
				ops[j] = Delete(p, -1)
			}
			results, err := s.Batch(ctx, fence, ops)
			if err != nil {
				return err
			}
			for _, r := range results {
				switch {
				case errors.Is(r.Err, ErrNotEmpty):
					again = true
				case r.Err != nil && !errors.Is(r.Err, ErrNoNode):
					return r.Err
				}
			}
		}
		if !again {
			return nil
		}
	}
	return pathError("delete", path, ErrNotEmpty)
}

// levels lists path, its children, their children and so on. Nothing for a missing node.
func (s *Session) levels(ctx context.Context, path string) ([][]string, error) {
	var levels [][]string
	for level := []string{path}; len(level) > 0; {
		children := make([][]string, len(level))
		missing := make([]bool, len(level))
		errs := make([]error, len(level))
		err := s.each(ctx, len(level), func(i int) error {
			names, err := s.Children(ctx, level[i])
			if missing[i] = errors.Is(err, ErrNoNode); missing[i] {
				return nil
			}
			children[i], errs[i] = names, err
			return err
		})
		if err = errors.Join(append(errs, err)...); err != nil {
			return nil, err
		}
		var found, next []string
		for i, p := range level {
			if missing[i] {
				continue
			}
			found = append(found, p)
			for _, name := range children[i] {
				next = append(next, p+"/"+name)
			}
		}
		levels = append(levels, found)
		level = next
	}
	return levels, nil
}
