package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// ErrShort says that there are fewer bytes than the question needs: at the end of a read, or of a log that was cut off.
var ErrShort = errors.New("record: too few bytes")

// Fixed sizes of messages of magic 0 and 1, offset and size included, key and value empty.
const (
	messageSizeV0 = LogOverhead + 14
	messageSizeV1 = LogOverhead + 22
)

// EntryHeaderBytes is how many bytes of an entry NextEntry needs at most: the header of the largest kind.
const EntryHeaderBytes = HeaderSize

// EntryInfo describes one entry of a log file: a batch of magic 2, or one message of magic 0 or 1, which may be a wrapper.
type EntryInfo struct {
	Magic int8
	Size  int // bytes, all of it

	// BaseOffset is the first offset. Of a compressed message it is only known inside: here it is the wrapper's own, equal to
	// LastOffset.
	BaseOffset int64
	LastOffset int64

	MaxTimestamp  int64 // ms; NoTimestamp in magic 0
	TimestampType TimestampType
	Codec         Codec
	LeaderEpoch   int32 // -1 below magic 2

	// Header is the whole header of a batch of magic 2; below that its producer fields are -1 and the rest is zero.
	Header Header
}

// NextOffset is the first offset behind the entry.
func (e EntryInfo) NextOffset() int64 { return e.LastOffset + 1 }

// NextEntry describes the entry that b begins with. b needs its header (EntryHeaderBytes are enough for every magic), not all
// of it: compare Size. ErrShort when even the header is cut off; CORRUPT_MESSAGE when the bytes can be no entry. It checks no
// CRC (CheckEntryCRC) and does not look into compressed data.
func NextEntry(b []byte) (EntryInfo, error) {
	if len(b) < magicEnd {
		return EntryInfo{}, ErrShort
	}
	magic := int8(b[posMagic])
	if magic == 2 {
		h, err := ParseHeader(b)
		if err != nil {
			return EntryInfo{}, err
		}
		return EntryInfo{
			Magic: 2, Size: h.Size(), BaseOffset: h.BaseOffset, LastOffset: h.LastOffset(), MaxTimestamp: h.MaxTimestamp,
			TimestampType: h.TimestampType(), Codec: h.Codec(), LeaderEpoch: h.LeaderEpoch, Header: h,
		}, nil
	}
	offset, size := int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:]))
	fixed := messageSizeV0
	switch magic {
	case 0:
	case 1:
		fixed = messageSizeV1
	default:
		return EntryInfo{}, corrupt("magic %d at offset %d", magic, offset)
	}
	if size < int32(fixed-LogOverhead) || size > sizeMax {
		return EntryInfo{}, corrupt("message at offset %d claims a size of %d", offset, size)
	}
	if len(b) < fixed {
		return EntryInfo{}, ErrShort
	}
	e := EntryInfo{
		Magic: magic, Size: LogOverhead + int(size), BaseOffset: offset, LastOffset: offset, MaxTimestamp: NoTimestamp,
		Codec: Codec(b[17] & attrCodec), LeaderEpoch: -1,
		Header: Header{LeaderEpoch: -1, ProducerID: NoProducerID, ProducerEpoch: -1, BaseSequence: -1},
	}
	if magic == 1 {
		e.MaxTimestamp = int64(binary.BigEndian.Uint64(b[18:]))
		if b[17]&attrLogAppendTime != 0 {
			e.TimestampType = LogAppendTime
		}
	}
	return e, nil
}

// CheckEntryCRC compares the checksum of the entry that b begins with, of any magic. It fails with CORRUPT_MESSAGE, also when
// b is shorter than the entry.
func CheckEntryCRC(b []byte) error {
	e, err := NextEntry(b)
	if err != nil {
		return corrupt("%d bytes hold no entry", len(b))
	}
	if len(b) < e.Size {
		return corrupt("entry at offset %d has %d of its %d bytes", e.BaseOffset, len(b), e.Size)
	}
	if e.Magic == 2 {
		return CheckCRC(b)
	}
	want := binary.BigEndian.Uint32(b[12:])
	if crc := crc32.ChecksumIEEE(b[posMagic:e.Size]); crc != want {
		return corrupt("message at offset %d has checksum %08x, its header says %08x", e.BaseOffset, crc, want)
	}
	return nil
}
