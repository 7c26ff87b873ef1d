package dataplane

import (
	"encoding/binary"
	"errors"
)

var (
	errCut  = errors.New("request body is cut off or malformed")
	errMany = errors.New("request names too many partitions")
)

// A partition takes as little as five bytes in a request, and hundreds in memory. A Produce may name partitionsFree and one more for
// each partitionBytes that it has: no batch is smaller than its header. A Fetch may name partitionsMax; those of more than
// partitionsSmall wait for their share of memory (see scale). pooledMax is up to how many the pools keep room for.
const (
	partitionsFree  = 256
	partitionBytes  = 64
	partitionsMax   = 200_000
	partitionsSmall = 1000
	pooledMax       = 1024
)

// decoder reads a request body. The first read beyond its end sets bad, and everything after it reads as zero, so that
// callers check once. Byte fields alias the body.
type decoder struct {
	b        []byte
	flexible bool
	bad      bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) int8() int8 {
	if b := d.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (d *decoder) int16() int16 {
	if b := d.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (d *decoder) int32() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) int64() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// compact reads the length of a compact field: -1 for null.
func (d *decoder) compact() int {
	v := d.uvarint()
	if v > uint64(len(d.b))+1 {
		d.bad, d.b = true, nil
		return 0
	}
	return int(v) - 1
}

// bytes reads a byte field, or records; ok is false for null.
func (d *decoder) bytes() (b []byte, ok bool) {
	n := 0
	if d.flexible {
		n = d.compact()
	} else {
		n = int(d.int32())
	}
	return d.sized(n)
}

// text reads a string; ok is false for null.
func (d *decoder) text() (b []byte, ok bool) {
	n := 0
	if d.flexible {
		n = d.compact()
	} else {
		n = int(d.int16())
	}
	return d.sized(n)
}

func (d *decoder) sized(n int) ([]byte, bool) {
	switch {
	case n >= 0:
		return d.take(n), !d.bad
	case n < -1:
		d.bad, d.b = true, nil
	}
	return nil, false
}

// count reads the length of an array whose elements have at least size bytes each, so that a claimed length cannot exceed what
// is there. null counts as empty.
func (d *decoder) count(size int) int {
	n := 0
	if d.flexible {
		n = d.compact()
	} else {
		n = int(d.int32())
	}
	if n < -1 || n > len(d.b)/size {
		d.bad, d.b = true, nil
		return 0
	}
	return max(n, 0)
}

// tags hands the tagged fields of a flexible version to field, which may be nil.
func (d *decoder) tags(field func(tag uint64, d *decoder)) {
	if !d.flexible {
		return
	}
	n := d.uvarint()
	for ; n > 0 && !d.bad; n-- {
		tag := d.uvarint()
		size := d.uvarint()
		if size > uint64(len(d.b)) {
			d.bad, d.b = true, nil
			return
		}
		b := d.take(int(size))
		if field != nil && !d.bad {
			in := decoder{b: b, flexible: true}
			field(tag, &in)
			d.bad = d.bad || in.bad
		}
	}
}

// intern returns b as a string, which is old if they are equal: requests of one client repeat their topics.
func intern(old string, b []byte) string {
	if string(b) == old {
		return old
	}
	return string(b)
}

// encoder appends an answer.
type encoder struct {
	b        []byte
	flexible bool
}

func (e *encoder) int16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

func (e *encoder) uvarint(v int) { e.b = binary.AppendUvarint(e.b, uint64(v)) }

// count begins an array, or a byte field, of n elements; -1 for null.
func (e *encoder) count(n int) {
	if e.flexible {
		e.uvarint(n + 1)
	} else {
		e.int32(int32(n))
	}
}

func (e *encoder) text(s string) {
	if e.flexible {
		e.uvarint(len(s) + 1)
	} else {
		e.int16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}

func (e *encoder) nullableText(s *string) {
	switch {
	case s != nil:
		e.text(*s)
	case e.flexible:
		e.uvarint(0)
	default:
		e.int16(-1)
	}
}

// noTags ends a structure of a flexible version.
func (e *encoder) noTags() {
	if e.flexible {
		e.b = append(e.b, 0)
	}
}

// tag adds one tagged field, whose bytes body appends.
func (e *encoder) tag(tag int, body func(*encoder)) {
	in := encoder{flexible: true}
	body(&in)
	e.uvarint(tag)
	e.uvarint(len(in.b))
	e.b = append(e.b, in.b...)
}

// leaders gathers the brokers that an answer refers to (KIP-951), each once.
type leaders []Leader

func (ls *leaders) add(l Leader) {
	if l.Host == "" {
		return
	}
	for _, known := range *ls {
		if known.ID == l.ID {
			return
		}
	}
	*ls = append(*ls, l)
}

// encodeTag writes the tagged field node_endpoints, tag 0 of Produce and Fetch answers, as the only tag of the answer.
func (ls leaders) encodeTag(e *encoder) {
	if len(ls) == 0 {
		e.noTags()
		return
	}
	e.uvarint(1)
	e.tag(0, func(e *encoder) {
		e.count(len(ls))
		for _, l := range ls {
			e.int32(l.ID)
			e.text(l.Host)
			e.int32(l.Port)
			e.nullableText(l.Rack)
			e.noTags()
		}
	})
}

// encodeLeader writes a current_leader structure under the tag.
func encodeLeader(e *encoder, tag int, l Leader) {
	e.tag(tag, func(e *encoder) {
		e.int32(l.ID)
		e.int32(l.Epoch)
		e.noTags()
	})
}
