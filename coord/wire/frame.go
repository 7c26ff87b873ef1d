package wire

import (
	"encoding/binary"
	"errors"
	"io"
)

// ErrFrameLength is returned for a frame whose length is negative or above the limit. The stream cannot be read any further.
var ErrFrameLength = errors.New("frame length out of range")

// BeginFrame reserves the length of a frame; the result's length before the call is the start to give to EndFrame.
func BeginFrame(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// EndFrame fills in the length of the frame that begins at start.
func EndFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

const (
	bufferSmall = 4 << 10  // what an idle connection keeps
	bufferLarge = 64 << 10 // what a busy one reads with
	quietReads  = 32       // so many reads of less than bufferSmall in a row make a connection idle
)

// Buffer collects a stream's bytes and splits them into frames. It holds 4 KiB when idle and grows as bytes arrive, so a frame that
// claims to be large costs only what was sent of it. Not safe for concurrent use.
type Buffer struct {
	b     []byte
	r, w  int // unread bytes are b[r:w]
	quiet int // reads in a row that a small buffer would have done for
}

// Fill reads once from src, growing the buffer if it is full. Slices returned by Next and Peek are no longer valid after it.
func (f *Buffer) Fill(src io.Reader) error {
	switch {
	case f.r == f.w:
		f.r, f.w = 0, 0
		if f.quiet >= quietReads && len(f.b) > bufferSmall {
			f.b = nil
		}
	case f.r > 0 && (f.w == len(f.b) || f.r >= len(f.b)/2):
		f.w = copy(f.b, f.b[f.r:f.w])
		f.r = 0
	}
	switch {
	case len(f.b) == 0:
		f.b = make([]byte, bufferSmall)
	case f.w == len(f.b):
		// A stream that fills the small buffer has more to bring: the next read takes it in one system call.
		f.grow(max(bufferLarge, 2*len(f.b)))
	}
	n, err := src.Read(f.b[f.w:])
	f.w += n
	if f.quiet++; f.w-f.r >= bufferSmall {
		f.quiet = 0
		if len(f.b) == bufferSmall {
			f.grow(bufferLarge)
		}
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (f *Buffer) grow(size int) {
	grown := make([]byte, size)
	f.w = copy(grown, f.b[f.r:f.w])
	f.r, f.b = 0, grown
}

// Next returns the next whole frame without its length, or nil if it has not arrived in full. A frame that claims more than limit
// bytes is ErrFrameLength. The slice is valid until the next Fill.
func (f *Buffer) Next(limit int) ([]byte, error) {
	have := f.b[f.r:f.w]
	if len(have) < 4 {
		return nil, nil
	}
	n := int32(binary.BigEndian.Uint32(have))
	if n < 0 || int64(n) > int64(limit) {
		return nil, ErrFrameLength
	}
	if len(have)-4 < int(n) {
		return nil, nil
	}
	f.r += 4 + int(n)
	return have[4 : 4+n : 4+n], nil
}

// Add puts bytes behind those that are unread, as if they had been read.
func (f *Buffer) Add(b []byte) {
	f.b = append(f.b[f.r:f.w:f.w], b...)
	f.r, f.w = 0, len(f.b)
}

// Peek returns the first n unread bytes, or nil if there are fewer. The slice is valid until the next Fill.
func (f *Buffer) Peek(n int) []byte {
	if f.w-f.r < n {
		return nil
	}
	return f.b[f.r : f.r+n]
}

// Buffered is how many bytes were read and not yet returned.
func (f *Buffer) Buffered() int { return f.w - f.r }
