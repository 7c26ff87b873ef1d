package record

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// LZ4 frames are read and written here, since Kafka's have two peculiarities: messages of magic 0 carry a header checksum that
// was computed over the frame's magic too (KAFKA-3160), and blocks are always independent.
//
//	magic uint32 = 0x184D2204, little-endian as all of it
//	flags: 6-7 version 1, 5 independent blocks, 4 block checksums, 3 content size, 2 content checksum
//	block descriptor: 4-6 size class, 4 = 64 KiB to 7 = 4 MiB
//	[content size uint64]
//	header checksum: the second byte of XXH32 from the flags on
//	blocks: size uint32, highest bit set when stored as it is; bytes; [XXH32 of them]
//	0 uint32; [content checksum uint32]
const (
	lz4Magic = 0x184D2204

	lz4FlagVersion     = 1 << 6
	lz4FlagIndependent = 1 << 5
	lz4FlagBlockSum    = 1 << 4
	lz4FlagContentSize = 1 << 3

	lz4Stored    = 1 << 31
	lz4BlockSize = 64 << 10 // what is written, the class 4
)

// lz4Decoder reads one frame. What follows the frame is ignored, as is a checksum of the content.
type lz4Decoder struct {
	src       []byte
	blockMax  int
	blockSums bool
	buf       []byte
	rest      []byte // what of buf is unread
}

var lz4Decoders = sync.Pool{New: func() any { return new(lz4Decoder) }}

func newLZ4Decoder(src []byte, magic int8) (decoder, error) {
	d := lz4Decoders.Get().(*lz4Decoder)
	if err := d.reset(src, magic); err != nil {
		d.release()
		return nil, undecodable(err)
	}
	return d, nil
}

// reset reads the frame's header. In magic 0 the header's checksum is not looked at: either is in use.
func (d *lz4Decoder) reset(src []byte, magic int8) error {
	d.src, d.rest = nil, nil
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic {
		return errors.New("not an lz4 frame")
	}
	flags, class, end := src[4], src[5]>>4, 6
	if flags>>6 != 1 || flags&lz4FlagIndependent == 0 || flags&3 != 0 || class < 4 || class > 7 || src[5]&0x0f != 0 {
		return errors.New("lz4 frame of an unsupported kind")
	}
	if flags&lz4FlagContentSize != 0 {
		if end += 8; len(src) <= end {
			return io.ErrUnexpectedEOF
		}
	}
	if magic > 0 && src[end] != lz4HeaderSum(src[4:end]) {
		return errors.New("lz4 frame with a wrong header checksum")
	}
	d.src, d.blockSums, d.blockMax = src[end+1:], flags&lz4FlagBlockSum != 0, 1<<(8+2*class)
	return nil
}

func (d *lz4Decoder) release() {
	if cap(d.buf) > 1<<20 {
		d.buf = nil
	}
	d.src, d.rest = nil, nil
	lz4Decoders.Put(d)
}

func (d *lz4Decoder) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		if err := d.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// nextBlock decompresses the next block into rest.
func (d *lz4Decoder) nextBlock() error {
	if len(d.src) < 4 {
		return io.ErrUnexpectedEOF
	}
	word := binary.LittleEndian.Uint32(d.src)
	if word == 0 {
		return io.EOF
	}
	size := int(word &^ lz4Stored)
	if size > d.blockMax {
		return errors.New("lz4 block too large")
	}
	sum := 0
	if d.blockSums {
		sum = 4
	}
	if len(d.src) < 4+size+sum {
		return io.ErrUnexpectedEOF
	}
	block := d.src[4 : 4+size]
	if d.blockSums && binary.LittleEndian.Uint32(d.src[4+size:]) != xxh32(block) {
		return errors.New("lz4 block with a wrong checksum")
	}
	d.src = d.src[4+size+sum:]
	if word&lz4Stored != 0 {
		d.rest = block
		return nil
	}
	// A byte of LZ4 stands for at most 255: a small block needs no room of the largest size.
	room := min(d.blockMax, 255*size+64)
	if cap(d.buf) < room {
		d.buf = make([]byte, room)
	}
	n, err := lz4.UncompressBlock(block, d.buf[:room])
	if err != nil {
		return err
	}
	d.rest = d.buf[:n]
	return nil
}

// lz4Encoder writes one frame of independent blocks.
type lz4Encoder struct {
	dst    io.Writer
	fast   lz4.Compressor
	high   *lz4.CompressorHC // in place of fast when set
	buf    []byte            // lz4BlockSize: what is to be compressed
	n      int
	out    []byte // word and compressed block
	broken bool   // header checksum as in magic 0
	begun  bool
	pool   *sync.Pool
}

// lz4Encoders has a pool for the fast compressor and one for each of the library's nine levels.
var lz4Encoders [10]sync.Pool

// lz4LevelDefault is the value of compression.lz4.level that stands for the fast compressor.
const lz4LevelDefault = 9

func newLZ4Encoder(dst io.Writer, level int, magic int8) encoder {
	class := 0
	if level != 0 && level != lz4LevelDefault {
		class = min(max(level, 1), 9)
	}
	e, _ := lz4Encoders[class].Get().(*lz4Encoder)
	if e == nil {
		e = &lz4Encoder{buf: make([]byte, lz4BlockSize), out: make([]byte, 4+lz4BlockSize), pool: &lz4Encoders[class]}
		if class > 0 {
			e.high = &lz4.CompressorHC{Level: lz4.CompressionLevel(1 << (8 + class))}
		}
	}
	e.dst, e.n, e.begun, e.broken = dst, 0, false, magic == 0
	return e
}

func (e *lz4Encoder) Write(p []byte) (int, error) {
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
func (e *lz4Encoder) flush() error {
	if !e.begun {
		e.begun = true
		h := [7]byte{4: lz4FlagVersion | lz4FlagIndependent, 5: 4 << 4}
		binary.LittleEndian.PutUint32(h[:], lz4Magic)
		h[6] = lz4HeaderSum(h[4:6])
		if e.broken {
			h[6] = lz4HeaderSum(h[:6])
		}
		if _, err := e.dst.Write(h[:]); err != nil {
			return err
		}
	}
	if e.n == 0 {
		return nil
	}
	src := e.buf[:e.n]
	e.n = 0
	var n int
	var err error
	// The room is one byte short of src, so that what does not shrink counts as incompressible.
	room := e.out[4 : 4+len(src)-1]
	if e.high != nil {
		n, err = e.high.CompressBlock(src, room)
	} else {
		n, err = e.fast.CompressBlock(src, room)
	}
	if err != nil && !errors.Is(err, lz4.ErrInvalidSourceShortBuffer) {
		return err
	}
	if n == 0 || err != nil {
		n = copy(e.out[4:], src)
		binary.LittleEndian.PutUint32(e.out, uint32(n)|lz4Stored)
	} else {
		binary.LittleEndian.PutUint32(e.out, uint32(n))
	}
	_, err = e.dst.Write(e.out[:4+n])
	return err
}

func (e *lz4Encoder) Close() error {
	if err := e.flush(); err != nil {
		return err
	}
	_, err := e.dst.Write([]byte{0, 0, 0, 0})
	return err
}

func (e *lz4Encoder) release() {
	e.dst = nil
	e.pool.Put(e)
}

// lz4HeaderSum is the checksum byte of a frame's header fields.
func lz4HeaderSum(fields []byte) byte { return byte(xxh32(fields) >> 8) }

// xxh32 is the 32-bit xxHash with seed 0.
func xxh32(b []byte) uint32 {
	const p1, p2, p3, p4, p5 uint32 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	h := p5
	size := uint32(len(b))
	if len(b) >= 16 {
		var zero uint32
		lanes := [4]uint32{zero + p1 + p2, p2, 0, zero - p1}
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*p2, 13) * p1
			}
		}
		h = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) + bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	h += size
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h ^= h >> 15
	h *= p2
	h ^= h >> 13
	h *= p3
	return h ^ h>>16
}
