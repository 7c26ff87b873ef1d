package znode

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/go-zookeeper/zk"
)

// Get reads a node's data: nil for null data, empty and not nil for empty data. ErrNoNode if there is none: then no watch is
// set, see Exists.
func (s *Session) Get(ctx context.Context, path string) (data []byte, stat Stat, err error) {
	w := watch{s.path(path), false}
	_, err = s.do(ctx, func(conn *zk.Conn) error {
		set, before := s.arm(w)
		var st *zk.Stat
		var err error
		if set {
			data, st, _, err = conn.GetW(w.path)
		} else {
			data, st, err = conn.Get(w.path)
		}
		if err != nil {
			return err
		}
		stat = *st
		if set {
			s.didArm(w, before)
		}
		return nil
	})
	if err != nil {
		return nil, Stat{}, pathError("read", path, err)
	}
	return data, stat, nil
}

// Exists says whether there is a node. Also of a missing one it sets the watch, which its creation fires.
func (s *Session) Exists(ctx context.Context, path string) (stat Stat, exists bool, err error) {
	w := watch{s.path(path), false}
	_, err = s.do(ctx, func(conn *zk.Conn) error {
		set, before := s.arm(w)
		var st *zk.Stat
		var err error
		if set {
			exists, st, _, err = conn.ExistsW(w.path)
		} else {
			exists, st, err = conn.Exists(w.path)
		}
		if err != nil {
			return err
		}
		if exists {
			stat = *st
		}
		if set {
			s.didArm(w, before)
		}
		return nil
	})
	return stat, exists, pathError("look for", path, err)
}

// Children lists the names of a node's children, in no particular order.
func (s *Session) Children(ctx context.Context, path string) (names []string, err error) {
	w := watch{s.path(path), true}
	_, err = s.do(ctx, func(conn *zk.Conn) error {
		set, before := s.arm(w)
		var err error
		if set {
			names, _, _, err = conn.ChildrenW(w.path)
		} else {
			names, _, err = conn.Children(w.path)
		}
		if err == nil && set {
			s.didArm(w, before)
		}
		return err
	})
	if err != nil {
		return nil, pathError("list", path, err)
	}
	return names, nil
}

// Read is one result of GetAll.
type Read struct {
	Data []byte
	Stat Stat
	Err  error // ErrNoNode and others about this node
}

// GetAll reads many nodes, many at a time. The error is one that ended it early: of the session, or of ctx.
func (s *Session) GetAll(ctx context.Context, paths []string) ([]Read, error) {
	reads := make([]Read, len(paths))
	return reads, s.each(ctx, len(paths), func(i int) error {
		r := &reads[i]
		r.Data, r.Stat, r.Err = s.Get(ctx, paths[i])
		return r.Err
	})
}

// each runs f for 0 to n-1, MaxInFlight at a time, until the session or ctx ends.
func (s *Session) each(ctx context.Context, n int, f func(int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ended error
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == n || ended != nil {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range min(n, s.client.cfg.MaxInFlight) {
		wg.Go(func() {
			for {
				i, ok := take()
				if !ok {
					return
				}
				if err := f(i); err != nil && s.isOver(ctx, err) {
					mu.Lock()
					ended = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return ended
}

// isOver says whether err means that further calls cannot work either.
func (s *Session) isOver(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrSessionExpired) || errors.Is(err, ErrClosed)
}

// Op is one write.
type Op struct {
	kind    opKind
	Path    string
	Data    []byte
	Version int32 // expected version for set and delete, -1 for any
	flags   int32
}

type opKind uint8

const (
	opCreate opKind = iota
	opSet
	opDelete
)

// Create makes a persistent node. nil data is null data.
func Create(path string, data []byte) Op { return Op{kind: opCreate, Path: path, Data: data} }

// CreateEphemeral makes a node that lives as long as the session.
func CreateEphemeral(path string, data []byte) Op {
	return Op{kind: opCreate, Path: path, Data: data, flags: zk.FlagEphemeral}
}

// CreateSequential makes a persistent node whose name the server completes with a number of ten digits.
func CreateSequential(prefix string, data []byte) Op {
	return Op{kind: opCreate, Path: prefix, Data: data, flags: zk.FlagSequence}
}

// Set replaces a node's data if it has the version; -1 for any.
func Set(path string, data []byte, version int32) Op {
	return Op{kind: opSet, Path: path, Data: data, Version: version}
}

// Delete removes a node without children if it has the version; -1 for any.
func Delete(path string, version int32) Op { return Op{kind: opDelete, Path: path, Version: version} }

func (op Op) String() string { return [...]string{"create", "set", "delete"}[op.kind] }

// Fence binds writes to a node's version: they fail with ErrFenced once it has changed. The zero value binds to nothing.
type Fence struct {
	Path    string
	Version int32
}

// Written is what a write did.
type Written struct {
	Path string // of the node, with the number of a sequential one
	Stat Stat   // of Set only
	Err  error  // set in results of Batch
}

// Write carries out op under the fence, sent as one request each, so that it happens wholly or not at all.
func (s *Session) Write(ctx context.Context, fence Fence, op Op) (Written, error) {
	if len(op.Data)+len(op.Path)+len(fence.Path)+2*len(s.client.cfg.Chroot) > requestBytesMax-1024 {
		return Written{}, pathError(op.String(), op.Path, ErrTooLarge)
	}
	w := Written{Path: op.Path}
	lost, err := s.do(ctx, func(conn *zk.Conn) error {
		if fence.Path != "" {
			return s.fenced(conn, fence, op, &w)
		}
		return s.plain(conn, op, &w)
	})
	if err != nil && lost {
		err = s.recheck(ctx, op, &w, err)
	}
	return w, pathError(op.String(), op.Path, err)
}

// Batch carries out many independent writes under one fence, each a request of its own, many at a time and in no order. The
// error is one that ended it early, then results may be missing: of the session, of ctx, or ErrFenced.
func (s *Session) Batch(ctx context.Context, fence Fence, ops []Op) ([]Written, error) {
	results := make([]Written, len(ops))
	var fenced error
	var mu sync.Mutex
	err := s.each(ctx, len(ops), func(i int) error {
		w, err := s.Write(ctx, fence, ops[i])
		w.Err = err
		results[i] = w
		if errors.Is(err, ErrFenced) {
			mu.Lock()
			fenced = err
			mu.Unlock()
		}
		return err
	})
	if err == nil {
		err = fenced
	}
	return results, err
}

func (s *Session) plain(conn *zk.Conn, op Op, w *Written) error {
	switch op.kind {
	case opCreate:
		made, err := conn.Create(s.path(op.Path), op.Data, op.flags, s.client.acl(op.Path))
		if err == nil {
			w.Path = s.strip(made)
		}
		return err
	case opSet:
		st, err := conn.Set(s.path(op.Path), op.Data, op.Version)
		if err == nil {
			w.Stat = *st
		}
		return err
	default:
		return conn.Delete(s.path(op.Path), op.Version)
	}
}

// fenced sends multi[check, op]. The check's own result tells the two failures apart.
func (s *Session) fenced(conn *zk.Conn, fence Fence, op Op, w *Written) error {
	results, err := conn.Multi(&zk.CheckVersionRequest{Path: s.path(fence.Path), Version: fence.Version}, s.request(op))
	if len(results) == 2 {
		if results[0].Error != nil {
			return ErrFenced
		}
		if results[1].Stat != nil {
			w.Stat = *results[1].Stat
		}
		if err == nil && op.kind == opCreate {
			w.Path = s.strip(results[1].String)
		}
	}
	return err
}

func (s *Session) request(op Op) any {
	switch op.kind {
	case opCreate:
		return &zk.CreateRequest{Path: s.path(op.Path), Data: op.Data, Acl: s.client.acl(op.Path), Flags: op.flags}
	case opSet:
		return &zk.SetDataRequest{Path: s.path(op.Path), Data: op.Data, Version: op.Version}
	default:
		return &zk.DeleteRequest{Path: s.path(op.Path), Version: op.Version}
	}
}

// recheck judges the failure of a write that was sent again after a lost reply: if the node is as the write leaves it, the
// first attempt succeeded.
func (s *Session) recheck(ctx context.Context, op Op, w *Written, failed error) error {
	switch {
	case op.kind == opDelete && errors.Is(failed, ErrNoNode):
		return nil
	case op.kind == opCreate && errors.Is(failed, ErrNodeExists) && op.flags&zk.FlagSequence == 0:
		data, stat, err := s.Get(ctx, op.Path)
		if err == nil && bytes.Equal(data, op.Data) && (op.flags&zk.FlagEphemeral == 0 || stat.EphemeralOwner == s.id) {
			return nil
		}
	case op.kind == opSet && op.Version >= 0 && errors.Is(failed, ErrBadVersion):
		data, stat, err := s.Get(ctx, op.Path)
		if err == nil && bytes.Equal(data, op.Data) && stat.Version == op.Version+1 {
			w.Stat = stat
			return nil
		}
	}
	return failed
}

func (s *Session) path(p string) string {
	if s.client.cfg.Chroot == "" {
		return p
	}
	if p == "/" {
		return s.client.cfg.Chroot
	}
	return s.client.cfg.Chroot + p
}

func (s *Session) strip(p string) string { return p[min(len(s.client.cfg.Chroot), len(p)):] }
