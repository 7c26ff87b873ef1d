package record

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// BuilderOptions say what a Builder's batch looks like. The zero value is an uncompressed batch at offset 0 without a producer.
type BuilderOptions struct {
	BaseOffset  int64
	LeaderEpoch int32
	Codec       Codec
	Level       int // of the codec, as compression.CODEC.level; 0 is its default
	// SizeMax bounds the whole batch, in bytes; 0 is no bound but the format's. Going over it ends the building early, with
	// MESSAGE_TOO_LARGE.
	SizeMax int
	// Control makes it a batch of a marker. See NewControlBatch.
	Control bool
}

// Builder makes one batch of magic 2 of records given one by one, compressing as they come. For one goroutine.
type Builder struct {
	o       BuilderOptions
	out     sink
	enc     encoder
	scratch []byte
	err     error

	count         int32
	lastDelta     int32 // of the batch's last offset
	horizon       bool  // baseTimestamp is a delete horizon
	baseTimestamp int64
	maxTimestamp  int64
	appendTime    int64
	stamped       bool // appendTime is set
	producerID    int64
	producerEpoch int16
	baseSequence  int32
	transactional bool
}

// sink gathers an encoder's output up to a bound.
type sink struct {
	b   []byte
	max int
}

func (s *sink) Write(p []byte) (int, error) {
	if len(s.b)+len(p) > s.max {
		return 0, fmt.Errorf("%w: batch grows beyond %d bytes", kerr.MessageTooLarge, s.max)
	}
	s.b = append(s.b, p...)
	return len(p), nil
}

// NewBuilder begins a batch. Bytes must be called, or Discard, since the builder holds a pooled compressor.
func NewBuilder(o BuilderOptions) *Builder {
	b := &Builder{o: o, producerID: NoProducerID, producerEpoch: -1, baseSequence: -1, maxTimestamp: NoTimestamp}
	b.out.max = sizeMax
	if o.SizeMax > 0 {
		b.out.max = min(o.SizeMax, sizeMax)
	}
	b.out.b = make([]byte, HeaderSize, 512)
	b.enc = newEncoder(&b.out, o.Codec, o.Level, 2)
	return b
}

// SetProducer makes it a batch of an idempotent or transactional producer.
func (b *Builder) SetProducer(id int64, epoch int16, baseSequence int32, transactional bool) {
	b.producerID, b.producerEpoch, b.baseSequence, b.transactional = id, epoch, baseSequence, transactional
}

// SetAppendTime makes the batch one of LogAppendTime ms.
func (b *Builder) SetAppendTime(ms int64) { b.appendTime, b.stamped = ms, true }

// Append adds a record at the next offset; nil keys and values are null, ts is in ms. Nothing is kept of the arguments. The first
// failure is kept: it is what Err and Bytes say, and makes Append do nothing more.
func (b *Builder) Append(key, value []byte, headers []RecordHeader, ts int64) {
	b.append(b.count, key, value, headers, ts)
}

// append adds a record at an offset behind the base, which rises from record to record.
func (b *Builder) append(delta int32, key, value []byte, headers []RecordHeader, ts int64) {
	if b.err != nil {
		return
	}
	if b.count == math.MaxInt32 {
		b.err = fmt.Errorf("%w: batch of 2^31-1 records is full", kerr.MessageTooLarge)
		return
	}
	if b.count == 0 {
		b.maxTimestamp = ts
		if !b.horizon {
			b.baseTimestamp = ts
		}
	}
	b.maxTimestamp = max(b.maxTimestamp, ts)
	if b.o.Codec == None {
		// Without a codec the record goes to its place at once.
		b.out.b = appendRecord(b.out.b, int64(delta), ts-b.baseTimestamp, key, value, headers)
		if len(b.out.b) > b.out.max {
			b.err = fmt.Errorf("%w: batch grows beyond %d bytes", kerr.MessageTooLarge, b.out.max)
		}
	} else {
		b.scratch = appendRecord(b.scratch[:0], int64(delta), ts-b.baseTimestamp, key, value, headers)
		_, b.err = b.enc.Write(b.scratch)
	}
	b.count++
	b.lastDelta = delta
}

// Count is the number of records so far.
func (b *Builder) Count() int { return int(b.count) }

// Size is the number of bytes so far; a compressor may hold more back.
func (b *Builder) Size() int { return len(b.out.b) }

// Err is the first failure so far.
func (b *Builder) Err() error { return b.err }

// Discard gives the compressor back without a result.
func (b *Builder) Discard() {
	if b.enc != nil {
		b.enc.release()
		b.enc = nil
	}
}

// Bytes ends the batch and returns it; it belongs to the caller. A batch without records is INVALID_RECORD. Called once.
func (b *Builder) Bytes() ([]byte, error) {
	defer b.Discard()
	if b.err == nil && b.count == 0 {
		b.err = invalid("batch without records")
	}
	if b.err == nil {
		b.err = b.enc.Close()
	}
	if b.err != nil {
		return nil, b.err
	}
	attributes := int16(b.o.Codec)
	if b.stamped {
		attributes |= attrLogAppendTime
		b.maxTimestamp = b.appendTime
	}
	if b.transactional {
		attributes |= attrTransactional
	}
	if b.o.Control {
		attributes |= attrControl
	}
	if b.horizon {
		attributes |= attrDeleteHorizon
	}
	putHeader(b.out.b, Header{
		BaseOffset: b.o.BaseOffset, Length: int32(len(b.out.b) - LogOverhead), LeaderEpoch: b.o.LeaderEpoch, Magic: 2,
		Attributes: attributes, LastOffsetDelta: b.lastDelta, BaseTimestamp: b.baseTimestamp, MaxTimestamp: b.maxTimestamp,
		ProducerID: b.producerID, ProducerEpoch: b.producerEpoch, BaseSequence: b.baseSequence, Count: b.count,
	})
	setCRC(b.out.b)
	return b.out.b, nil
}

// putHeader writes everything of h but its CRC to the begin of b.
func putHeader(b []byte, h Header) {
	binary.BigEndian.PutUint64(b, uint64(h.BaseOffset))
	putInt32(b[posLength:], h.Length)
	putInt32(b[posLeaderEpoch:], h.LeaderEpoch)
	b[posMagic] = byte(h.Magic)
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(h.Attributes))
	putInt32(b[posLastOffsetDelta:], h.LastOffsetDelta)
	binary.BigEndian.PutUint64(b[posBaseTimestamp:], uint64(h.BaseTimestamp))
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(h.MaxTimestamp))
	binary.BigEndian.PutUint64(b[posProducerID:], uint64(h.ProducerID))
	binary.BigEndian.PutUint16(b[posProducerEpoch:], uint16(h.ProducerEpoch))
	putInt32(b[posBaseSequence:], h.BaseSequence)
	putInt32(b[posCount:], h.Count)
}

func putInt32(b []byte, v int32) { binary.BigEndian.PutUint32(b, uint32(v)) }
