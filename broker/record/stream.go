package record

import (
	"fmt"
	"io"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Bounds of what one compressed entry may grow to. Data is decompressed in pieces, so memory follows the largest record, and
// these bound that and the work.
const (
	// DecompressMaxHard is the bound that no setting raises.
	DecompressMaxHard int64 = 256 << 20
	decompressMaxLow  int64 = 16 << 20
	decompressRatio         = 128
)

// DecompressMax is the bound that goes with a max.message.bytes: 128 times that, at least 16 MiB and at most DecompressMaxHard.
// Text rarely compresses beyond 20 to 1; a batch beyond this is a bomb.
func DecompressMax(messageBytesMax int) int64 {
	return min(max(int64(messageBytesMax)*decompressRatio, decompressMaxLow), DecompressMaxHard)
}

// streamBuffer is the size that a stream's buffer begins with and, between uses, is kept at.
const streamBuffer = 16 << 10

// giant is held by the stream that has a record of more than giantMin in its buffer: one at a time, since a small request may hold
// such a record. Others wait for their turn, which comes: whoever has it reads, and waits for nobody.
var giant sync.Mutex

const giantMin = 2 << 20

// stream reads lengths and bodies from a decoder, through a buffer that grows with the bytes that arrive and not with those
// that a length claims. What next returns is valid until the following call.
type stream struct {
	src  io.Reader
	buf  []byte
	r, w int   // buf[r:w] is unread
	left int64 // bytes that src may still give
	most int   // size that buf may grow to
	big  bool  // it holds giant
	err  error // of src; io.EOF at its end
}

// reset begins to read src, of which limit bytes are allowed.
func (s *stream) reset(src io.Reader, limit int64) {
	if cap(s.buf) > 8*streamBuffer || s.buf == nil {
		s.buf = make([]byte, streamBuffer)
	}
	*s = stream{src: src, buf: s.buf, left: limit, most: int(max(limit, streamBuffer))}
}

// release ends the reading of src.
func (s *stream) release() {
	s.src = nil
	if s.big {
		s.big, s.buf = false, nil
		giant.Unlock()
	}
}

var errGrows = fmt.Errorf("%w: compressed data grows beyond the limit", kerr.MessageTooLarge)

// fill makes at least n unread bytes available, or says with false that src has no more; s.err has the reason.
func (s *stream) fill(n int) bool {
	for s.w-s.r < n {
		if s.err != nil {
			return false
		}
		if s.r > 0 {
			s.w = copy(s.buf, s.buf[s.r:s.w])
			s.r = 0
		}
		if s.w == len(s.buf) {
			if len(s.buf) >= giantMin && !s.big {
				giant.Lock()
				s.big = true
			}
			if len(s.buf) >= s.most { // the record alone is beyond the limit
				s.err, s.w = errGrows, s.r
				return false
			}
			grown := make([]byte, min(2*len(s.buf), s.most))
			copy(grown, s.buf)
			s.buf = grown
		}
		got, err := s.src.Read(s.buf[s.w:])
		s.w += got
		if s.left -= int64(got); s.left < 0 {
			err = errGrows
			s.w = s.r
		} else if err != nil && err != io.EOF {
			err = undecodable(err)
		}
		s.err = err
	}
	return true
}

// next takes n bytes.
func (s *stream) next(n int) ([]byte, bool) {
	if !s.fill(n) {
		return nil, false
	}
	b := s.buf[s.r : s.r+n : s.r+n]
	s.r += n
	return b, true
}

// varint takes a zig-zag varint of 32 bits.
func (s *stream) varint() (int32, bool) {
	for n := 1; n <= 5; n++ {
		if !s.fill(n) {
			return 0, false
		}
		if s.buf[s.r+n-1] < 0x80 {
			v, size := varint(s.buf[s.r : s.r+n])
			s.r += size
			return v, size != 0
		}
	}
	return 0, false
}

// atEnd says whether src ended well and everything was taken.
func (s *stream) atEnd() bool { return !s.fill(1) && s.err == io.EOF }

// failed is what ended src, unless it ended well.
func (s *stream) failed() error {
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

// undecodable is UNKNOWN_SERVER_ERROR, which is how Apache Kafka answers compressed data that does not decompress.
func undecodable(err error) error {
	return fmt.Errorf("%w: data does not decompress: %v", kerr.UnknownServerError, err)
}
