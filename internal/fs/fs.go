// Package fs is the seam between the servers and the files they own.
//
// Everything that must outlive a crash goes through an FS: the coordinator's write-ahead log and the broker's log
// directories. There are three implementations: OS (this package: the real one), Faulty (errors and stalls by rule, over
// any other) and Crash (in memory; drops or tears whatever was not synced when the power is cut). The code above cannot
// tell them apart, so a power cut at any operation can be tried in a unit test.
//
// bbolt maps its own file and stays outside this seam.
//
// # What is durable when
//
//	File.WriteAt, WriteVAt, Truncate   nothing, until Sync or Datasync of that file returns nil
//	File.Datasync                      the bytes written, and a size large enough to read them
//	FS.OpenFile that creates, Mkdir,
//	Rename, Remove                     nothing, until SyncDir of the parent returns nil
//
// A failed Sync or Datasync leaves the file in an unknown state: the kernel may have dropped the dirty pages and will
// report success next time. Callers never sync that file again; they stop, or take its directory offline.
package fs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// ErrLocked is returned by FS.Lock when another process, or another holder in this one, has the lock.
var ErrLocked = errors.New("file is locked by another process")

// FS opens and names files. Names are operating system paths. Safe for concurrent use.
type FS interface {
	// OpenFile opens name with the flags of os.OpenFile. O_APPEND is not allowed: writes name their position.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// MkdirAll makes the directory and its missing parents.
	MkdirAll(name string, perm fs.FileMode) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// Rename replaces newname if it exists; atomic on one file system.
	Rename(oldname, newname string) error
	Remove(name string) error
	RemoveAll(name string) error
	// Chtimes sets when a file counts as last written. It is no change that must last: a power cut may take it back.
	Chtimes(name string, modified time.Time) error
	// SyncDir makes earlier creations, renames and removals in the directory durable.
	SyncDir(name string) error
	// Lock creates name if missing and takes an exclusive lock on it without waiting: ErrLocked if it is held.
	// The lock excludes a JVM's FileChannel.tryLock on the same file, and other holders in this process.
	// Closing the result releases it; so does the end of the process.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt and WriteAt may be called from many goroutines at once, as on an os.File.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	// Sync makes data and metadata durable.
	Sync() error
	// Datasync makes data durable, and as much metadata as reading it back needs.
	Datasync() error
	// WriteVAt writes the buffers one after the other from off on, in as few system calls as the platform allows.
	// The buffers are not kept or changed. n < the total length implies an error, as for io.WriterAt.
	WriteVAt(bufs [][]byte, off int64) (n int64, err error)
	// Preallocate reserves space for size bytes from the start and extends the file to it with zeros if it is shorter.
	// Where the file system cannot reserve, the file is only extended.
	Preallocate(size int64) error
	// OS is the operating system's file for sendfile, or nil if there is none behind this File. Callers must not
	// close it nor keep it beyond Close.
	OS() *os.File
}

// ReadFile reads the whole file. The caller owns the result. A file that is larger than max bytes is an error, so that a
// damaged directory cannot make the caller allocate without bound.
func ReadFile(fsys FS, name string, max int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > max {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("file is larger than expected")}
	}
	b := make([]byte, st.Size())
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// WriteFileAtomic replaces name with data so that a crash leaves the old content or the new, never a mix: write name+".tmp",
// sync it, rename it over name, sync the directory dir (the parent of name).
func WriteFileAtomic(fsys FS, dir, name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := fsys.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
