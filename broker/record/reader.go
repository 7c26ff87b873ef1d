package record

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Reader yields the records of a region of a log, of entries of any magic, one after another. Compressed entries are
// decompressed in pieces through pooled decoders. The zero value is ready for Reset. For one goroutine.
type Reader struct {
	region []byte
	limit  int64
	entry  EntryInfo
	rec    Record
	err    error

	left    int32  // records still to come of a batch of magic 2
	plain   []byte // the rest of an uncompressed batch's records
	dec     decoder
	stream  stream
	wrapper wrapper // state within a compressed message of magic 0 or 1
	inside  source
}

// source is where the current entry's records come from.
type source int8

const (
	nothing source = iota // the entry has no more: go to the next
	plainBatch
	compressedBatch
	message // one uncompressed message, not yet yielded
	messages
)

// NewReader is a Reader over region, as Reset with DecompressMaxHard.
func NewReader(region []byte) *Reader {
	r := new(Reader)
	r.Reset(region, DecompressMaxHard)
	return r
}

// All yields the records of region. A failure is yielded last, with a nil record. A record is valid until the next.
func All(region []byte) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		r := NewReader(region)
		defer r.Close()
		for {
			rec, err := r.Next()
			if err == io.EOF {
				return
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// Reset begins anew with region, of which each compressed entry may grow to limit bytes (DecompressMax). An entry that the end
// of region cuts off is left out, as readers of a log must do.
func (r *Reader) Reset(region []byte, limit int64) {
	r.release()
	r.region, r.limit, r.err, r.inside = region, limit, nil, nothing
}

// Close gives the decoder back. The reader may be Reset afterwards.
func (r *Reader) Close() {
	r.release()
	r.region, r.plain, r.inside, r.err = nil, nil, nothing, io.EOF
}

func (r *Reader) release() {
	if r.dec != nil {
		r.dec.release()
		r.dec = nil
	}
	r.stream.release()
}

// Entry describes the entry that the last record came from.
func (r *Reader) Entry() EntryInfo { return r.entry }

// Next is the next record, valid until the following call, or io.EOF. Records that do not fit their batch are INVALID_RECORD,
// entries that cannot be are CORRUPT_MESSAGE, data that does not decompress is UNKNOWN_SERVER_ERROR; after an error there is no
// next. No checksum of a batch or wrapper is checked here (CheckEntryCRC); those of messages inside a wrapper are.
func (r *Reader) Next() (*Record, error) {
	for r.err == nil {
		var ok bool
		switch r.inside {
		case nothing:
			r.err = r.nextEntry()
			continue
		case plainBatch:
			ok, r.err = r.nextPlain()
		case compressedBatch:
			ok, r.err = r.nextCompressed()
		case message:
			ok, r.err = true, r.parseMessage(r.plain, &r.rec)
			r.inside = nothing
		case messages:
			ok, r.err = r.nextInner()
		}
		if r.err != nil {
			break
		}
		if ok {
			return &r.rec, nil
		}
		r.inside = nothing
		r.release()
	}
	r.release()
	return nil, r.err
}

// nextEntry begins with the entry that the region begins with.
func (r *Reader) nextEntry() error {
	e, err := NextEntry(r.region)
	if err == ErrShort || err == nil && e.Size > len(r.region) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	body := r.region[:e.Size]
	r.region = r.region[e.Size:]
	r.entry = e
	switch {
	case !e.Codec.Valid():
		return unknownCodec(e.Codec)
	case e.Magic == 2:
		r.left = e.Header.Count
		r.plain = body[HeaderSize:]
		r.inside = plainBatch
		if e.Codec != None {
			if e.Header.Count == 0 {
				r.inside = nothing
				return nil
			}
			if r.dec, err = newDecoder(e.Codec, 2, r.plain, r.limit); err != nil {
				return err
			}
			r.stream.reset(r.dec, r.limit)
			r.inside = compressedBatch
		}
	case e.Codec != None:
		return r.openWrapper(body)
	default:
		r.plain, r.inside = body, message
	}
	return nil
}

// nextPlain reads the next record of an uncompressed batch.
func (r *Reader) nextPlain() (bool, error) {
	if r.left == 0 {
		if len(r.plain) != 0 {
			return false, invalid("batch at offset %d has %d bytes behind its last record", r.entry.BaseOffset, len(r.plain))
		}
		return false, nil
	}
	size, n := varint(r.plain)
	if n == 0 || size < 0 || int(size) > len(r.plain)-n {
		return false, invalid("batch at offset %d ends within a record, with %d to come", r.entry.BaseOffset, r.left)
	}
	body := r.plain[n : n+int(size)]
	r.plain = r.plain[n+int(size):]
	r.left--
	return true, r.parse(body)
}

// nextCompressed reads the next record of a compressed batch.
func (r *Reader) nextCompressed() (bool, error) {
	if r.left == 0 {
		if !r.stream.atEnd() {
			if err := r.stream.failed(); err != nil {
				return false, err
			}
			return false, invalid("batch at offset %d has bytes behind its last record", r.entry.BaseOffset)
		}
		return false, nil
	}
	size, ok := r.stream.varint()
	if ok && size < 0 {
		return false, invalid("batch at offset %d has a record of size %d", r.entry.BaseOffset, size)
	}
	var body []byte
	if ok {
		body, ok = r.stream.next(int(size))
	}
	if !ok {
		if err := r.stream.failed(); err != nil {
			return false, err
		}
		return false, invalid("batch at offset %d ends within a record, with %d to come", r.entry.BaseOffset, r.left)
	}
	r.left--
	return true, r.parse(body)
}

// parse reads a record of magic 2 and gives it the batch's time where that rules.
func (r *Reader) parse(body []byte) error {
	h := &r.entry.Header
	if err := parseRecord(body, h.BaseOffset, h.BaseTimestamp, &r.rec); err != nil {
		return err
	}
	if r.entry.TimestampType == LogAppendTime {
		r.rec.Timestamp = h.MaxTimestamp
	}
	return nil
}

// parseMessage reads the key, value and time of one message of magic 0 or 1, offset and size included. A message has exactly
// the size that its fields add up to.
func (r *Reader) parseMessage(b []byte, rec *Record) error {
	rec.Offset = int64(binary.BigEndian.Uint64(b))
	rec.Timestamp, rec.Headers = NoTimestamp, rec.Headers[:0]
	fields := b[messageSizeV0-8:]
	if b[posMagic] == 1 {
		rec.Timestamp = int64(binary.BigEndian.Uint64(b[18:]))
		fields = b[messageSizeV1-8:]
	}
	var ok bool
	if rec.Key, fields, ok = takeField(fields); !ok {
		return invalid("key of the message at offset %d reaches over its end", rec.Offset)
	}
	if rec.Value, fields, ok = takeField(fields); !ok || len(fields) != 0 {
		return invalid("value of the message at offset %d does not fit its size", rec.Offset)
	}
	return nil
}

// takeField reads an int32 length and as many bytes; a length below 0 is null. A taken empty value is not nil.
func takeField(b []byte) (taken, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	size := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if size < 0 {
		return nil, b, true
	}
	if int(size) > len(b) {
		return nil, nil, false
	}
	return b[:size:size], b[size:], true
}

// unknownCodec is UNKNOWN_SERVER_ERROR, which is how Apache Kafka answers a codec that it does not know.
func unknownCodec(c Codec) error {
	return fmt.Errorf("%w: unknown compression codec %d", kerr.UnknownServerError, int8(c))
}
