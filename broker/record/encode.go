package record

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// encoder compresses what is written to it. It comes from a pool, to which release gives it back. After Close, or an error,
// only release may follow.
type encoder interface {
	io.Writer
	Close() error
	release()
}

// newEncoder compresses into dst. Level 0 is the codec's default, others are the values of compression.CODEC.level; magic
// decides how LZ4's header checksum is made.
func newEncoder(dst io.Writer, c Codec, level int, magic int8) encoder {
	switch c {
	case Gzip:
		return newGzipEncoder(dst, level)
	case Snappy:
		return newSnappyEncoder(dst)
	case LZ4:
		return newLZ4Encoder(dst, level, magic)
	case Zstd:
		return newZstdEncoder(dst, level)
	}
	return plainEncoder{dst}
}

// plainEncoder is no compression.
type plainEncoder struct{ io.Writer }

func (plainEncoder) Close() error { return nil }
func (plainEncoder) release()     {}

// gzipEncoder is a pooled gzip writer.
type gzipEncoder struct {
	*gzip.Writer
	pool *sync.Pool
}

// gzipEncoders has a pool for the default level and one for each of 1 to 9.
var gzipEncoders [10]sync.Pool

func newGzipEncoder(dst io.Writer, level int) encoder {
	class := 0
	if level >= gzip.BestSpeed && level <= gzip.BestCompression {
		class = level
	}
	e, _ := gzipEncoders[class].Get().(*gzipEncoder)
	if e == nil {
		library := class
		if class == 0 {
			library = gzip.DefaultCompression
		}
		w, err := gzip.NewWriterLevel(nil, library)
		if err != nil {
			panic("record: gzip level: " + err.Error()) // checked above
		}
		e = &gzipEncoder{w, &gzipEncoders[class]}
	}
	e.Reset(dst)
	return e
}

func (e *gzipEncoder) release() {
	e.Reset(nil)
	e.pool.Put(e)
}

// zstdEncoder is a pooled zstd writer.
type zstdEncoder struct {
	*zstd.Encoder
	pool *sync.Pool
}

// zstdEncoders has a pool for each of the library's four levels.
var zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool

// Settings of zstd writers: the level that Kafka takes when none is set, and the window of the reference library at that level,
// which also bounds a writer's memory.
const (
	zstdLevelDefault = 3
	zstdWindow       = 2 << 20
)

func newZstdEncoder(dst io.Writer, level int) encoder {
	if level == 0 {
		level = zstdLevelDefault
	}
	library := zstd.EncoderLevelFromZstd(level)
	pool := &zstdEncoders[library]
	e, _ := pool.Get().(*zstdEncoder)
	if e == nil {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(library), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
			zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
		if err != nil {
			panic("record: zstd options: " + err.Error()) // constants
		}
		e = &zstdEncoder{w, pool}
	}
	e.Reset(dst)
	return e
}

func (e *zstdEncoder) release() {
	e.Reset(nil)
	e.pool.Put(e)
}

// xerialBlock is the block size that snappy-java writes by default, in bytes.
const xerialBlock = 32 << 10

// snappyEncoder writes xerial framing.
type snappyEncoder struct {
	dst   io.Writer
	buf   []byte // xerialBlock: what is to be compressed
	n     int
	out   []byte // length and compressed block
	begun bool
}

var snappyEncoders = sync.Pool{New: func() any {
	return &snappyEncoder{buf: make([]byte, xerialBlock), out: make([]byte, 4+s2.MaxEncodedLen(xerialBlock))}
}}

func newSnappyEncoder(dst io.Writer) encoder {
	e := snappyEncoders.Get().(*snappyEncoder)
	e.dst, e.n, e.begun = dst, 0, false
	return e
}

func (e *snappyEncoder) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := copy(e.buf[e.n:], p)
		e.n += n
		p = p[n:]
		if e.n == len(e.buf) {
			if err := e.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

// flush writes what is buffered as a block, after the header when it is the first.
func (e *snappyEncoder) flush() error {
	if !e.begun {
		e.begun = true
		// Both version words are 1.
		if _, err := io.WriteString(e.dst, xerialMagic+"\x00\x00\x00\x01\x00\x00\x00\x01"); err != nil {
			return err
		}
	}
	if e.n == 0 {
		return nil
	}
	block := s2.EncodeSnappy(e.out[4:], e.buf[:e.n])
	if &block[0] != &e.out[4] {
		return errors.New("snappy block larger than its bound")
	}
	e.n = 0
	putInt32(e.out, int32(len(block)))
	_, err := e.dst.Write(e.out[:4+len(block)])
	return err
}

func (e *snappyEncoder) Close() error { return e.flush() }

func (e *snappyEncoder) release() {
	e.dst = nil
	snappyEncoders.Put(e)
}
