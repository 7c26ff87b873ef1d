package shape

import (
	"encoding/binary"
	"fmt"
)

// What a decoder takes for the rest: estimates from above of Go's allocations, which the tests measure. Room is rounded up to what
// the allocator hands out: up to a quarter, or to 16 bytes. Bytes are not counted: they stay where they are.
const (
	referenceBytes = 24  // a string or slice in an array
	pointerBytes   = 16  // a string that may be null, besides its characters
	arrayBytes     = 48  // any array
	tagBytes       = 160 // an unknown tag in a map that grows
	tagsBytes      = 448 // a map
)

// textMax is the longest string that Apache Kafka reads.
const textMax = 1<<15 - 1

// Error says where a body is not as it should be.
type Error struct {
	Offset int // in the body
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("malformed at byte %d: %s", e.Offset, e.Reason) }

const (
	cut      = "cut off"
	varint   = "uvarint out of range"
	isNull   = "null in a field that is never null"
	tooLong  = "longer than what is left"
	longText = "string of more than 32767 bytes"
	tagSize  = "tagged field is not as long as it claims"
	tooMuch  = "it decodes to more than the limit"
)

// Check walks body. read is how many bytes the layout takes; decoded is what a decoder needs for them, in bytes, from above. An
// error is an *Error. It takes time in proportion to the body, and less if the body is refused.
func (s *Shape) Check(body []byte, l Limits) (read int, decoded int64, err error) {
	w := walker{b: body, left: l.Decoded, structBytes: int64(l.Struct)}
	if read = w.walk(s.ops, 0); read < 0 {
		return 0, 0, &Error{w.at, w.reason}
	}
	return read, l.Decoded - w.left, nil
}

type walker struct {
	b           []byte // up to the end of the body, or of the tagged field
	left        int64  // of what it may decode to
	structBytes int64
	at          int // of the offence
	reason      string
}

// fail notes an offence and returns -1.
func (w *walker) fail(at int, reason string) int {
	w.at, w.reason = at, reason
	return -1
}

// walk steps over the fields at a place of the body and returns the place behind them, -1 after an offence.
func (w *walker) walk(ops []op, at int) int {
	for i := range ops {
		o := &ops[i]
		var n int // the length of what follows, -1 for null
		switch o.kind {
		case skip:
			if at += o.size; at > len(w.b) {
				return w.fail(len(w.b), cut)
			}
			continue
		case text:
			if len(w.b)-at < 2 {
				return w.fail(at, cut)
			}
			n = int(int16(binary.BigEndian.Uint16(w.b[at:])))
			at += 2
		case data, array:
			if len(w.b)-at < 4 {
				return w.fail(at, cut)
			}
			n = int(int32(binary.BigEndian.Uint32(w.b[at:])))
			at += 4
		case tags:
			if at < len(w.b) && w.b[at] == 0 {
				at++
			} else if at = w.tags(o.known, at); at < 0 {
				return -1
			}
			continue
		default: // compact
			if at < len(w.b) && w.b[at] < 0x80 {
				n = int(w.b[at]) - 1
				at++
			} else if n, at = w.uvarint(at); at < 0 {
				return -1
			} else {
				n--
			}
		}
		if n < 0 {
			if !o.null {
				return w.fail(at, isNull)
			}
			continue
		}
		switch o.kind {
		case array, arrayCompact:
			if at = w.elements(o, n, at); at < 0 {
				return -1
			}
			continue
		case text, textCompact:
			if n > textMax {
				return w.fail(at, longText)
			}
			if o.null {
				w.left -= pointerBytes
			}
			if n > 0 {
				w.left -= rounded(int64(n)) + 16
			}
		}
		if n > len(w.b)-at {
			return w.fail(at, tooLong)
		}
		at += n
	}
	if w.left < 0 {
		return w.fail(at, tooMuch)
	}
	return at
}

// elements steps over n elements of the array o.
func (w *walker) elements(o *op, n, at int) int {
	if int64(n)*int64(o.size) > int64(len(w.b)-at) {
		return w.fail(at, tooLong)
	}
	if n == 0 {
		return at
	}
	size := int64(o.size)
	switch o.what {
	case reference:
		size = referenceBytes
	case structure:
		size = w.structBytes
	}
	if w.left -= rounded(int64(n)*size) + arrayBytes; w.left < 0 {
		return w.fail(at, tooMuch)
	}
	if o.fixed {
		return at + n*o.size
	}
	for range n {
		if at = w.walk(o.sub, at); at < 0 {
			return -1
		}
	}
	return at
}

// rounded is the room that the allocator takes for n bytes, but for a constant.
func rounded(n int64) int64 { return n + n/4 }

// tags steps over a section of tagged fields.
func (w *walker) tags(known []tagField, at int) int {
	count, at := w.uvarint(at)
	if at < 0 {
		return -1
	}
	if count > (len(w.b)-at)/2 {
		return w.fail(at, tooLong)
	}
	unknown := false
	for range count {
		var tag, size int
		if tag, at = w.uvarint(at); at < 0 {
			return -1
		}
		if size, at = w.uvarint(at); at < 0 {
			return -1
		}
		if size > len(w.b)-at {
			return w.fail(at, tooLong)
		}
		end := at + size
		if f := find(known, tag); f != nil {
			all := w.b
			w.b = all[:end]
			at = w.walk(f.ops, at)
			w.b = all
			switch {
			case at < 0 && (w.reason == cut || w.reason == tooLong):
				return w.fail(w.at, tagSize)
			case at < 0:
				return -1
			case at < end:
				return w.fail(at, tagSize)
			}
			continue
		}
		if at = end; !unknown {
			unknown = true
			w.left -= tagsBytes
		}
		if w.left -= tagBytes; w.left < 0 {
			return w.fail(at, tooMuch)
		}
	}
	return at
}

func find(known []tagField, tag int) *tagField {
	for i := range known {
		if known[i].tag == uint32(tag) {
			return &known[i]
		}
	}
	return nil
}

// uvarint reads a number of up to five bytes and 31 bits.
func (w *walker) uvarint(at int) (v, behind int) {
	for shift := 0; shift < 35; shift += 7 {
		if at == len(w.b) {
			return 0, w.fail(at, cut)
		}
		c := w.b[at]
		at++
		v |= int(c&0x7f) << shift
		if c < 0x80 {
			if v >= 1<<31 {
				return 0, w.fail(at, varint)
			}
			return v, at
		}
	}
	return 0, w.fail(at, varint)
}
