package fs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osFS) Rename(oldname, newname string) error         { return os.Rename(oldname, newname) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                  { return os.RemoveAll(name) }
func (osFS) Chtimes(name string, t time.Time) error       { return os.Chtimes(name, time.Time{}, t) }
func (osFS) SyncDir(name string) error                    { return syncDir(name) }

// held names the files locked by this process: record locks of POSIX exclude only other processes.
var held struct {
	sync.Mutex
	names map[string]bool
}

func (osFS) Lock(name string) (io.Closer, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	held.Lock()
	defer held.Unlock()
	if held.names[abs] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	// Opened only once nobody here holds it: closing any descriptor of the file drops a POSIX lock.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	if held.names == nil {
		held.names = map[string]bool{}
	}
	held.names[abs] = true
	return &osLock{f, abs}, nil
}

type osLock struct {
	f   *os.File
	abs string
}

func (l *osLock) Close() error {
	held.Lock()
	defer held.Unlock()
	if !held.names[l.abs] {
		return os.ErrClosed
	}
	delete(held.names, l.abs)
	return l.f.Close()
}

type osFile struct{ *os.File }

func (f *osFile) OS() *os.File { return f.File }

// writeVSerial is WriteVAt for platforms without pwritev.
func writeVSerial(f io.WriterAt, bufs [][]byte, off int64) (n int64, err error) {
	for _, b := range bufs {
		w, err := f.WriteAt(b, off+n)
		n += int64(w)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// extend grows the file to size if it is shorter.
func extend(f *os.File, size int64) error {
	st, err := f.Stat()
	if err != nil || st.Size() >= size {
		return err
	}
	return f.Truncate(size)
}
