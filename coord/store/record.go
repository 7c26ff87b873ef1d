package store

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	recordHeader  = 32
	recordAlign   = 8
	maxPayload    = 1 << 30
	segmentMagic  = "OTTLAWAL"
	formatVersion = 1
	segmentHeader = 48 // payload of a segment record
)

// kind is what a record holds.
type kind uint8

const (
	kindSegment    kind = 1
	kindHardState  kind = 2
	kindEntry      kind = 3
	kindMembership kind = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// HardState is what raft must remember besides the entries. Commit may be behind after a crash; Term and Vote may not.
type HardState struct {
	Term, Vote, Commit uint64
}

// Entry is one entry of the log.
type Entry struct {
	Index, Term uint64
	// Membership marks an entry that changes the members of the group.
	Membership bool
	Data       []byte
}

func (e *Entry) kind() kind {
	if e.Membership {
		return kindMembership
	}
	return kindEntry
}

// record is one record as read from a segment. payload aliases the reader's buffer.
type record struct {
	kind        kind
	synced      uint32
	term, index uint64
	crc         uint32
	payload     []byte
}

func (r *record) isEntry() bool { return r.kind == kindEntry || r.kind == kindMembership }

// recordSize is how many bytes of a segment a payload takes.
func recordSize(payload int) int64 {
	return int64(recordHeader+payload+recordAlign-1) &^ (recordAlign - 1)
}

// appendRecord appends the record, padding included, and returns its checksum. r.crc is not used.
func appendRecord(dst []byte, r record) ([]byte, uint32) {
	at := len(dst)
	dst = append(dst, make([]byte, recordHeader)...)
	h := dst[at:]
	binary.LittleEndian.PutUint32(h[4:], uint32(len(r.payload)))
	h[8] = byte(r.kind)
	binary.LittleEndian.PutUint32(h[12:], r.synced)
	binary.LittleEndian.PutUint64(h[16:], r.term)
	binary.LittleEndian.PutUint64(h[24:], r.index)
	dst = append(dst, r.payload...)
	crc := crc32.Checksum(dst[at+4:], castagnoli)
	binary.LittleEndian.PutUint32(dst[at:], crc)
	var zero [recordAlign]byte
	return append(dst, zero[:(recordAlign-len(dst)%recordAlign)%recordAlign]...), crc
}

// parseHeader reads a record's header. ok is false when no writer of ours can have written it, so that rubbish costs no
// checksum; rest is how many bytes the file holds from the header on.
func parseHeader(h []byte, rest int64) (r record, length int, ok bool) {
	n := binary.LittleEndian.Uint32(h[4:])
	r = record{
		crc:    binary.LittleEndian.Uint32(h),
		kind:   kind(h[8]),
		synced: binary.LittleEndian.Uint32(h[12:]),
		term:   binary.LittleEndian.Uint64(h[16:]),
		index:  binary.LittleEndian.Uint64(h[24:]),
	}
	ok = r.kind >= kindSegment && r.kind <= kindMembership && h[9]|h[10]|h[11] == 0 &&
		n <= maxPayload && recordHeader+int64(n) <= rest
	switch r.kind {
	case kindSegment:
		ok = ok && n == segmentHeader
	case kindHardState:
		ok = ok && n == 8
	}
	return r, int(n), ok
}

// appendSegmentRecord appends the record that opens a segment.
func appendSegmentRecord(dst []byte, first, prevTerm, cluster uint64, prevCRC uint32, hs HardState) ([]byte, uint32) {
	p := make([]byte, 0, segmentHeader)
	p = append(p, segmentMagic...)
	p = binary.LittleEndian.AppendUint32(p, formatVersion)
	p = binary.LittleEndian.AppendUint32(p, prevCRC)
	for _, v := range []uint64{cluster, hs.Term, hs.Vote, hs.Commit} {
		p = binary.LittleEndian.AppendUint64(p, v)
	}
	return appendRecord(dst, record{kind: kindSegment, term: prevTerm, index: first, payload: p})
}

// segmentInfo is the payload of a segment record.
type segmentInfo struct {
	version uint32
	prevCRC uint32
	cluster uint64
	hs      HardState
}

func parseSegmentInfo(p []byte) (segmentInfo, bool) {
	if len(p) != segmentHeader || string(p[:8]) != segmentMagic {
		return segmentInfo{}, false
	}
	u64 := binary.LittleEndian.Uint64
	return segmentInfo{
		version: binary.LittleEndian.Uint32(p[8:]),
		prevCRC: binary.LittleEndian.Uint32(p[12:]),
		cluster: u64(p[16:]),
		hs:      HardState{Term: u64(p[24:]), Vote: u64(p[32:]), Commit: u64(p[40:])},
	}, true
}
