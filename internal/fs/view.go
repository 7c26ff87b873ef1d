package fs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// View shows a file system to code that would tidy it up: reading works, and every change is accepted and does not happen. What was changed reads
// as before. A new file is empty and forgotten when it is closed.
func View(under FS) FS { return view{under} }

type view struct{ under FS }

func (v view) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := v.under.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0 {
		return nothing{name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	return viewFile{f}, nil
}

func (v view) MkdirAll(string, fs.FileMode) error { return nil }

// ReadDir takes a directory that is missing for one that was made in the view.
func (v view) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := v.under.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return list, err
}

func (v view) Stat(name string) (fs.FileInfo, error) { return v.under.Stat(name) }
func (v view) Rename(string, string) error           { return nil }
func (v view) Remove(string) error                   { return nil }
func (v view) RemoveAll(string) error                { return nil }
func (v view) Chtimes(string, time.Time) error       { return nil }
func (v view) SyncDir(string) error                  { return nil }

// Lock takes the lock of a file that is there, so that its owner does not change what is looked at. A directory that may only be read has no owner at
// work.
func (v view) Lock(name string) (io.Closer, error) {
	if _, err := v.under.Stat(name); err != nil {
		return nothing{}, nil
	}
	l, err := v.under.Lock(name)
	if errors.Is(err, fs.ErrPermission) {
		return nothing{}, nil
	}
	return l, err
}

type viewFile struct{ File }

func (viewFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (viewFile) Truncate(int64) error                   { return nil }
func (viewFile) Sync() error                            { return nil }
func (viewFile) Datasync() error                        { return nil }
func (viewFile) Preallocate(int64) error                { return nil }
func (viewFile) WriteVAt(bufs [][]byte, _ int64) (n int64, err error) {
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n, nil
}

// nothing is a file that was made in a view, and a lock on one.
type nothing struct {
	viewFile
	name string
}

func (n nothing) Name() string                      { return n.name }
func (n nothing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (n nothing) Close() error                      { return nil }
func (n nothing) Stat() (fs.FileInfo, error)        { return n, nil }
func (n nothing) OS() *os.File                      { return nil }
func (n nothing) Size() int64                       { return 0 }
func (n nothing) Mode() fs.FileMode                 { return 0o644 }
func (n nothing) ModTime() time.Time                { return time.Time{} }
func (n nothing) IsDir() bool                       { return false }
func (n nothing) Sys() any                          { return nil }
