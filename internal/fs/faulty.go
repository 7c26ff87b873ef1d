package fs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Rule makes operations of a Faulty fail, fall short, wait or do nothing. The first rule that matches an operation decides.
type Rule struct {
	// Op is the kinds of operation that match; 0 is AnyChange.
	Op Op
	// Name is a pattern of filepath.Match for the last part of the name; "" matches every name. An operation on an open file
	// goes by the name under which it was opened, a rename by its new name.
	Name string
	// Under is a directory below which it must be; "" is everywhere.
	Under string
	// Skip lets that many matching operations pass first.
	Skip int
	// Times is how many operations are then hit; 0 is all.
	Times int

	// Err is returned instead of doing the operation, in an *fs.PathError.
	Err error
	// Short is how many bytes a write hit by Err still writes, or a read still reads.
	Short int64
	// Swallow reports success without doing the operation: a disk that lies about a sync.
	Swallow bool
	// Stall holds the operation back until it is closed; then Err and Swallow apply, or it is done.
	Stall <-chan struct{}
	// Gate is asked about each operation that is hit, and may block: Err, Short and Swallow of what it returns apply in place of the
	// rule's. So a test can let operations of many goroutines happen one at a time, in an order that it chooses.
	Gate func(op Op, name string) Rule
}

// Injected is a rule at work in a Faulty.
type Injected struct {
	f       *Faulty
	rule    Rule
	seen    int
	hits    int
	removed bool
}

// Hits is how many operations the rule has hit, those that it stalls included.
func (i *Injected) Hits() int {
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return i.hits
}

// Remove ends the rule. Operations that it stalls stay stalled.
func (i *Injected) Remove() {
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	i.removed = true
}

// Faulty is another FS with faults by rule. Without rules it only passes on. Safe for concurrent use.
type Faulty struct {
	under FS
	mu    sync.Mutex
	rules []*Injected
}

// NewFaulty returns under with room for rules.
func NewFaulty(under FS) *Faulty { return &Faulty{under: under} }

// Inject adds a rule behind those that are there.
func (f *Faulty) Inject(r Rule) *Injected {
	if r.Op == 0 {
		r.Op = AnyChange
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &Injected{f: f, rule: r}
	f.rules = append(f.rules, i)
	return i
}

// find counts the operation and returns the rule that hits it, or nil, once the rule lets it go on.
func (f *Faulty) find(op Op, name string) *Rule {
	r := f.match(op, name)
	if r == nil {
		return nil
	}
	if r.Stall != nil {
		<-r.Stall
	}
	if r.Gate != nil {
		asked := r.Gate(op, name)
		return &asked
	}
	return r
}

func (f *Faulty) match(op Op, name string) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.rules {
		r := &i.rule
		if i.removed || r.Op&op == 0 {
			continue
		}
		if r.Name != "" {
			if ok, _ := filepath.Match(r.Name, filepath.Base(name)); !ok {
				continue
			}
		}
		if rel, err := filepath.Rel(r.Under, name); r.Under != "" && (err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator))) {
			continue
		}
		i.seen++
		if i.seen <= r.Skip || r.Times > 0 && i.seen > r.Skip+r.Times {
			continue
		}
		i.hits++
		return r
	}
	return nil
}

// do runs fn unless a rule decides otherwise.
func (f *Faulty) do(op Op, name string, fn func() error) error {
	r := f.find(op, name)
	if r == nil {
		return fn()
	}
	if r.Err != nil {
		return pathErr(op, name, r.Err)
	}
	if r.Swallow {
		return nil
	}
	return fn()
}

// OpenFile implements FS. Swallow has no meaning here and is passed over.
func (f *Faulty) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	op := OpOpen
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	if r := f.find(op, name); r != nil {
		if r.Err != nil {
			return nil, pathErr(op, name, r.Err)
		}
	}
	file, err := f.under.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(name string, perm fs.FileMode) error {
	return f.do(OpMkdir, name, func() error { return f.under.MkdirAll(name, perm) })
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(name string) (list []fs.DirEntry, err error) {
	err = f.do(OpReadDir, name, func() (err error) { list, err = f.under.ReadDir(name); return err })
	return list, err
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (st fs.FileInfo, err error) {
	if r := f.find(OpStat, name); r != nil && r.Err != nil {
		return nil, pathErr(OpStat, name, r.Err)
	}
	return f.under.Stat(name)
}

// Rename implements FS.
func (f *Faulty) Rename(oldname, newname string) error {
	return f.do(OpRename, newname, func() error { return f.under.Rename(oldname, newname) })
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	return f.do(OpRemove, name, func() error { return f.under.Remove(name) })
}

// RemoveAll implements FS.
func (f *Faulty) RemoveAll(name string) error {
	return f.do(OpRemove, name, func() error { return f.under.RemoveAll(name) })
}

// Chtimes implements FS. It counts as OpStat.
func (f *Faulty) Chtimes(name string, modified time.Time) error {
	return f.do(OpStat, name, func() error { return f.under.Chtimes(name, modified) })
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	return f.do(OpSyncDir, name, func() error { return f.under.SyncDir(name) })
}

// Lock implements FS.
func (f *Faulty) Lock(name string) (io.Closer, error) {
	if r := f.find(OpLock, name); r != nil && r.Err != nil {
		return nil, pathErr(OpLock, name, r.Err)
	}
	return f.under.Lock(name)
}

// faultyFile is an open file of a Faulty.
type faultyFile struct {
	File
	f *Faulty
}

// OS hides the file behind, so that every read passes the rules.
func (f *faultyFile) OS() *os.File { return nil }

func (f *faultyFile) ReadAt(p []byte, off int64) (n int, err error) {
	r := f.f.find(OpRead, f.Name())
	if r == nil {
		return f.File.ReadAt(p, off)
	}
	if r.Err == nil {
		return f.File.ReadAt(p, off)
	}
	if short := min(r.Short, int64(len(p))); short > 0 {
		if n, err = f.File.ReadAt(p[:short], off); err != nil {
			return n, err
		}
	}
	return n, pathErr(OpRead, f.Name(), r.Err)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.write([][]byte{p}, off, func() (int64, error) { n, err := f.File.WriteAt(p, off); return int64(n), err })
	return int(n), err
}

func (f *faultyFile) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	return f.write(bufs, off, func() (int64, error) { return f.File.WriteVAt(bufs, off) })
}

func (f *faultyFile) write(bufs [][]byte, off int64, all func() (int64, error)) (n int64, err error) {
	r := f.f.find(OpWrite, f.Name())
	if r == nil {
		return all()
	}
	if r.Err == nil && !r.Swallow {
		return all()
	}
	if r.Err == nil {
		for _, b := range bufs {
			n += int64(len(b))
		}
		return n, nil
	}
	for _, b := range bufs {
		b = b[:min(int64(len(b)), r.Short-n)]
		w, err := f.File.WriteAt(b, off+n)
		n += int64(w)
		if err != nil {
			return n, err
		}
	}
	return n, pathErr(OpWrite, f.Name(), r.Err)
}

func (f *faultyFile) Truncate(size int64) error {
	return f.f.do(OpTruncate, f.Name(), func() error { return f.File.Truncate(size) })
}

func (f *faultyFile) Sync() error     { return f.f.do(OpSync, f.Name(), f.File.Sync) }
func (f *faultyFile) Datasync() error { return f.f.do(OpDatasync, f.Name(), f.File.Datasync) }

func (f *faultyFile) Preallocate(size int64) error {
	return f.f.do(OpPreallocate, f.Name(), func() error { return f.File.Preallocate(size) })
}
