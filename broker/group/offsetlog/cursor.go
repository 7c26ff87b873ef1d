package offsetlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var errShort = errors.New("offsetlog: value is cut off")

// cursor reads the fields of a value one after another. After the first failure, kept in err, everything reads as zero. The
// decoders of kmsg are not used on what lies on a disk: a damaged count of tagged fields keeps them busy for minutes.
type cursor struct {
	b    []byte
	flex bool // compact lengths: an unsigned varint of the length + 1
	err  error
}

// take cuts n bytes off.
func (c *cursor) take(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.b)) {
		c.err = errShort
	}
	if c.err != nil {
		return nil
	}
	taken := c.b[:n:n]
	c.b = c.b[n:]
	return taken
}

func (c *cursor) int16() int16 {
	if b := c.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) int64() int64 {
	if b := c.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// compact is a compact length: -1 for null.
func (c *cursor) compact() int {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > math.MaxInt32 {
		c.err = errShort
		return 0
	}
	c.b = c.b[n:]
	return int(v) - 1
}

// length is the length of a string (wide: of bytes or an array); below 0 is null.
func (c *cursor) length(wide bool) int {
	switch {
	case c.flex:
		return c.compact()
	case wide:
		return int(c.int32())
	}
	return int(c.int16())
}

// nullable reads a string that may be null.
func (c *cursor) nullable() *string {
	n := c.length(false)
	if c.err != nil || n < 0 {
		return nil
	}
	s := string(c.take(n))
	return &s
}

// text reads a string that may not be null.
func (c *cursor) text() string {
	s := c.nullable()
	if s == nil {
		if c.err == nil {
			c.err = errors.New("offsetlog: null where a string was expected")
		}
		return ""
	}
	return *s
}

// bytes reads a copy of some bytes; null reads as empty.
func (c *cursor) bytes() []byte {
	n := c.length(true)
	if n <= 0 {
		return nil
	}
	return append([]byte(nil), c.take(n)...)
}

// count reads the length of an array whose elements take at least size bytes each.
func (c *cursor) count(size int) int {
	n := c.length(true)
	if c.err == nil && n > len(c.b)/size {
		c.err = fmt.Errorf("offsetlog: %d elements in %d bytes", n, len(c.b))
	}
	if c.err != nil || n < 0 {
		return 0
	}
	return n
}

// skipTags reads over tagged fields.
func (c *cursor) skipTags() {
	n := c.compact() + 1
	for range n {
		c.compact() // the tag's number
		c.take(c.compact() + 1)
		if c.err != nil {
			return
		}
	}
}
