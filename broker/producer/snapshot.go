package producer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	snapshotVersion    = 1
	snapshotHeaderSize = 10
	snapshotEntrySize  = 46
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeSnapshot is the content of a .snapshot file.
func EncodeSnapshot(entries []Entry) []byte {
	b := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(entries)*snapshotEntrySize)
	be := binary.BigEndian
	be.PutUint16(b, snapshotVersion)
	be.PutUint32(b[6:], uint32(len(entries)))
	for i := range entries {
		e := &entries[i]
		last, ok := e.Last()
		if !ok {
			last = Batch{LastOffset: -1, LastSequence: -1}
		}
		b = be.AppendUint64(b, uint64(e.ID))
		b = be.AppendUint16(b, uint16(e.Epoch))
		b = be.AppendUint32(b, uint32(last.LastSequence))
		b = be.AppendUint64(b, uint64(last.LastOffset))
		b = be.AppendUint32(b, uint32(last.OffsetDelta))
		b = be.AppendUint64(b, uint64(e.Timestamp))
		b = be.AppendUint32(b, uint32(e.CoordinatorEpoch))
		b = be.AppendUint64(b, uint64(e.TxnFirstOffset))
	}
	be.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
	return b
}

// DecodeSnapshot reads what EncodeSnapshot or Apache Kafka wrote. Any damage is an error. written is when the file was written,
// in ms: every producer in it had been heard of by then, whatever its own timestamps say.
func DecodeSnapshot(b []byte, written int64) ([]Entry, error) {
	be := binary.BigEndian
	if len(b) < snapshotHeaderSize {
		return nil, fmt.Errorf("producer snapshot of %d bytes is cut off", len(b))
	}
	if v := be.Uint16(b); v != snapshotVersion {
		return nil, fmt.Errorf("producer snapshot has version %d, want %d", v, snapshotVersion)
	}
	if crc := crc32.Checksum(b[6:], castagnoli); crc != be.Uint32(b[2:]) {
		return nil, fmt.Errorf("producer snapshot has checksum %08x, its header says %08x", crc, be.Uint32(b[2:]))
	}
	n, rest := int64(be.Uint32(b[6:])), b[snapshotHeaderSize:]
	if n*snapshotEntrySize != int64(len(rest)) {
		return nil, fmt.Errorf("producer snapshot claims %d entries in %d bytes", n, len(rest))
	}
	entries := make([]Entry, n)
	for i := range entries {
		f := rest[i*snapshotEntrySize:]
		e := newEntry(int64(be.Uint64(f)))
		e.Epoch = int16(be.Uint16(f[8:]))
		last := Batch{LastSequence: int32(be.Uint32(f[10:])), LastOffset: int64(be.Uint64(f[14:])), OffsetDelta: int32(be.Uint32(f[22:])), Timestamp: int64(be.Uint64(f[26:]))}
		e.Timestamp = last.Timestamp
		e.Seen = max(e.Timestamp, written)
		e.CoordinatorEpoch = int32(be.Uint32(f[34:]))
		e.TxnFirstOffset = max(int64(be.Uint64(f[38:])), -1)
		if last.LastOffset >= 0 {
			e.add(last)
		}
		entries[i] = e
	}
	return entries, nil
}
