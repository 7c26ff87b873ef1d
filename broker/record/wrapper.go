package record

import (
	"encoding/binary"
	"hash/crc32"
)

// wrapper is the state of a Reader within a compressed message of magic 0 or 1.
type wrapper struct {
	magic     int8
	base      int64 // what turns an inner offset into an absolute one
	timestamp int64 // of all inner messages when that is LogAppendTime
	override  bool
	count     int
}

// openWrapper begins with the compressed message b, its offset and size included.
func (r *Reader) openWrapper(b []byte) error {
	if err := r.parseMessage(b, &r.rec); err != nil {
		return err
	}
	e := r.entry
	if e.Codec == Zstd {
		return invalid("message of magic %d compressed with zstd at offset %d", e.Magic, e.LastOffset)
	}
	if r.rec.Value == nil {
		return invalid("compressed message without a value at offset %d", e.LastOffset)
	}
	r.plain = r.rec.Value
	r.wrapper = wrapper{magic: e.Magic, timestamp: e.MaxTimestamp, override: e.TimestampType == LogAppendTime}
	if e.Magic == 1 {
		// Only the last inner offset says how far the relative ones are from the wrapper's, so the data is read twice rather
		// than kept whole.
		last, err := r.lastInner()
		if err != nil {
			return err
		}
		switch {
		case e.LastOffset == 0: // some versions of librdkafka left the wrapper's offset at 0
		case e.LastOffset < last:
			return invalid("compressed message at offset %d holds the offset %d", e.LastOffset, last)
		default:
			r.wrapper.base = e.LastOffset - last
		}
	}
	r.inside = messages
	return r.openInner()
}

// openInner begins to decompress the wrapper's value.
func (r *Reader) openInner() error {
	r.release()
	dec, err := newDecoder(r.entry.Codec, r.wrapper.magic, r.plain, r.limit)
	if err != nil {
		return err
	}
	r.dec = dec
	r.stream.reset(dec, r.limit)
	return nil
}

// lastInner is the offset of the last inner message as it is written there.
func (r *Reader) lastInner() (int64, error) {
	if err := r.openInner(); err != nil {
		return 0, err
	}
	var last int64
	for {
		b, err := r.innerMessage()
		if b == nil {
			return last, err
		}
		last = int64(binary.BigEndian.Uint64(b))
	}
}

// innerMessage takes the next inner message, offset and size included; nil at the end. One that the end cuts off is left out.
func (r *Reader) innerMessage() ([]byte, error) {
	if !r.stream.fill(LogOverhead) {
		return nil, r.stream.failed()
	}
	size := int32(binary.BigEndian.Uint32(r.stream.buf[r.stream.r+8:]))
	if size < messageSizeV0-LogOverhead || size > sizeMax {
		return nil, corrupt("message of size %d within the one at offset %d", size, r.entry.LastOffset)
	}
	b, ok := r.stream.next(LogOverhead + int(size))
	if !ok {
		return nil, r.stream.failed()
	}
	return b, nil
}

// nextInner reads the next inner message.
func (r *Reader) nextInner() (bool, error) {
	b, err := r.innerMessage()
	if err != nil {
		return false, err
	}
	if b == nil {
		if r.wrapper.count == 0 {
			return false, invalid("compressed message without messages at offset %d", r.entry.LastOffset)
		}
		return false, nil
	}
	magic, attributes := int8(b[posMagic]), b[17]
	switch {
	case magic != r.wrapper.magic:
		return false, invalid("message of magic %d within one of magic %d", magic, r.wrapper.magic)
	case magic == 1 && len(b) < messageSizeV1:
		return false, corrupt("message of %d bytes within the one at offset %d", len(b), r.entry.LastOffset)
	case binary.BigEndian.Uint32(b[12:]) != crc32.ChecksumIEEE(b[posMagic:]):
		return false, corrupt("message with a wrong checksum within the one at offset %d", r.entry.LastOffset)
	case attributes&attrCodec != 0:
		return false, invalid("compressed message within the one at offset %d", r.entry.LastOffset)
	}
	if err := r.parseMessage(b, &r.rec); err != nil {
		return false, err
	}
	r.wrapper.count++
	if magic == 1 {
		r.rec.Offset += r.wrapper.base
		if r.wrapper.override {
			r.rec.Timestamp = r.wrapper.timestamp
		}
	}
	return true, nil
}
