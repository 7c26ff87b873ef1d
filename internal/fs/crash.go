package fs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrPowerCut is what every operation on a Crash returns from the cut on.
var ErrPowerCut = errors.New("power cut")

// Loss says what a power cut does to everything that was not synced.
type Loss int

const (
	// LoseAll loses all of it: what is left is exactly what was synced.
	LoseAll Loss = iota
	// Tear decides by the seed for each 512-byte sector of each write, each change of size and each change of a name,
	// in any combination: a later write may survive an earlier one, and a sector may be half written.
	Tear
	// KeepAll loses nothing: the process died, the machine did not.
	KeepAll
)

// String names the loss for test output.
func (l Loss) String() string { return [...]string{"lose-all", "tear", "keep-all"}[l] }

// Losses is every kind of Loss, for tests that try them all.
var Losses = []Loss{LoseAll, Tear, KeepAll}

// TraceEntry is one operation of a Crash that changed something or made a change durable.
type TraceEntry struct {
	N    int // the operation's number, from 1: what CutAt takes
	Op   Op
	Name string // absolute, cleaned, with slashes
	Off  int64  // of a write; the new size of a truncate or preallocate
	Len  int64  // bytes of a write
}

func (e TraceEntry) String() string {
	switch e.Op {
	case OpWrite:
		return fmt.Sprintf("%d %s %s @%d +%d", e.N, e.Op, e.Name, e.Off, e.Len)
	case OpTruncate, OpPreallocate:
		return fmt.Sprintf("%d %s %s %d", e.N, e.Op, e.Name, e.Off)
	}
	return fmt.Sprintf("%d %s %s", e.N, e.Op, e.Name)
}

// Crash is an FS in memory that can lose its power. It keeps for every file and directory what is there and what is durable;
// Survivor builds the file system that the next start would find. It is stricter than Linux file systems are: syncing a
// new file does not make its name durable, and no order holds between two unsynced changes.
//
//	c := fs.NewCrash()
//	c.CutAt(7)                       // the 7th change fails half way, and everything after it
//	run(c)                           // until it sees ErrPowerCut
//	check(c.Survivor(fs.Tear, seed))
//
// With one goroutine changing files, the same program sees the same operation numbers, and a seed gives the same survivor.
// Safe for concurrent use. Relative names are taken from "/".
type Crash struct {
	// Now stamps modification times; set it before use. NewCrash sets time.Now.
	Now func() time.Time

	mu    sync.Mutex
	root  *node
	names []nameChange // not yet durable, oldest first
	locks map[string]bool
	ops   int
	cutAt int
	off   bool
	trace []TraceEntry
}

// node is a file or a directory, known under as many names as directories list it.
type node struct {
	content                   // of a file
	dir      bool             //
	live     map[string]*node // of a directory
	durable  map[string]*node
	mode     fs.FileMode
	modified time.Time
}

// nameChange is one change of names, atomic at a power cut. It is durable once home is synced.
type nameChange struct {
	home  *node
	edits []nameEdit
}

// nameEdit sets name in dir to n, or, if gone, removes it as long as it still means n.
type nameEdit struct {
	dir  *node
	name string
	n    *node
	gone bool
}

func (e nameEdit) apply(names map[string]*node) {
	if !e.gone {
		names[e.name] = e.n
	} else if names[e.name] == e.n {
		delete(names, e.name)
	}
}

// NewCrash returns an empty file system with its power on.
func NewCrash() *Crash {
	return &Crash{Now: time.Now, root: newDir(0o755, time.Time{}), locks: map[string]bool{}}
}

func newDir(mode fs.FileMode, at time.Time) *node {
	return &node{dir: true, live: map[string]*node{}, durable: map[string]*node{}, mode: mode.Perm(), modified: at}
}

// CutAt cuts the power in the n-th operation of AnyChange, counted from 1 since NewCrash or Survivor. That operation returns
// ErrPowerCut and counts as begun: a write may or may not be on disk, a sync may have got anywhere. 0 means never.
func (c *Crash) CutAt(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutAt = n
}

// Cut cuts the power now.
func (c *Crash) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
}

// Off reports whether the power has been cut.
func (c *Crash) Off() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off
}

// Ops is how many operations of AnyChange were begun.
func (c *Crash) Ops() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ops
}

// Trace lists the operations so far.
func (c *Crash) Trace() []TraceEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.trace)
}

// Persist makes everything durable, for the setup of a test.
func (c *Crash) Persist() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.names) > 0 {
		c.syncDirLocked(c.names[0].home)
	}
	c.walkLocked(c.root, map[*node]bool{}, func(n *node) { n.sync() })
}

// walkLocked calls fn with each node that is reachable by a live or a durable name.
func (c *Crash) walkLocked(n *node, seen map[*node]bool, fn func(*node)) {
	if seen[n] {
		return
	}
	seen[n] = true
	fn(n)
	for _, names := range []map[string]*node{n.live, n.durable} {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			c.walkLocked(names[name], seen, fn)
		}
	}
}

// Survivor returns the file system as it is found after a power cut at this moment: a copy, with its power on, no locks, and
// everything in it durable. c is not changed, so that several losses and seeds can be tried on one cut.
func (c *Crash) Survivor(loss Loss, seed uint64) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	rnd := rand.New(rand.NewPCG(seed, 0x6f74746c61))
	keep := func() bool { return false }
	switch loss {
	case KeepAll:
		keep = func() bool { return true }
	case Tear:
		// One cut may lose nearly everything and another nearly nothing.
		p := rnd.Float64()
		keep = func() bool { return rnd.Float64() < p }
	}
	names := map[*node]map[string]*node{}
	c.walkLocked(c.root, map[*node]bool{}, func(n *node) {
		if n.dir {
			names[n] = maps.Clone(n.durable)
		}
	})
	for _, ch := range c.names {
		if !keep() {
			continue
		}
		for _, e := range ch.edits {
			if names[e.dir] == nil {
				names[e.dir] = maps.Clone(e.dir.durable)
			}
			e.apply(names[e.dir])
		}
	}
	s := NewCrash()
	s.Now = c.Now
	done := map[*node]*node{}
	var build func(n *node) *node
	build = func(n *node) *node {
		if d := done[n]; d != nil {
			return d
		}
		if !n.dir {
			done[n] = &node{content: n.survivor(loss, rnd, keep), mode: n.mode, modified: n.modified}
			return done[n]
		}
		d := newDir(n.mode, n.modified)
		done[n] = d
		for _, name := range slices.Sorted(maps.Keys(names[n])) {
			child := build(names[n][name])
			d.live[name], d.durable[name] = child, child
		}
		return d
	}
	s.root = build(c.root)
	return s
}

// beginLocked counts and records an operation. cut means: the power goes while it runs.
func (c *Crash) beginLocked(op Op, name string, off, n int64) (cut bool) {
	c.ops++
	c.trace = append(c.trace, TraceEntry{N: c.ops, Op: op, Name: name, Off: off, Len: n})
	if c.ops == c.cutAt {
		c.off = true
	}
	return c.off
}

// clean returns name as an absolute slash path.
func clean(name string) string {
	name = filepath.ToSlash(strings.TrimPrefix(name, filepath.VolumeName(name)))
	return path.Clean("/" + name)
}

// findLocked returns the node called name, which is clean.
func (c *Crash) findLocked(name string) (*node, error) {
	n := c.root
	for _, part := range strings.Split(strings.Trim(name, "/"), "/") {
		if part == "" {
			continue
		}
		if !n.dir {
			return nil, errNotDir
		}
		if n = n.live[part]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

var (
	errNotDir   = errors.New("not a directory")
	errIsDir    = errors.New("is a directory")
	errNotEmpty = errors.New("directory not empty")
)

// parentLocked returns the directory that holds name, and the last part of the name.
func (c *Crash) parentLocked(name string) (*node, string, error) {
	dir, base := path.Split(name)
	if base == "" {
		return nil, "", fs.ErrInvalid
	}
	p, err := c.findLocked(path.Clean(dir))
	if err == nil && !p.dir {
		err = errNotDir
	}
	return p, base, err
}

// changeLocked makes a change of names visible; home's next sync makes it durable.
func (c *Crash) changeLocked(home *node, edits ...nameEdit) {
	for _, e := range edits {
		e.apply(e.dir.live)
		e.dir.modified = c.Now()
	}
	c.names = append(c.names, nameChange{home, edits})
}

func (c *Crash) syncDirLocked(dir *node) {
	c.names = slices.DeleteFunc(c.names, func(ch nameChange) bool {
		if ch.home != dir {
			return false
		}
		for _, e := range ch.edits {
			e.apply(e.dir.durable)
		}
		return true
	})
}

func pathErr(op Op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op.String(), Path: name, Err: err}
}

// OpenFile implements FS.
func (c *Crash) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.openLocked(clean(name), name, flag, perm)
	if err != nil {
		return nil, pathErr(OpOpen, name, err)
	}
	return f, nil
}

func (c *Crash) openLocked(name, as string, flag int, perm fs.FileMode) (*crashFile, error) {
	if c.off {
		return nil, ErrPowerCut
	}
	if flag&os.O_APPEND != 0 {
		return nil, fmt.Errorf("O_APPEND: %w", fs.ErrInvalid)
	}
	n, err := c.findLocked(name)
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, fs.ErrExist
	case err == nil && n.dir:
		return nil, errIsDir
	case err == nil && flag&os.O_TRUNC != 0 && n.now.size > 0:
		cut := c.beginLocked(OpTruncate, name, 0, 0)
		n.truncate(0)
		n.modified = c.Now()
		if cut {
			return nil, ErrPowerCut
		}
	case errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0:
		dir, base, err := c.parentLocked(name)
		if err != nil {
			return nil, err
		}
		cut := c.beginLocked(OpCreate, name, 0, 0)
		n = &node{mode: perm.Perm(), modified: c.Now()}
		c.changeLocked(dir, nameEdit{dir: dir, name: base, n: n})
		if cut {
			return nil, ErrPowerCut
		}
	case err != nil:
		return nil, err
	}
	return &crashFile{c: c, n: n, path: name, name: as, writable: flag&(os.O_WRONLY|os.O_RDWR) != 0, readable: flag&os.O_WRONLY == 0}, nil
}

// MkdirAll implements FS. Each directory made is a change of its own, but all of them count as one operation.
func (c *Crash) MkdirAll(name string, perm fs.FileMode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return pathErr(OpMkdir, name, ErrPowerCut)
	}
	n, begun, cut := c.root, false, false
	for _, part := range strings.Split(strings.Trim(clean(name), "/"), "/") {
		if part == "" {
			continue
		}
		next := n.live[part]
		if next == nil {
			if !begun {
				begun, cut = true, c.beginLocked(OpMkdir, clean(name), 0, 0)
			}
			next = newDir(perm, c.Now())
			c.changeLocked(n, nameEdit{dir: n, name: part, n: next})
		}
		if !next.dir {
			return pathErr(OpMkdir, name, errNotDir)
		}
		n = next
	}
	if cut {
		return pathErr(OpMkdir, name, ErrPowerCut)
	}
	return nil
}

// ReadDir implements FS.
func (c *Crash) ReadDir(name string) ([]fs.DirEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.readLocked(name)
	if err == nil && !n.dir {
		err = errNotDir
	}
	if err != nil {
		return nil, pathErr(OpReadDir, name, err)
	}
	var list []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.live)) {
		list = append(list, fs.FileInfoToDirEntry(n.live[base].info(base)))
	}
	return list, nil
}

// Stat implements FS.
func (c *Crash) Stat(name string) (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.readLocked(name)
	if err != nil {
		return nil, pathErr(OpStat, name, err)
	}
	return n.info(path.Base(clean(name))), nil
}

func (c *Crash) readLocked(name string) (*node, error) {
	if c.off {
		return nil, ErrPowerCut
	}
	return c.findLocked(clean(name))
}

// Rename implements FS. Between two directories it is durable once the new one is synced.
func (c *Crash) Rename(oldname, newname string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pathErr(OpRename, newname, c.renameLocked(clean(oldname), clean(newname)))
}

func (c *Crash) renameLocked(oldname, newname string) error {
	if c.off {
		return ErrPowerCut
	}
	n, err := c.findLocked(oldname)
	if err != nil {
		return err
	}
	from, fromBase, err := c.parentLocked(oldname)
	if err != nil {
		return err
	}
	to, toBase, err := c.parentLocked(newname)
	if err != nil {
		return err
	}
	if n.dir && strings.HasPrefix(newname, oldname+"/") {
		return fs.ErrInvalid
	}
	if old := to.live[toBase]; old != nil && old != n {
		switch {
		case old.dir && !n.dir:
			return errIsDir
		case n.dir && !old.dir:
			return errNotDir
		case old.dir && len(old.live) > 0:
			return errNotEmpty
		}
	}
	cut := c.beginLocked(OpRename, newname, 0, 0)
	if oldname != newname {
		c.changeLocked(to, nameEdit{dir: from, name: fromBase, n: n, gone: true}, nameEdit{dir: to, name: toBase, n: n})
	}
	if cut {
		return ErrPowerCut
	}
	return nil
}

// Remove implements FS.
func (c *Crash) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return pathErr(OpRemove, name, ErrPowerCut)
	}
	n, err := c.findLocked(clean(name))
	if err == nil && n.dir && len(n.live) > 0 {
		err = errNotEmpty
	}
	if err == nil {
		err = c.removeLocked(clean(name), n)
	}
	return pathErr(OpRemove, name, err)
}

// RemoveAll implements FS. It counts as one operation, in which the power may go between any two names.
func (c *Crash) RemoveAll(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return pathErr(OpRemove, name, ErrPowerCut)
	}
	n, err := c.findLocked(clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = c.removeLocked(clean(name), n)
	}
	return pathErr(OpRemove, name, err)
}

func (c *Crash) removeLocked(name string, n *node) error {
	dir, base, err := c.parentLocked(name)
	if err != nil {
		return err
	}
	cut := c.beginLocked(OpRemove, name, 0, 0)
	c.unlinkLocked(dir, base, n)
	if cut {
		return ErrPowerCut
	}
	return nil
}

func (c *Crash) unlinkLocked(dir *node, base string, n *node) {
	for _, child := range slices.Sorted(maps.Keys(n.live)) {
		c.unlinkLocked(n, child, n.live[child])
	}
	c.changeLocked(dir, nameEdit{dir: dir, name: base, n: n, gone: true})
}

// Chtimes implements FS. It is not counted, and a power cut does not take it back.
func (c *Crash) Chtimes(name string, modified time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.readLocked(name)
	if err != nil {
		return pathErr(OpStat, name, err)
	}
	n.modified = modified
	return nil
}

// SyncDir implements FS.
func (c *Crash) SyncDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.readLocked(name)
	if err == nil && !n.dir {
		err = errNotDir
	}
	if err == nil && c.beginLocked(OpSyncDir, clean(name), 0, 0) {
		err = ErrPowerCut
	}
	if err != nil {
		return pathErr(OpSyncDir, name, err)
	}
	c.syncDirLocked(n)
	return nil
}

// Lock implements FS. A power cut releases all locks.
func (c *Crash) Lock(name string) (io.Closer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	abs := clean(name)
	if c.locks[abs] {
		return nil, pathErr(OpLock, name, ErrLocked)
	}
	if _, err := c.openLocked(abs, name, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, pathErr(OpLock, name, err)
	}
	c.locks[abs] = true
	return &crashLock{c, abs}, nil
}

type crashLock struct {
	c    *Crash
	name string
}

func (l *crashLock) Close() error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if !l.c.locks[l.name] {
		return os.ErrClosed
	}
	delete(l.c.locks, l.name)
	return nil
}
