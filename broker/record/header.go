package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Sizes of the fixed parts, in bytes.
const (
	HeaderSize  = 61 // header of a batch of magic 2
	LogOverhead = 12 // offset and size, which every magic begins with
	// magicEnd is how much of an entry must be there to know its magic.
	magicEnd = 17
)

// Positions of the fields of a batch of magic 2.
const (
	posLength          = 8
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posCount           = 57
)

// Bits of a batch's attributes.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

// NoTimestamp stands for a record without a time: all of magic 0.
const NoTimestamp int64 = -1

// NoProducerID stands for a batch that no idempotent producer wrote.
const NoProducerID int64 = -1

// castagnoli is the polynomial of batches of magic 2. Safe for concurrent use.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// TimestampType says who set a record's time.
type TimestampType int8

// The two types, with the values of the wire's attribute bit.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// String is the name of message.timestamp.type's value.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Header is the fixed part of a batch of magic 2. It is a copy: changing it does not change the batch.
type Header struct {
	BaseOffset      int64
	Length          int32 // bytes of the batch without the first LogOverhead
	LeaderEpoch     int32
	Magic           int8 // always 2
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64 // ms; the delete horizon when HasDeleteHorizon
	MaxTimestamp    int64 // ms
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32 // records; 0 only in what the cleaner emptied
}

// ParseHeader reads the header of the batch that b begins with. b needs at least HeaderSize bytes, not the whole batch; fewer
// are ErrShort. It fails with CORRUPT_MESSAGE when the magic is not 2 or a length cannot be. It checks no CRC.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	h := readHeader(b)
	switch {
	case h.Magic != 2:
		return Header{}, corrupt("magic %d where a batch of magic 2 was expected", h.Magic)
	case h.Length < HeaderSize-LogOverhead || h.Length > sizeMax:
		return Header{}, corrupt("batch at offset %d claims a length of %d", h.BaseOffset, h.Length)
	case h.Count < 0 || h.LastOffsetDelta < 0:
		return Header{}, corrupt("batch at offset %d claims %d records up to offset delta %d", h.BaseOffset, h.Count, h.LastOffsetDelta)
	}
	return h, nil
}

// readHeader reads the fields, whatever they are.
func readHeader(b []byte) Header {
	b = b[:HeaderSize]
	return Header{
		BaseOffset:      int64(binary.BigEndian.Uint64(b)),
		Length:          int32(binary.BigEndian.Uint32(b[posLength:])),
		LeaderEpoch:     int32(binary.BigEndian.Uint32(b[posLeaderEpoch:])),
		Magic:           int8(b[posMagic]),
		CRC:             binary.BigEndian.Uint32(b[posCRC:]),
		Attributes:      int16(binary.BigEndian.Uint16(b[posAttributes:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(b[posLastOffsetDelta:])),
		BaseTimestamp:   int64(binary.BigEndian.Uint64(b[posBaseTimestamp:])),
		MaxTimestamp:    int64(binary.BigEndian.Uint64(b[posMaxTimestamp:])),
		ProducerID:      int64(binary.BigEndian.Uint64(b[posProducerID:])),
		ProducerEpoch:   int16(binary.BigEndian.Uint16(b[posProducerEpoch:])),
		BaseSequence:    int32(binary.BigEndian.Uint32(b[posBaseSequence:])),
		Count:           int32(binary.BigEndian.Uint32(b[posCount:])),
	}
}

// sizeMax keeps Size within an int32, as segment positions are.
const sizeMax = 1<<31 - 1 - LogOverhead

// Size is the number of bytes of the whole batch.
func (h Header) Size() int { return LogOverhead + int(h.Length) }

// LastOffset is the offset of the batch's last record, or where it was before the cleaner took it out.
func (h Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// NextOffset is the first offset behind the batch.
func (h Header) NextOffset() int64 { return h.LastOffset() + 1 }

// Codec is the batch's compression. It may be one that does not exist: Codec.Valid.
func (h Header) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// TimestampType says whether MaxTimestamp overrides the times of the records.
func (h Header) TimestampType() TimestampType {
	if h.Attributes&attrLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// IsTransactional says whether the batch belongs to a transaction, as data or as marker.
func (h Header) IsTransactional() bool { return h.Attributes&attrTransactional != 0 }

// IsControl says whether the batch holds a marker instead of data.
func (h Header) IsControl() bool { return h.Attributes&attrControl != 0 }

// HasProducerID says whether an idempotent producer wrote the batch.
func (h Header) HasProducerID() bool { return h.ProducerID > NoProducerID }

// DeleteHorizon is the time in ms from which the cleaner may drop the batch's tombstones or marker, if one is set.
func (h Header) DeleteHorizon() (ms int64, ok bool) {
	return h.BaseTimestamp, h.Attributes&attrDeleteHorizon != 0
}

// LastSequence is the sequence number of the last record. Sequences wrap: 0 follows 2^31-1. -1 without a sequence.
func (h Header) LastSequence() int32 {
	if h.BaseSequence < 0 {
		return -1
	}
	return AddSequence(h.BaseSequence, h.LastOffsetDelta)
}

// AddSequence adds n ≥ 0 to a sequence number, wrapping from 2^31-1 to 0.
func AddSequence(sequence, n int32) int32 {
	return int32((int64(sequence) + int64(n)) & (1<<31 - 1))
}

// CheckCRC compares the checksum of the batch of magic 2 that b begins with. It fails with CORRUPT_MESSAGE, also when b is
// shorter than the batch.
func CheckCRC(b []byte) error {
	h, err := ParseHeader(b)
	if err != nil {
		return corrupt("%d bytes hold no batch", len(b))
	}
	if len(b) < h.Size() {
		return corrupt("batch at offset %d has %d of its %d bytes", h.BaseOffset, len(b), h.Size())
	}
	if crc := crc32.Checksum(b[posAttributes:h.Size()], castagnoli); crc != h.CRC {
		return corrupt("batch at offset %d has checksum %08x, its header says %08x", h.BaseOffset, crc, h.CRC)
	}
	return nil
}

// SetBaseOffset stamps the batch of magic 2 that b begins with. No checksum covers the field.
func SetBaseOffset(b []byte, offset int64) {
	binary.BigEndian.PutUint64(b[:8], uint64(offset))
}

// SetLeaderEpoch stamps the batch of magic 2 that b begins with. No checksum covers the field.
func SetLeaderEpoch(b []byte, epoch int32) {
	binary.BigEndian.PutUint32(b[posLeaderEpoch:posMagic], uint32(epoch))
}

// SetAppendTime makes the batch of magic 2 that b begins with one of LogAppendTime ts (ms) and renews its checksum. The times
// of the records stay as they are; readers take the batch's.
func SetAppendTime(b []byte, ts int64) {
	b[posAttributes+1] |= attrLogAppendTime
	binary.BigEndian.PutUint64(b[posMaxTimestamp:posProducerID], uint64(ts))
	setCRC(b)
}

// setCRC renews the checksum of the batch that b begins with.
func setCRC(b []byte) {
	end := LogOverhead + int(int32(binary.BigEndian.Uint32(b[posLength:])))
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:end], castagnoli))
}

// corrupt is CORRUPT_MESSAGE with a reason.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kerr.CorruptMessage}, args...)...)
}
