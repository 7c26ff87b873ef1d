package record

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Record is one record of any magic, with its absolute offset. Key, Value and what Headers holds alias the bytes that it was
// read from; who got it says for how long.
type Record struct {
	Offset    int64
	Timestamp int64  // ms; the batch's when that is LogAppendTime, NoTimestamp in magic 0
	Key       []byte // nil when null
	Value     []byte // nil when null
	Headers   []RecordHeader
}

// RecordHeader is one header of a record. Key is UTF-8 and never null; Value is nil when null.
type RecordHeader struct {
	Key   []byte
	Value []byte
}

// parseRecord reads the body of a record of magic 2, all that stands behind its length, into rec, whose Headers are reused.
// Offsets and times are relative to base and baseTimestamp.
func parseRecord(body []byte, base, baseTimestamp int64, rec *Record) error {
	if len(body) < 1 {
		return invalid("record without attributes")
	}
	b := body[1:] // attributes: no bit is in use
	delta, n := varlong(b)
	if n == 0 {
		return invalid("record's timestamp is cut off")
	}
	b = b[n:]
	offset, n := varint(b)
	if n == 0 {
		return invalid("record's offset is cut off")
	}
	b = b[n:]
	rec.Offset, rec.Timestamp = base+int64(offset), baseTimestamp+delta
	var ok bool
	if rec.Key, b, ok = takeBytes(b); !ok {
		return invalid("key of record %d reaches over its end", rec.Offset)
	}
	if rec.Value, b, ok = takeBytes(b); !ok {
		return invalid("value of record %d reaches over its end", rec.Offset)
	}
	count, n := varint(b)
	b = b[n:]
	// A header takes two bytes at least, so the count is checked against what is there before anything is grown.
	if n == 0 || count < 0 || int(count) > len(b)/2 {
		return invalid("record %d claims %d headers", rec.Offset, count)
	}
	rec.Headers = rec.Headers[:0]
	for range count {
		var h RecordHeader
		if h.Key, b, ok = takeBytes(b); !ok || h.Key == nil {
			return invalid("record %d has a header with a bad key", rec.Offset)
		}
		if h.Value, b, ok = takeBytes(b); !ok {
			return invalid("record %d has a header with a bad value", rec.Offset)
		}
		rec.Headers = append(rec.Headers, h)
	}
	if len(b) != 0 {
		return invalid("record %d has %d bytes behind its last field", rec.Offset, len(b))
	}
	return nil
}

// takeBytes reads a length and as many bytes; a length below 0 is null. A taken empty value is not nil.
func takeBytes(b []byte) (taken, rest []byte, ok bool) {
	size, n := varint(b)
	if n == 0 || int(size) > len(b)-n {
		return nil, nil, false
	}
	b = b[n:]
	if size < 0 {
		return nil, b, true
	}
	return b[:size:size], b[size:], true
}

// appendRecord appends a record of magic 2, its length first.
func appendRecord(dst []byte, offsetDelta, timestampDelta int64, key, value []byte, headers []RecordHeader) []byte {
	size := 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + bytesSize(key) + bytesSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	dst = appendVarint(dst, int64(size))
	dst = append(dst, 0)
	dst = appendVarint(dst, timestampDelta)
	dst = appendVarint(dst, offsetDelta)
	dst = appendBytes(dst, key)
	dst = appendBytes(dst, value)
	dst = appendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = appendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

// appendBytes appends a length and the bytes; nil is null.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

// bytesSize is the number of bytes that appendBytes appends.
func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

// invalid is INVALID_RECORD with a reason.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kerr.InvalidRecord}, args...)...)
}
