package commitlog

import "math/bits"
import "sync/atomic"

// growing is a list with one writer and any number of readers that take no lock: what is below len never changes. It grows by
// chunks that double, so that an empty one costs a pointer and a long one is never copied.
type growing[T any] struct {
	n      atomic.Int64
	chunks *[growingChunks][]T // set before the first element is published
}

const (
	growingFirst  = 16 // elements of the first chunk
	growingChunks = 26
)

// len is the number of elements that may be read.
func (g *growing[T]) len() int { return int(g.n.Load()) }

// at is element i, which must be below len.
func (g *growing[T]) at(i int) T {
	c, j := place(i)
	return g.chunks[c][j]
}

// add appends v. For the writer only.
func (g *growing[T]) add(v T) {
	n := int(g.n.Load())
	c, j := place(n)
	if g.chunks == nil {
		g.chunks = new([growingChunks][]T)
	}
	if g.chunks[c] == nil {
		g.chunks[c] = make([]T, growingFirst<<c)
	}
	g.chunks[c][j] = v
	g.n.Store(int64(n + 1))
}

func place(i int) (chunk, at int) {
	c := bits.Len(uint(i/growingFirst+1)) - 1
	return c, i - growingFirst*(1<<c-1)
}

// search is the number of elements from the start for which before holds; it must hold for a prefix.
func (g *growing[T]) search(before func(T) bool) int {
	lo, hi := 0, g.len()
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); before(g.at(mid)) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
