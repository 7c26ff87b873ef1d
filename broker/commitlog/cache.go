package commitlog

import (
	"container/list"
	"sync"
	"sync/atomic"

	"ottla/internal/fs"
)

// handle is an open file that closes when the last who uses it lets go. A descriptor is only ever used through it: a number
// that was closed and given out again would send another topic's bytes.
type handle struct {
	file fs.File
	io   Tokens
	refs atomic.Int32
}

// newHandle owns f with one reference.
func newHandle(f fs.File, io Tokens) *handle {
	h := &handle{file: f, io: io}
	h.refs.Store(1)
	return h
}

// acquire takes a reference; false: the last one is gone and the file closed.
func (h *handle) acquire() bool {
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// ReadAt reads under the directory's bound of file calls.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.io.Acquire()
	defer h.io.Release()
	return h.file.ReadAt(p, off)
}

// release gives a reference back. The error of a close says nothing: whatever must last was synced, which reports.
func (h *handle) release() {
	if h.refs.Add(-1) == 0 {
		h.file.Close()
	}
}

// fileKind tells the files of one segment apart.
type fileKind uint8

const (
	logFile fileKind = iota
	indexFile
	timeIndexFile
	txnIndexFile
)

// suffixes are the file names' ends, by kind.
var suffixes = [...]string{".log", ".index", ".timeindex", ".txnindex"}

// Cache holds open descriptors and index pages of sealed segments, least recently used first out. Safe for concurrent use.
type Cache struct {
	files lru[fileKey, *handle]
	pages lru[pageKey, []byte]
}

type fileKey struct {
	segment uint64
	kind    fileKind
}

type pageKey struct {
	segment uint64
	page    int32
}

// NewCache makes a cache of at most files descriptors and pages index pages of 4 KiB.
func NewCache(files, pages int) *Cache {
	c := &Cache{}
	c.files.init(files, (*handle).release)
	c.pages.init(pages, nil)
	return c
}

// open returns the file with a reference for the caller, opening it if it is not there. Two who miss at once both open it, and
// one of them closes again: no lock is held around the call.
func (c *Cache) open(k fileKey, open func() (*handle, error)) (*handle, error) {
	if h, ok := c.files.get(k, (*handle).acquire); ok {
		return h, nil
	}
	h, err := open()
	if err != nil {
		return nil, err
	}
	h.acquire() // the caller's, beside the cache's
	c.files.put(k, h)
	return h, nil
}

// give hands a reference to an open file over to the cache.
func (c *Cache) give(k fileKey, h *handle) { c.files.put(k, h) }

// page returns a page of an offset index; read fills it when it is not there. The page is not to be changed.
func (c *Cache) page(k pageKey, read func() ([]byte, error)) ([]byte, error) {
	if b, ok := c.pages.get(k, nil); ok {
		return b, nil
	}
	b, err := read()
	if err == nil {
		c.pages.put(k, b)
	}
	return b, err
}

// forget drops what is held of a segment. Files in use close later.
func (c *Cache) forget(segment uint64, indexPages int) {
	for kind := range suffixes {
		c.files.drop(fileKey{segment, fileKind(kind)})
	}
	for p := range indexPages {
		c.pages.drop(pageKey{segment, int32(p)})
	}
}

// lru is a map of bounded size.
type lru[K comparable, V any] struct {
	mu      sync.Mutex
	max     int
	entries map[K]*list.Element // of lruEntry[K, V]
	order   list.List           // most recently used in front
	dropped func(V)
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func (c *lru[K, V]) init(max int, dropped func(V)) {
	c.max, c.entries, c.dropped = max, map[K]*list.Element{}, dropped
}

// get finds a value that take, if given, accepts; take runs under the lock, so that nothing is dropped in between.
func (c *lru[K, V]) get(k K, take func(V) bool) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil {
		return v, false
	}
	v = e.Value.(*lruEntry[K, V]).value
	if take != nil && !take(v) {
		var none V
		return none, false
	}
	c.order.MoveToFront(e)
	return v, true
}

// put adds or replaces a value.
func (c *lru[K, V]) put(k K, v V) {
	c.mu.Lock()
	var out []V
	if e := c.entries[k]; e != nil {
		out = append(out, c.removeLocked(e))
	}
	c.entries[k] = c.order.PushFront(&lruEntry[K, V]{k, v})
	for len(c.entries) > c.max {
		out = append(out, c.removeLocked(c.order.Back()))
	}
	c.mu.Unlock()
	c.let(out...)
}

func (c *lru[K, V]) drop(k K) {
	c.mu.Lock()
	var out []V
	if e := c.entries[k]; e != nil {
		out = append(out, c.removeLocked(e))
	}
	c.mu.Unlock()
	c.let(out...)
}

func (c *lru[K, V]) removeLocked(e *list.Element) V {
	le := c.order.Remove(e).(*lruEntry[K, V])
	delete(c.entries, le.key)
	return le.value
}

func (c *lru[K, V]) let(vs ...V) {
	if c.dropped != nil {
		for _, v := range vs {
			c.dropped(v)
		}
	}
}
