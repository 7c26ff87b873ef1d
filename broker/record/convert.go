package record

import (
	"fmt"
	"io"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
)

// readers are for conversions and validations, which need one for a moment.
var readers = sync.Pool{New: func() any { return new(Reader) }}

// DownConvert rewrites entries of a log for a client that knows no magic above the given one, 0 or 1. Entries that are old
// enough stay as they are; control batches and headers are left out, codecs are kept, and so are offsets and times as far as
// the magic has them. Of what is not compressed, records before firstOffset are left out too. An entry that the end of batches
// cuts off is ignored. The result is exactly the converted bytes, without the entry that Apache Kafka fills up a smaller result
// with; it may be empty. zstd is UNSUPPORTED_COMPRESSION_TYPE.
func DownConvert(batches []byte, magic int8, firstOffset int64) ([]byte, error) {
	if magic != 0 && magic != 1 {
		return nil, fmt.Errorf("%w: conversion to magic %d", kerr.UnsupportedForMessageFormat, magic)
	}
	r := readers.Get().(*Reader)
	defer func() { r.Close(); readers.Put(r) }()
	out := make([]byte, 0, len(batches))
	for len(batches) > 0 {
		e, err := NextEntry(batches)
		if err == ErrShort || err == nil && e.Size > len(batches) {
			break
		}
		if err != nil {
			return nil, err
		}
		entry := batches[:e.Size]
		batches = batches[e.Size:]
		switch {
		case e.Magic <= magic:
			out = append(out, entry...)
		case e.Magic == 2 && e.Header.IsControl():
		default:
			if out, err = downConvertEntry(out, r, entry, e, magic, firstOffset); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// downConvertEntry appends one converted entry to out.
func downConvertEntry(out []byte, r *Reader, entry []byte, e EntryInfo, magic int8, firstOffset int64) ([]byte, error) {
	s := NewMessageSet(out, magic, e.Codec, 0)
	if e.TimestampType == LogAppendTime {
		s.SetAppendTime(e.MaxTimestamp)
	}
	r.Reset(entry, DecompressMaxHard)
	var failed error
	for s.err == nil {
		rec, err := r.Next()
		if err != nil {
			if err != io.EOF {
				failed = err
			}
			break
		}
		if e.Codec == None && rec.Offset < firstOffset {
			continue
		}
		s.Append(rec.Offset, rec.Key, rec.Value, rec.Timestamp)
	}
	converted, err := s.Bytes()
	if failed != nil {
		err = failed
	}
	return converted, err
}
