package commitlog

import (
	"encoding/binary"
	"math"
)

const (
	offsetEntrySize = 8
	timeEntrySize   = 12
	txnEntrySize    = 34
)

// offsetEntry says that the batch whose last offset is base+rel begins at byte pos.
type offsetEntry struct {
	rel int32
	pos int32
}

// timeEntry says that up to offset base+rel no timestamp is greater than ts.
type timeEntry struct {
	ts  int64
	rel int32
}

// indexes are the three indexes of the active segment, in the heap. They have one writer (the log's mutex) and readers without a
// lock. What of them is in files is told by segment.written.
type indexes struct {
	offsets growing[offsetEntry]
	times   growing[timeEntry]
	txns    growing[AbortedTxn]
}

// lookup is where a scan for the batch with the offset base+rel must begin.
func (x *indexes) lookup(rel int64) (pos int64) {
	if i := x.offsets.search(func(e offsetEntry) bool { return int64(e.rel) <= rel }); i > 0 {
		return int64(x.offsets.at(i - 1).pos)
	}
	return 0
}

// lookupTime is where a scan for the first record with a timestamp of at least ts must begin, as an offset behind base: the
// last entry that is not above ts.
func (x *indexes) lookupTime(ts int64) (rel int32) {
	if i := x.times.search(func(e timeEntry) bool { return e.ts <= ts }); i > 0 {
		return x.times.at(i - 1).rel
	}
	return 0
}

// after is the last offset, behind base, of the first indexed batch that begins at pos or later; false: there is none.
func (x *indexes) after(pos int64) (rel int32, ok bool) {
	if i := x.offsets.search(func(e offsetEntry) bool { return int64(e.pos) < pos }); i < x.offsets.len() {
		return x.offsets.at(i).rel, true
	}
	return 0, false
}

// addOffset adds an entry unless it does not come after the last one: offsets and positions strictly rise.
func (x *indexes) addOffset(e offsetEntry) {
	if n := x.offsets.len(); n > 0 {
		if last := x.offsets.at(n - 1); e.rel <= last.rel || e.pos <= last.pos {
			return
		}
	}
	x.offsets.add(e)
}

// addTime adds an entry if its time is greater than the last one's and its offset not smaller.
func (x *indexes) addTime(e timeEntry) {
	last := timeEntry{ts: -1}
	if n := x.times.len(); n > 0 {
		last = x.times.at(n - 1)
	}
	if e.ts > last.ts && e.rel >= last.rel {
		x.times.add(e)
	}
}

func encodeOffsets(g *growing[offsetEntry], from, to int) []byte {
	b := make([]byte, 0, (to-from)*offsetEntrySize)
	for i := from; i < to; i++ {
		e := g.at(i)
		b = binary.BigEndian.AppendUint32(b, uint32(e.rel))
		b = binary.BigEndian.AppendUint32(b, uint32(e.pos))
	}
	return b
}

func encodeTimes(g *growing[timeEntry], from, to int) []byte {
	b := make([]byte, 0, (to-from)*timeEntrySize)
	for i := from; i < to; i++ {
		e := g.at(i)
		b = binary.BigEndian.AppendUint64(b, uint64(e.ts))
		b = binary.BigEndian.AppendUint32(b, uint32(e.rel))
	}
	return b
}

func encodeTxns(g *growing[AbortedTxn], from, to int) []byte {
	b := make([]byte, 0, (to-from)*txnEntrySize)
	for i := from; i < to; i++ {
		t := g.at(i)
		b = binary.BigEndian.AppendUint16(b, 0)
		b = binary.BigEndian.AppendUint64(b, uint64(t.ProducerID))
		b = binary.BigEndian.AppendUint64(b, uint64(t.FirstOffset))
		b = binary.BigEndian.AppendUint64(b, uint64(t.LastOffset))
		b = binary.BigEndian.AppendUint64(b, uint64(t.LastStable))
	}
	return b
}

func decodeOffset(b []byte) offsetEntry {
	return offsetEntry{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))}
}

func decodeTime(b []byte) timeEntry {
	return timeEntry{int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:]))}
}

func decodeTxn(b []byte) (t AbortedTxn, ok bool) {
	be := binary.BigEndian
	t = AbortedTxn{int64(be.Uint64(b[2:])), int64(be.Uint64(b[10:])), int64(be.Uint64(b[18:])), int64(be.Uint64(b[26:]))}
	return t, be.Uint16(b) == 0 && t.FirstOffset >= 0 && t.LastOffset >= t.FirstOffset && t.LastStable >= 0
}

// goodOffsets decodes the entries at the start of an offset index that can be trusted: rising offsets and rising positions,
// inside of size bytes of log. What a power cut or another broker's preallocation left behind them (zeros, most of the time)
// is not one.
func goodOffsets(b []byte, size int64) []offsetEntry {
	var good []offsetEntry
	last := offsetEntry{-1, -1}
	for ; len(b) >= offsetEntrySize; b = b[offsetEntrySize:] {
		e := decodeOffset(b)
		if e.rel <= last.rel || e.pos <= last.pos || int64(e.pos) >= size || e == (offsetEntry{}) {
			break
		}
		good = append(good, e)
		last = e
	}
	return good
}

// goodTimes is goodOffsets for a time index: times rise, offsets do not fall.
func goodTimes(b []byte) []timeEntry {
	var good []timeEntry
	last := timeEntry{-1, 0}
	for ; len(b) >= timeEntrySize; b = b[timeEntrySize:] {
		e := decodeTime(b)
		if e.ts <= last.ts || e.rel < last.rel || e == (timeEntry{}) {
			break
		}
		good = append(good, e)
		last = e
	}
	return good
}

// goodTxns is goodOffsets for a transaction index.
func goodTxns(b []byte) []AbortedTxn {
	var good []AbortedTxn
	last := int64(math.MinInt64)
	for ; len(b) >= txnEntrySize; b = b[txnEntrySize:] {
		t, ok := decodeTxn(b)
		if !ok || t.LastOffset <= last {
			break
		}
		good = append(good, t)
		last = t.LastOffset
	}
	return good
}
