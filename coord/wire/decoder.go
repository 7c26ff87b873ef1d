package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort says that a record ends before its last field, or that a length inside it is negative or larger than what is left. A
// server answers it with CodeMarshallingError.
var ErrShort = errors.New("record is cut short or has a wrong length")

// Decoder reads a record from a frame. The first error sticks: later calls return zero values. Bytes behind the last field that is
// read are ignored, as ZooKeeper does. The zero value is an empty record; use NewDecoder. Not safe for concurrent use.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder reads from b, which it neither copies nor changes.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Err is the first error, or nil.
func (d *Decoder) Err() error { return d.err }

// Rest is what has not been read yet, nil after an error. It points into the frame.
func (d *Decoder) Rest() []byte { return d.b }

// Fail sets the sticky error if there is none, for a caller that found a field to be wrong.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err, d.b = err, nil
	}
}

func (d *Decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.Fail(ErrShort)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// Int reads an int32.
func (d *Decoder) Int() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// Long reads an int64.
func (d *Decoder) Long() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// Bool reads a boolean: any byte but 0 is true.
func (d *Decoder) Bool() bool {
	if b := d.take(1); b != nil {
		return b[0] != 0
	}
	return false
}

// Buffer reads a buffer. nil is null; an empty buffer is not nil. The result points into the frame.
func (d *Decoder) Buffer() []byte {
	n := d.Int()
	if d.err != nil || n == -1 {
		return nil
	}
	b := d.take(int(n))
	if b == nil && d.err == nil {
		b = []byte{}
	}
	return b
}

// String reads a string as bytes that point into the frame; nil is null. The bytes need not be valid UTF-8: where the difference
// can be seen, a wrong sequence counts as U+FFFD.
func (d *Decoder) String() []byte { return d.Buffer() }

// Count reads the count of a vector whose elements take at least elem bytes each. null says that it was -1. A count that does not
// fit into the rest of the frame is an error, so callers may allocate by it.
func (d *Decoder) Count(elem int) (n int, null bool) {
	c := d.Int()
	if d.err != nil {
		return 0, false
	}
	if c == -1 {
		return 0, true
	}
	if c < 0 || int64(c)*int64(elem) > int64(len(d.b)) {
		d.Fail(ErrShort)
		return 0, false
	}
	return int(c), false
}
