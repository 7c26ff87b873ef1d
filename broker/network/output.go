package network

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"ottla/broker/api"
)

// sendfileMin is the smallest file region that is sent by the kernel from the page cache; smaller ones are read into the
// buffer behind the bytes before them and leave in the same write.
const sendfileMin = 64 << 10

// output collects answers and writes them. One goroutine at a time uses it.
type output struct {
	c *conn
	// b holds what is not written yet; its memory is held's if that is not nil.
	b       []byte
	held    *buffer
	streamN int64    // bytes of the current Streamed answer so far
	flushed bool     // something was written since it began
	unsent  *[]span  // of the whole answers in b; nil when there are none
	ended   Exchange // scratch of conn.end
	writing rawWrite
	sending sendfile
}

// rawWrite is the state of a write through the raw connection.
type rawWrite struct {
	callback func(fd uintptr) bool
	b        []byte
	armed    bool // the write deadline is set
	err      error
}

func (o *output) init(c *conn) { o.c = c }

// reserve makes room for n more bytes in b.
func (o *output) reserve(n int) {
	if len(o.b)+n <= cap(o.b) {
		return
	}
	held := getBuffer(max(len(o.b)+n, 4<<10))
	n = copy(held.b, o.b)
	if o.held != nil {
		o.held.put()
	}
	o.held, o.b = held, held.b[:n]
}

// release gives the memory back, and drops what is not written.
func (o *output) release() {
	if o.held != nil {
		o.held.put()
		o.held = nil
	}
	o.b = nil
	o.forget()
}

// adopt takes b, which was appended to o.b, in its place.
func (o *output) adopt(b []byte) {
	if o.held != nil && cap(b) != cap(o.held.b) {
		o.held.put() // the append has moved to memory of its own
		o.held = nil
	}
	o.b = b
}

// answer queues the answer of the request with header h; nil means there is none. Large answers are written at once.
func (o *output) answer(h header, sp *span, resp api.Response) error {
	if resp == nil {
		if sp.begun != 0 {
			o.c.end(sp, sp.answered, sp.answered)
		}
		return nil
	}
	if sp.begun != 0 {
		o.c.srv.cfg.Observer.Answer(h.key, resp)
	}
	if s, ok := resp.(api.Streamed); ok {
		return o.stream(h, sp, s)
	}
	return o.bytes(h, sp, resp.AppendTo)
}

// bytes queues an answer whose body appendTo appends.
func (o *output) bytes(h header, sp *span, appendTo func([]byte) []byte) error {
	o.reserve(512)
	at := len(o.b)
	b := appendTo(appendAnswerHeader(o.b, h))
	o.adopt(b)
	size := len(b) - at - frameHeader
	if size > math.MaxInt32 {
		return fmt.Errorf("answer of %d bytes to API %d", size, h.key)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(size))
	o.queued(sp, size)
	if len(o.b) >= pieceMax {
		return o.flush()
	}
	return nil
}

// stream writes an answer of file regions. Whatever fails after its header closes the connection: the client could not tell
// where the next answer begins.
func (o *output) stream(h header, sp *span, s api.Streamed) error {
	defer s.Close()
	size := s.Size()
	o.reserve(512)
	at := len(o.b)
	o.b = appendAnswerHeader(o.b, h)
	total := int64(len(o.b)-at-frameHeader) + size
	if total > math.MaxInt32 {
		return fmt.Errorf("answer of %d bytes to API %d", total, h.key)
	}
	binary.BigEndian.PutUint32(o.b[at:], uint32(total))
	o.streamN, o.flushed = 0, false
	if err := s.Stream((*stream)(o)); err != nil {
		if !o.flushed {
			o.b = o.b[:at] // nothing of it has left: no answer rather than half of one
		}
		return fmt.Errorf("answer to API %d: %w", h.key, err)
	}
	if o.streamN != size {
		return fmt.Errorf("answer to API %d: %d bytes announced, %d written", h.key, size, o.streamN)
	}
	sp.streamed = true
	o.queued(sp, int(total))
	return nil
}

// flush writes everything that is queued.
func (o *output) flush() error {
	if len(o.b) == 0 {
		return nil
	}
	begin := time.Duration(0)
	if o.unsent != nil {
		begin = o.c.now()
	}
	err := o.write(o.b)
	o.b, o.flushed = o.b[:0], true
	if err == nil {
		o.sent(begin)
	}
	return err
}

// write writes all of b in pieces, each of which must make progress within the request timeout.
func (o *output) write(b []byte) error {
	if o.c.raw != nil {
		return o.writeRaw(b)
	}
	return o.writePortable(b)
}

func (o *output) writePortable(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), pieceMax)]
		if err := o.c.nc.SetWriteDeadline(time.Now().Add(o.c.srv.cfg.RequestTimeout)); err != nil {
			return err
		}
		n, err := o.c.nc.Write(piece)
		if err != nil && n == 0 {
			return err
		}
		b = b[n:] // some progress: a new deadline
	}
	return nil
}

// stream is the output as a Streamed answer sees it: small writes are gathered, file regions sent without passing through
// the heap where that is faster. It implements FileWriter.
type stream output

// FileWriter is what api.Streamed.Stream may find behind its Writer.
type FileWriter interface {
	api.Writer
	// SendFile writes the n bytes of r. f, if not nil, is the file that r reads, from pos on: then the kernel may send them. No
	// file position is used or moved, so any number of goroutines may send the same file. Fewer bytes in the file are an error.
	SendFile(r io.ReaderAt, n int64, f *os.File, pos int64) error
}

// Write implements api.Writer. p may be reused when it returns.
func (s *stream) Write(p []byte) (int, error) {
	o := (*output)(s)
	o.streamN += int64(len(p))
	if len(o.b)+len(p) <= pieceMax {
		o.reserve(len(p))
		o.b = append(o.b, p...)
		return len(p), nil
	}
	if err := o.flush(); err != nil {
		return 0, err
	}
	if len(p) <= pieceMax {
		o.reserve(len(p))
		o.b = append(o.b, p...)
		return len(p), nil
	}
	if err := o.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SendFile implements FileWriter.
func (s *stream) SendFile(r io.ReaderAt, n int64, f *os.File, pos int64) error {
	o := (*output)(s)
	o.streamN += n
	if n >= sendfileMin && o.c.raw != nil && f != nil {
		if err := o.flush(); err != nil {
			return err
		}
		if ok, err := o.sendfile(f, pos, n); ok || err != nil {
			return err
		}
	}
	for off := int64(0); off < n; {
		if len(o.b) >= pieceMax {
			if err := o.flush(); err != nil {
				return err
			}
		}
		piece := int(min(n-off, int64(pieceMax-len(o.b))))
		o.reserve(piece)
		at := len(o.b)
		m, err := r.ReadAt(o.b[at:at+piece], off)
		if m < piece {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		o.b = o.b[:at+piece]
		off += int64(piece)
	}
	return nil
}
