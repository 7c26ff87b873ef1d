package record

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/topic"
)

// Compression is a topic's compression.type. The zero value is "producer": whatever codec the records come in.
type Compression struct {
	Forced bool // recompress what comes in another codec
	Codec  Codec
	Level  int // compression.CODEC.level; 0 is the codec's default. Another level alone forces nothing.
}

// NoTimestampLimit is message.timestamp.before.max.ms and after.max.ms when they bound nothing.
const NoTimestampLimit int64 = math.MaxInt64

// ValidateOptions are what a leader's checks depend on.
type ValidateOptions struct {
	Version         int16 // of the Produce request
	Partition       topic.Partition
	MessageBytesMax int  // max.message.bytes
	SegmentBytes    int  // segment.bytes
	Compacted       bool // cleanup.policy has compact: every record needs a key
	Compression     Compression

	TimestampType      TimestampType // message.timestamp.type
	TimestampBeforeMax int64         // message.timestamp.before.max.ms
	TimestampAfterMax  int64         // message.timestamp.after.max.ms
	Now                int64         // ms

	// Batches is where Validated.Batches is appended to: with room for one header, nothing is allocated.
	Batches []Header
}

// Validated is what may be appended.
type Validated struct {
	// Records are contiguous batches of magic 2 with base offset 0. They alias what was validated unless Converted.
	Records []byte
	// Batches are their headers. At present a client's records always make one batch; none when a Produce below version 3
	// brought no message, which is answered as a success with base offset -1.
	Batches []Header

	Converted bool // Records were built anew, in memory of their own

	MaxTimestamp         int64 // ms, over all batches
	OffsetOfMaxTimestamp int64 // relative to the first offset: the last offset of the batch with the largest time
	LogAppendTime        int64 // ms, for the answer; -1 when the topic keeps the client's times
}

// Validate is what a leader does with the records that a Produce brought for one partition. It decides over all of them
// together; a refusal is a *Rejection.
//
// A single batch of magic 2 that nothing forces open is judged by its header, its checksum and, when it is not compressed, the
// lengths of its records; it is changed in place where the topic's timestamp type asks for it. It is opened when the topic is
// compacted, has another compression.type or bounds the records' times. Messages of magic 0 and 1 are always built anew.
func Validate(records []byte, o ValidateOptions) (Validated, error) {
	v := Validated{MaxTimestamp: NoTimestamp, LogAppendTime: -1}
	if o.TimestampType == LogAppendTime {
		v.LogAppendTime = o.Now
	}
	if err := v.validate(records, &o); err != nil {
		return Validated{MaxTimestamp: NoTimestamp, LogAppendTime: -1}, err
	}
	return v, nil
}

func (v *Validated) validate(records []byte, o *ValidateOptions) error {
	if len(records) >= HeaderSize && records[posMagic] == 2 {
		// Such a header is INVALID_RECORD from a client, and CORRUPT_MESSAGE for everybody else.
		if h := readHeader(records); h.Count <= 0 || h.LastOffsetDelta < 0 {
			return reject(invalid("%d records up to offset delta %d", h.Count, h.LastOffsetDelta), false)
		}
	}
	if o.Version >= 3 {
		if err := checkOneBatch(records, o.Version); err != nil {
			return reject(err, true)
		}
	}
	whole, codec, err := checkEntries(records, o)
	if err != nil || len(whole) == 0 {
		return err
	}
	if whole[posMagic] == 2 {
		err = v.batch(whole, o)
	} else {
		err = v.messages(whole, codec, o)
	}
	if err != nil {
		return err
	}
	for _, h := range v.Batches {
		if h.MaxTimestamp > v.MaxTimestamp {
			v.MaxTimestamp, v.OffsetOfMaxTimestamp = h.MaxTimestamp, h.LastOffset()
		}
	}
	if len(v.Records) > o.SegmentBytes {
		return reject(fmt.Errorf("%w: %d bytes do not fit a segment of %d", kerr.RecordListTooLarge, len(v.Records), o.SegmentBytes), true)
	}
	return nil
}

// checkOneBatch holds Produce of version 3 and later to exactly one batch of magic 2.
func checkOneBatch(records []byte, version int16) error {
	if len(records) >= magicEnd && (records[posMagic] == 0 || records[posMagic] == 1) {
		return invalid("Produce version %d with a message of magic %d", version, records[posMagic])
	}
	e, err := NextEntry(records)
	switch {
	case err == ErrShort || err == nil && e.Size > len(records):
		return invalid("Produce version %d without a whole batch", version)
	case err != nil:
		return err
	case version < 7 && e.Codec == Zstd:
		return fmt.Errorf("%w: Produce version %d with zstd", kerr.UnsupportedCompressionType, version)
	case len(records) != e.Size:
		if next, err := NextEntry(records[e.Size:]); err == nil && next.Size <= len(records)-e.Size {
			return invalid("Produce version %d with more than one batch", version)
		}
	}
	return nil
}

// checkEntries checks the size and checksum of every entry. whole is records without an entry that its end cuts off; codec is
// the last one in use.
func checkEntries(records []byte, o *ValidateOptions) (whole []byte, codec Codec, err error) {
	rest := records
	for len(rest) > 0 {
		e, err := NextEntry(rest)
		if err == ErrShort || err == nil && e.Size > len(rest) {
			break
		}
		if err != nil {
			return nil, None, reject(err, true)
		}
		if e.Magic == 2 && e.BaseOffset != 0 {
			return nil, None, reject(invalid("batch begins at offset %d instead of 0", e.BaseOffset), false)
		}
		if e.Size > o.MessageBytesMax {
			return nil, None, reject(fmt.Errorf("%w: %d bytes, max.message.bytes is %d", kerr.MessageTooLarge, e.Size, o.MessageBytesMax), true)
		}
		if err := CheckEntryCRC(rest); err != nil {
			return nil, None, reject(err, true)
		}
		if e.Codec != None {
			codec = e.Codec
		}
		rest = rest[e.Size:]
	}
	return records[:len(records)-len(rest)], codec, nil
}

// batch judges one batch of magic 2.
func (v *Validated) batch(b []byte, o *ValidateOptions) error {
	h, err := ParseHeader(b)
	if err != nil {
		return reject(err, true)
	}
	switch {
	case h.Size() != len(b):
		err = invalid("more than one batch")
	case int64(h.LastOffsetDelta)+1 != int64(h.Count): // also refuses a count of 0
		err = invalid("offset range up to delta %d with %d records", h.LastOffsetDelta, h.Count)
	case h.IsControl():
		err = invalid("control batch from a client")
	case h.HasProducerID() && h.BaseSequence < 0:
		err = invalid("producer id %d with sequence %d", h.ProducerID, h.BaseSequence)
	case !h.Codec().Valid():
		err = unknownCodec(h.Codec())
	}
	if err != nil {
		return reject(err, false)
	}
	rebuild := o.Compression.Forced && o.Compression.Codec != h.Codec()
	if rebuild || o.mustOpen(&h) {
		return v.open(b, h, rebuild, o)
	}
	if h.Codec() == None {
		if err := checkLengths(b[HeaderSize:], h.Count); err != nil {
			return reject(err, false)
		}
	}
	v.keep(b, h, o)
	return nil
}

// mustOpen says whether the records of a batch that stays as it is have to be looked at one by one.
func (o *ValidateOptions) mustOpen(h *Header) bool {
	if o.Compacted || h.TimestampType() == LogAppendTime {
		return true
	}
	return o.TimestampType == CreateTime &&
		(o.TimestampBeforeMax != NoTimestampLimit || o.TimestampAfterMax != NoTimestampLimit && o.tooLate(h.MaxTimestamp))
}

// open judges a batch of magic 2 by its records, and builds it anew when asked to.
func (v *Validated) open(b []byte, h Header, rebuild bool, o *ValidateOptions) error {
	var build *Builder
	if rebuild {
		build = o.builder(o.Compression.Codec)
		defer build.Discard()
		build.SetProducer(h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.IsTransactional())
	}
	if err := o.each(b, h.TimestampType(), build); err != nil {
		return err
	}
	if rebuild {
		return v.built(build)
	}
	v.keep(b, h, o)
	return nil
}

// messages builds a batch of messages of magic 0 or 1.
func (v *Validated) messages(b []byte, codec Codec, o *ValidateOptions) error {
	if o.Compression.Forced {
		codec = o.Compression.Codec
	}
	first := b[posMagic]
	stamps := CreateTime
	compressed, entries := false, 0
	for rest := b; len(rest) > 0; entries++ {
		e, err := NextEntry(rest)
		if err != nil {
			return reject(err, true)
		}
		if byte(e.Magic) != first {
			return reject(invalid("message of magic %d behind one of magic %d", e.Magic, first), false)
		}
		compressed = compressed || e.Codec != None
		if e.TimestampType == LogAppendTime {
			stamps = LogAppendTime
		}
		rest = rest[e.Size:]
	}
	if compressed && entries > 1 {
		return reject(invalid("%d messages beside a compressed one", entries-1), false)
	}
	build := o.builder(codec)
	defer build.Discard()
	if err := o.each(b, stamps, build); err != nil {
		return err
	}
	return v.built(build)
}

// builder is for a batch that replaces what the client sent.
func (o *ValidateOptions) builder(c Codec) *Builder {
	level := 0
	if o.Compression.Forced {
		level = o.Compression.Level
	}
	b := NewBuilder(BuilderOptions{Codec: c, Level: level, LeaderEpoch: -1, SizeMax: o.MessageBytesMax})
	if o.TimestampType == LogAppendTime {
		b.SetAppendTime(o.Now)
	}
	return b
}

// recordErrorsMax bounds how many records one answer blames.
const recordErrorsMax = 1000

// each judges every record of b, which the client stamped with the given type, and adds them to build unless that is nil.
func (o *ValidateOptions) each(b []byte, stamps TimestampType, build *Builder) error {
	r := readers.Get().(*Reader)
	defer func() { r.Close(); readers.Put(r) }()
	r.Reset(b, DecompressMax(o.MessageBytesMax))
	var bad []RecordError
	code := kerr.InvalidRecord
	for i := int32(0); ; i++ {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return reject(err, false)
		}
		if blame, c := o.blame(rec, stamps); c != nil {
			if c == kerr.InvalidTimestamp {
				code = c
			}
			if len(bad) < recordErrorsMax {
				bad = append(bad, RecordError{i, blame})
			}
		}
		if build != nil && len(bad) == 0 {
			build.Append(rec.Key, rec.Value, rec.Headers, rec.Timestamp)
			if err := build.Err(); err != nil {
				return reject(err, true)
			}
		}
	}
	if len(bad) > 0 {
		return &Rejection{Code: code, Reason: fmt.Sprintf("%d records refused, the first: %s", len(bad), bad[0].Message), Records: bad}
	}
	return nil
}

// blame says, in Apache Kafka's words, what is wrong with a record; a nil error when nothing is.
func (o *ValidateOptions) blame(rec *Record, stamps TimestampType) (string, *kerr.Error) {
	if o.Compacted && rec.Key == nil {
		return "Compacted topic cannot accept message without key in topic partition " + o.Partition.String(), kerr.InvalidRecord
	}
	if o.TimestampType == CreateTime && rec.Timestamp != NoTimestamp {
		if o.tooEarly(rec.Timestamp) || o.tooLate(rec.Timestamp) {
			return fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]", rec.Timestamp,
				rec.Offset, o.Now-o.TimestampBeforeMax, o.Now+o.TimestampAfterMax), kerr.InvalidTimestamp
		}
	} else if stamps == LogAppendTime {
		return fmt.Sprintf("Invalid timestamp type in message DefaultRecord(offset=%d, timestamp=%d, key=%d bytes, value=%d bytes). "+
			"Producer should not set timestamp type to LogAppendTime.", rec.Offset, rec.Timestamp, len(rec.Key), len(rec.Value)), kerr.InvalidTimestamp
	}
	return "", nil
}

// tooEarly and tooLate are the bounds of the topic, free of overflow.
func (o *ValidateOptions) tooEarly(ts int64) bool {
	return ts < o.Now && uint64(o.Now)-uint64(ts) > uint64(o.TimestampBeforeMax)
}

func (o *ValidateOptions) tooLate(ts int64) bool {
	return ts > o.Now && uint64(ts)-uint64(o.Now) > uint64(o.TimestampAfterMax)
}

// keep takes the client's batch as it is, but for the topic's timestamp type.
func (v *Validated) keep(b []byte, h Header, o *ValidateOptions) {
	if o.TimestampType == LogAppendTime {
		SetAppendTime(b, o.Now)
	} else if h.TimestampType() == LogAppendTime {
		b[posAttributes+1] &^= attrLogAppendTime
		setCRC(b)
	}
	h.Attributes = int16(binary.BigEndian.Uint16(b[posAttributes:]))
	h.CRC = binary.BigEndian.Uint32(b[posCRC:])
	h.MaxTimestamp = int64(binary.BigEndian.Uint64(b[posMaxTimestamp:]))
	v.Records, v.Batches = b, append(o.Batches, h)
}

// built takes the batch that was built.
func (v *Validated) built(build *Builder) error {
	b, err := build.Bytes()
	if err != nil {
		return reject(err, true)
	}
	h, err := ParseHeader(b)
	if err != nil {
		return reject(err, true)
	}
	v.Records, v.Batches, v.Converted = b, []Header{h}, true
	return nil
}

// checkLengths hops over the records of an uncompressed batch: there must be count of them, to the last byte. A batch that lies
// about this would stop every consumer that reads it. 6 ns a record.
func checkLengths(b []byte, count int32) error {
	at := 0
	for i := range count {
		// Most lengths take one or two bytes.
		size := 0
		switch {
		case at < len(b) && b[at] < 0x80:
			size = int(b[at])
			at++
		case at+1 < len(b) && b[at+1] < 0x80:
			size = int(b[at]&0x7f) | int(b[at+1])<<7
			at += 2
		default:
			v, n := varint(b[min(at, len(b)):])
			if n == 0 || v < 0 {
				return invalid("batch ends within the length of record %d of %d", i, count)
			}
			size = int(v) << 1
			at += n
		}
		if at += size >> 1; size&1 != 0 || at > len(b) {
			return invalid("batch ends within record %d of %d", i, count)
		}
	}
	if at != len(b) {
		return invalid("%d bytes behind the last of %d records", len(b)-at, count)
	}
	return nil
}
