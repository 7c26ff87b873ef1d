package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// decoder reads what one entry's compressed bytes hold. It comes from a pool, to which release gives it back.
type decoder interface {
	io.Reader
	release()
}

// newDecoder decompresses src, which it aliases until release. No piece that it makes at once is larger than limit. magic
// decides how LZ4's header checksum is made.
func newDecoder(c Codec, magic int8, src []byte, limit int64) (decoder, error) {
	switch c {
	case Gzip:
		return newGzipDecoder(src)
	case Snappy:
		return newSnappyDecoder(src, limit), nil
	case LZ4:
		return newLZ4Decoder(src, magic)
	case Zstd:
		return newZstdDecoder(src)
	}
	return nil, unknownCodec(c)
}

// gzipDecoder is a pooled gzip reader.
type gzipDecoder struct {
	src bytes.Reader
	gzip.Reader
}

var gzipDecoders = sync.Pool{New: func() any { return new(gzipDecoder) }}

func newGzipDecoder(src []byte) (decoder, error) {
	d := gzipDecoders.Get().(*gzipDecoder)
	d.src.Reset(src)
	if err := d.Reset(&d.src); err != nil {
		d.release()
		return nil, undecodable(err)
	}
	return d, nil
}

func (d *gzipDecoder) release() {
	d.src.Reset(nil)
	gzipDecoders.Put(d)
}

// Windows of zstd. A frame says how far back it refers, and the decoder has to have that much room at once, whatever the frame
// then holds. Up to the pooled size, which every level below the ultra ones fits, a decoder is kept; larger ones are made when
// needed, a few at a time.
const (
	zstdWindowPooled = 8 << 20
	zstdWindowMax    = 128 << 20 // what level 22 asks for
)

// largeWindows bounds how many decoders with a window above zstdWindowPooled exist at once.
var largeWindows = make(chan struct{}, 2)

// zstdDecoder is a zstd reader, pooled unless it is a large one.
type zstdDecoder struct {
	src   bytes.Reader
	dec   *zstd.Decoder
	large bool
}

var zstdDecoders = sync.Pool{New: func() any { return &zstdDecoder{dec: zstdReader(zstdWindowPooled)} }}

func zstdReader(window uint64) *zstd.Decoder {
	// One goroutine's work: with more, the library starts its own.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window),
		zstd.WithDecoderMaxMemory(window))
	if err != nil {
		panic("record: zstd options: " + err.Error()) // constants
	}
	return dec
}

func newZstdDecoder(src []byte) (decoder, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return nil, undecodable(err)
	}
	var d *zstdDecoder
	switch window := max(h.WindowSize, h.FrameContentSize*b2u(h.SingleSegment)); {
	case window > zstdWindowMax:
		return nil, undecodable(errors.New("window too large"))
	case window > zstdWindowPooled:
		largeWindows <- struct{}{}
		d = &zstdDecoder{dec: zstdReader(zstdWindowMax), large: true}
	default:
		d = zstdDecoders.Get().(*zstdDecoder)
	}
	d.src.Reset(src)
	if err := d.dec.Reset(&d.src); err != nil {
		d.release()
		return nil, undecodable(err)
	}
	return d, nil
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (d *zstdDecoder) Read(p []byte) (int, error) { return d.dec.Read(p) }

func (d *zstdDecoder) release() {
	if d.large {
		d.dec.Close()
		<-largeWindows
		return
	}
	d.src.Reset(nil)
	zstdDecoders.Put(d)
}

// xerialMagic begins what snappy-java writes. Two version words follow, then blocks of an int32 length and as many bytes of
// raw snappy.
const (
	xerialMagic      = "\x82SNAPPY\x00"
	xerialHeaderSize = len(xerialMagic) + 8
)

// snappyExpansionMax bounds what a byte of snappy can stand for: the densest element takes 3 bytes for 64.
const snappyExpansionMax = 22

// snappyDecoder reads xerial framing, or one raw snappy block when that is missing.
type snappyDecoder struct {
	src   []byte
	raw   bool
	limit int64
	buf   []byte // a block, decompressed
	rest  []byte // what of buf is unread
}

var snappyDecoders = sync.Pool{New: func() any { return new(snappyDecoder) }}

func newSnappyDecoder(src []byte, limit int64) decoder {
	d := snappyDecoders.Get().(*snappyDecoder)
	d.src, d.limit, d.rest, d.raw = src, limit, nil, true
	if len(src) >= xerialHeaderSize && string(src[:len(xerialMagic)]) == xerialMagic {
		d.src, d.raw = src[xerialHeaderSize:], false
	}
	return d
}

func (d *snappyDecoder) release() {
	if cap(d.buf) > 8*streamBuffer {
		d.buf = nil
	}
	d.src, d.rest = nil, nil
	snappyDecoders.Put(d)
}

func (d *snappyDecoder) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		block, err := d.nextBlock()
		if err != nil {
			return 0, err
		}
		size, err := s2.DecodedLen(block)
		if err != nil {
			return 0, err
		}
		if size > snappyExpansionMax*len(block) || int64(size) > d.limit {
			return 0, errors.New("snappy block claims too much")
		}
		if size > cap(d.buf) {
			d.buf = make([]byte, size)
		}
		if d.rest, err = s2.Decode(d.buf[:cap(d.buf)], block); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// nextBlock takes the next block off src.
func (d *snappyDecoder) nextBlock() ([]byte, error) {
	if len(d.src) == 0 {
		return nil, io.EOF
	}
	if d.raw {
		block := d.src
		d.src = nil
		return block, nil
	}
	if len(d.src) >= xerialHeaderSize && string(d.src[:len(xerialMagic)]) == xerialMagic {
		d.src = d.src[xerialHeaderSize:] // streams that were put one behind the other
		return d.nextBlock()
	}
	if len(d.src) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	size := int64(binary.BigEndian.Uint32(d.src))
	if size > int64(len(d.src)-4) {
		return nil, io.ErrUnexpectedEOF
	}
	block := d.src[4 : 4+size]
	d.src = d.src[4+size:]
	return block, nil
}
