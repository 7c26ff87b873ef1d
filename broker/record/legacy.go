package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// MessageSet makes a set of messages of magic 0 or 1, for clients that know no other. With a codec it becomes one wrapper message.
// For one goroutine.
type MessageSet struct {
	magic      int8
	codec      Codec
	appendTime int64
	stamped    bool

	out     sink
	begin   int // where this set begins in out
	enc     encoder
	scratch []byte
	err     error

	count        int
	first, last  int64 // offsets
	maxTimestamp int64
}

// NewMessageSet begins a set of messages that is appended to dst. zstd does not exist below magic 2: Bytes says
// UNSUPPORTED_COMPRESSION_TYPE. Bytes must be called, since the set holds a pooled compressor.
func NewMessageSet(dst []byte, magic int8, codec Codec, level int) *MessageSet {
	s := &MessageSet{magic: magic, codec: codec, maxTimestamp: NoTimestamp}
	s.out = sink{b: dst, max: sizeMax}
	s.begin = len(dst)
	switch {
	case magic != 0 && magic != 1:
		s.err = fmt.Errorf("%w: message set of magic %d", kerr.UnsupportedForMessageFormat, magic)
	case codec == Zstd || !codec.Valid():
		s.err = fmt.Errorf("%w: %s in magic %d", kerr.UnsupportedCompressionType, codec, magic)
	case codec != None:
		s.out.b = append(s.out.b, make([]byte, s.fixed())...) // the wrapper's, filled in by Bytes
		s.enc = newEncoder(&s.out, codec, level, magic)
	}
	return s
}

// fixed is the size of a message without key and value.
func (s *MessageSet) fixed() int {
	if s.magic == 0 {
		return messageSizeV0
	}
	return messageSizeV1
}

// SetAppendTime makes the messages ones of LogAppendTime ms; magic 0 has no time.
func (s *MessageSet) SetAppendTime(ms int64) { s.appendTime, s.stamped = ms, true }

// Append adds a message; nil keys and values are null, ts is in ms. Offsets ascend. Nothing is kept of the arguments.
func (s *MessageSet) Append(offset int64, key, value []byte, ts int64) {
	if s.err != nil {
		return
	}
	if s.stamped {
		ts = s.appendTime
	}
	if s.count == 0 {
		s.first = offset
	}
	s.count++
	s.last, s.maxTimestamp = offset, max(s.maxTimestamp, ts)
	if s.enc == nil {
		s.out.b = s.appendMessage(s.out.b, offset, key, value, ts)
		if len(s.out.b) > s.out.max {
			s.err = fmt.Errorf("%w: message set grows beyond %d bytes", kerr.MessageTooLarge, s.out.max)
		}
		return
	}
	if s.magic == 1 {
		offset -= s.first
	}
	s.scratch = s.appendMessage(s.scratch[:0], offset, key, value, ts)
	_, s.err = s.enc.Write(s.scratch)
}

// Bytes ends the set and returns what NewMessageSet was given with the set behind it. Called once.
func (s *MessageSet) Bytes() ([]byte, error) {
	if s.enc != nil {
		if s.err == nil {
			s.err = s.enc.Close()
		}
		s.enc.release()
		s.enc = nil
	}
	switch {
	case s.err != nil:
		return nil, s.err
	case s.count == 0:
		return s.out.b[:s.begin], nil
	case s.codec != None:
		m := s.out.b[s.begin:]
		s.putMessageHead(m, s.last, len(m), byte(s.codec), s.maxTimestamp)
		fields := m[s.fixed()-8:]
		putInt32(fields, -1) // no key
		putInt32(fields[4:], int32(len(fields)-8))
		binary.BigEndian.PutUint32(m[12:], crc32.ChecksumIEEE(m[posMagic:]))
	}
	return s.out.b, nil
}

// appendMessage appends one uncompressed message.
func (s *MessageSet) appendMessage(dst []byte, offset int64, key, value []byte, ts int64) []byte {
	begin := len(dst)
	dst = append(dst, make([]byte, s.fixed()-8)...)
	for _, field := range [2][]byte{key, value} {
		size := int32(len(field))
		if field == nil {
			size = -1
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(size))
		dst = append(dst, field...)
	}
	m := dst[begin:]
	s.putMessageHead(m, offset, len(m), 0, ts)
	binary.BigEndian.PutUint32(m[12:], crc32.ChecksumIEEE(m[posMagic:]))
	return dst
}

// putMessageHead writes everything of a message of size bytes before its key, but for the CRC.
func (s *MessageSet) putMessageHead(m []byte, offset int64, size int, attributes byte, ts int64) {
	binary.BigEndian.PutUint64(m, uint64(offset))
	putInt32(m[8:], int32(size-LogOverhead))
	m[posMagic] = byte(s.magic)
	if s.magic == 1 {
		if s.stamped {
			attributes |= attrLogAppendTime
		}
		binary.BigEndian.PutUint64(m[18:], uint64(ts))
	}
	m[17] = attributes
}
