package network

import (
	"math/bits"
	"sync"
)

// Buffer sizes are powers of two. Reading begins with bufferBase; smaller ones keep what little a waiting connection must
// hold; larger ones than bufferKept are left to the collector, so that one large request does not pin its memory.
const (
	bufferMin  = 1 << 10
	bufferBase = 1 << 16
	bufferKept = 1 << 22
	readAhead  = 1 << 20   // buffers grow to this when a client sends faster than its requests run
	pieceMax   = 256 << 10 // largest write of an answer
)

// buffer is a pooled piece of memory with one owner at a time.
type buffer struct{ b []byte }

var pools [32]sync.Pool // by log2 of the size

func sizeClass(n int) int { return bits.Len(uint(max(n, bufferMin) - 1)) }

// getBuffer returns a buffer of at least n bytes with undefined contents.
func getBuffer(n int) *buffer {
	class := sizeClass(n)
	if b, ok := pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 1<<class)}
}

// put gives the buffer back. The caller must not use it again, nor anything that aliases it.
func (b *buffer) put() {
	if len(b.b) <= bufferKept {
		pools[sizeClass(len(b.b))].Put(b)
	}
}
