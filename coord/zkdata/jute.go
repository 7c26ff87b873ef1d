package zkdata

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
)

// bufferMax bounds what one string or buffer of a file may claim to be.
const bufferMax = 1 << 30

// juteReader reads jute from a stream and sums up what it reads. The first error sticks.
type juteReader struct {
	r   *bufio.Reader
	sum hash.Hash32
	err error
	tmp [8]byte
}

func newJuteReader(r io.Reader) *juteReader {
	return &juteReader{r: bufio.NewReaderSize(r, 256<<10), sum: adler32.New()}
}

func (j *juteReader) fail(err error) {
	if j.err == nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		j.err = err
	}
}

func (j *juteReader) fill(b []byte) bool {
	if j.err != nil {
		return false
	}
	if _, err := io.ReadFull(j.r, b); err != nil {
		j.fail(err)
		return false
	}
	j.sum.Write(b)
	return true
}

func (j *juteReader) int() int32 {
	if !j.fill(j.tmp[:4]) {
		return 0
	}
	return int32(binary.BigEndian.Uint32(j.tmp[:4]))
}

func (j *juteReader) long() int64 {
	if !j.fill(j.tmp[:8]) {
		return 0
	}
	return int64(binary.BigEndian.Uint64(j.tmp[:8]))
}

// buffer returns a new slice; nil is null. Memory grows with what is really there.
func (j *juteReader) buffer() []byte {
	n := int64(j.int())
	switch {
	case j.err != nil || n == -1:
		return nil
	case n < 0 || n > bufferMax:
		j.fail(fmt.Errorf("a length of %d", n))
		return nil
	case n <= 64<<10:
		b := make([]byte, n)
		if !j.fill(b) {
			return nil
		}
		return b
	}
	var b bytes.Buffer
	if _, err := io.CopyN(io.MultiWriter(&b, j.sum), j.r, n); err != nil {
		j.fail(err)
		return nil
	}
	return b.Bytes()
}

// seal checks the checksum of everything read so far.
func (j *juteReader) seal() {
	want := j.sum.Sum32()
	got, mark := j.long(), j.buffer()
	if j.err == nil && (got != int64(want) || string(mark) != "/") {
		j.fail(fmt.Errorf("its checksum is %08x, but %08x was written", want, got))
	}
}

// end says whether the stream is at its end.
func (j *juteReader) end() bool {
	if j.err != nil {
		return true
	}
	_, err := j.r.Peek(1)
	if err != nil && !errors.Is(err, io.EOF) {
		j.fail(err)
	}
	return err != nil
}

func (j *juteReader) int8() byte {
	if !j.fill(j.tmp[:1]) {
		return 0
	}
	return j.tmp[0]
}
