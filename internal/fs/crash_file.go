package fs

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"time"
)

const (
	pageSize   = 4096
	sectorSize = 512
)

// image is the bytes of a file: pages that were never written are zeros.
type image struct {
	size  int64
	pages map[int64]*[pageSize]byte
}

func (m *image) readAt(p []byte, off int64) int {
	n := int(min(int64(len(p)), max(m.size-off, 0)))
	for done := 0; done < n; {
		at := off + int64(done)
		part := p[done:min(n, done+pageSize-int(at%pageSize))]
		if pg := m.pages[at/pageSize]; pg != nil {
			copy(part, pg[at%pageSize:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return n
}

func (m *image) writeAt(p []byte, off int64) {
	m.size = max(m.size, off+int64(len(p)))
	if m.pages == nil {
		m.pages = map[int64]*[pageSize]byte{}
	}
	for len(p) > 0 {
		pg := m.pages[off/pageSize]
		if pg == nil {
			pg = new([pageSize]byte)
			m.pages[off/pageSize] = pg
		}
		n := copy(pg[off%pageSize:], p)
		p, off = p[n:], off+int64(n)
	}
}

func (m *image) truncate(size int64) {
	if size < m.size {
		for i := range m.pages {
			if i*pageSize >= size {
				delete(m.pages, i)
			}
		}
		if pg := m.pages[size/pageSize]; pg != nil {
			clear(pg[size%pageSize:])
		}
	}
	m.size = size
}

func (m *image) clone() image {
	c := image{size: m.size, pages: make(map[int64]*[pageSize]byte, len(m.pages))}
	for i, pg := range m.pages {
		cp := *pg
		c.pages[i] = &cp
	}
	return c
}

// content is a file's bytes as they are, as they are durable, and the changes that lead from the second to the first.
type content struct {
	now     image
	durable image
	pending []contentChange
}

// contentChange is a write of data at off, or with data nil a change of the size to off.
type contentChange struct {
	off  int64
	data []byte
}

func (c *content) writeAt(p []byte, off int64) {
	if len(p) > 0 {
		c.now.writeAt(p, off)
		c.pending = append(c.pending, contentChange{off, append([]byte(nil), p...)})
	}
}

func (c *content) truncate(size int64) {
	c.now.truncate(size)
	c.pending = append(c.pending, contentChange{off: size})
}

func (c *content) sync() {
	for _, ch := range c.pending {
		if ch.data == nil {
			c.durable.truncate(ch.off)
		} else {
			c.durable.writeAt(ch.data, ch.off)
		}
	}
	c.pending = nil
}

// survivor returns what a power cut leaves. keep is asked once for each sector and each change of size.
func (c *content) survivor(loss Loss, rnd *rand.Rand, keep func() bool) content {
	m := c.durable.clone()
	for _, ch := range c.pending {
		if ch.data == nil {
			if keep() {
				m.truncate(ch.off)
			}
			continue
		}
		// The size is its own piece of metadata: it may grow over data that never arrived, which then reads as zeros.
		end := ch.off + int64(len(ch.data))
		if end > m.size && keep() {
			m.truncate(end)
		}
		for off, data := ch.off, ch.data; len(data) > 0; {
			n := min(len(data), sectorSize-int(off%sectorSize))
			if part := data[:n]; keep() {
				if loss == Tear && rnd.IntN(8) == 0 {
					part = part[:rnd.IntN(n)+1]
				}
				m.writeAt(part, off)
			}
			data, off = data[n:], off+int64(n)
		}
	}
	return content{now: m.clone(), durable: m}
}

func (n *node) info(base string) fs.FileInfo {
	mode := n.mode
	if n.dir {
		mode |= fs.ModeDir
	}
	return crashInfo{base, n.now.size, mode, n.modified}
}

type crashInfo struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (i crashInfo) Name() string       { return i.name }
func (i crashInfo) Size() int64        { return i.size }
func (i crashInfo) Mode() fs.FileMode  { return i.mode }
func (i crashInfo) ModTime() time.Time { return i.modified }
func (i crashInfo) IsDir() bool        { return i.mode.IsDir() }
func (i crashInfo) Sys() any           { return nil }

// crashFile is an open file of a Crash. It outlives the removal of its name, as on POSIX.
type crashFile struct {
	c                  *Crash
	n                  *node
	path, name         string
	readable, writable bool
	closed             bool
}

func (f *crashFile) Name() string { return f.name }
func (f *crashFile) OS() *os.File { return nil }

// useLocked checks that the file can be used at all.
func (f *crashFile) useLocked(write bool) error {
	switch {
	case f.closed:
		return os.ErrClosed
	case f.c.off:
		return ErrPowerCut
	case write && !f.writable, !write && !f.readable:
		return fs.ErrPermission
	}
	return nil
}

func (f *crashFile) Stat() (fs.FileInfo, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.closed {
		return nil, pathErr(OpStat, f.name, os.ErrClosed)
	}
	if f.c.off {
		return nil, pathErr(OpStat, f.name, ErrPowerCut)
	}
	return f.n.info(path.Base(f.path)), nil
}

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.useLocked(false); err != nil {
		return 0, pathErr(OpRead, f.name, err)
	}
	if off < 0 {
		return 0, pathErr(OpRead, f.name, fs.ErrInvalid)
	}
	n := f.n.now.readAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WriteVAt([][]byte{p}, off)
	return int(n), err
}

func (f *crashFile) WriteVAt(bufs [][]byte, off int64) (n int64, err error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.useLocked(true); err != nil {
		return 0, pathErr(OpWrite, f.name, err)
	}
	if off < 0 {
		return 0, pathErr(OpWrite, f.name, fs.ErrInvalid)
	}
	for _, b := range bufs {
		n += int64(len(b))
	}
	cut := f.c.beginLocked(OpWrite, f.path, off, n)
	for at := off; len(bufs) > 0; bufs = bufs[1:] {
		f.n.writeAt(bufs[0], at)
		at += int64(len(bufs[0]))
	}
	f.n.modified = f.c.Now()
	if cut {
		return 0, pathErr(OpWrite, f.name, ErrPowerCut)
	}
	return n, nil
}

func (f *crashFile) Truncate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	err := f.useLocked(true)
	if err == nil && size < 0 {
		err = fs.ErrInvalid
	}
	if err != nil {
		return pathErr(OpTruncate, f.name, err)
	}
	cut := f.c.beginLocked(OpTruncate, f.path, size, 0)
	f.n.truncate(size)
	f.n.modified = f.c.Now()
	if cut {
		return pathErr(OpTruncate, f.name, ErrPowerCut)
	}
	return nil
}

func (f *crashFile) Preallocate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.useLocked(true); err != nil {
		return pathErr(OpPreallocate, f.name, err)
	}
	cut := f.c.beginLocked(OpPreallocate, f.path, size, 0)
	if size > f.n.now.size {
		f.n.truncate(size)
	}
	if cut {
		return pathErr(OpPreallocate, f.name, ErrPowerCut)
	}
	return nil
}

func (f *crashFile) Sync() error     { return f.sync(OpSync) }
func (f *crashFile) Datasync() error { return f.sync(OpDatasync) }

func (f *crashFile) sync(op Op) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	switch {
	case f.closed:
		return pathErr(op, f.name, os.ErrClosed)
	case f.c.off, f.c.beginLocked(op, f.path, 0, 0):
		return pathErr(op, f.name, ErrPowerCut)
	}
	f.n.sync()
	return nil
}

func (f *crashFile) Close() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.closed {
		return pathErr(OpOpen, f.name, os.ErrClosed)
	}
	f.closed = true
	return nil
}
