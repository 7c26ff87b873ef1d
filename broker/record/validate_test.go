package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/record"
	"ottla/broker/topic"
)

const now int64 = 1_700_000_100_000

// options are those of a topic with every default.
func options(version int16) record.ValidateOptions {
	return record.ValidateOptions{
		Version: version, Partition: topic.Partition{Topic: "t"}, MessageBytesMax: 1048588, SegmentBytes: 1 << 30,
		TimestampBeforeMax: record.NoTimestampLimit, TimestampAfterMax: record.NoTimestampLimit, Now: now,
	}
}

// three are records as a client has them.
func three() []record.Record {
	return []record.Record{
		{Offset: 0, Timestamp: now - 50, Key: []byte("a"), Value: []byte("one")},
		{Offset: 1, Timestamp: now - 10, Key: []byte("b"), Value: nil, Headers: []record.RecordHeader{{Key: []byte("h"), Value: []byte("v")}}},
		{Offset: 2, Timestamp: now - 90, Key: nil, Value: []byte{}},
	}
}

// resum renews the checksum of a batch that was tampered with.
func resum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// with is a copy of b with other bytes at a place and a fitting checksum.
func with(b []byte, at int, other ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], other)
	return resum(b)
}

func messages(t testing.TB, magic int8, codec record.Codec, records []record.Record) []byte {
	t.Helper()
	s := record.NewMessageSet(nil, magic, codec, 0)
	for _, rec := range records {
		s.Append(rec.Offset, rec.Key, rec.Value, rec.Timestamp)
	}
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestValidateUntouched: what nothing forces open comes back as the bytes that went in.
func TestValidateUntouched(t *testing.T) {
	for _, codec := range codecs {
		in := build(t, record.BuilderOptions{Codec: codec}, three())
		want := bytes.Clone(in)
		v, err := record.Validate(in, options(11))
		if err != nil {
			t.Fatal(err)
		}
		if &v.Records[0] != &in[0] || !bytes.Equal(v.Records, want) || v.Converted || v.LogAppendTime != -1 || v.MaxTimestamp != now-10 || v.OffsetOfMaxTimestamp != 2 {
			t.Errorf("%s: %+v", codec, v)
		}
	}
}

// TestValidateConverts builds one batch of magic 2 of whatever comes in.
func TestValidateConverts(t *testing.T) {
	plain := func(records []record.Record, magic int8) []record.Record {
		for i := range records {
			records[i].Headers = nil
			if magic == 0 {
				records[i].Timestamp = record.NoTimestamp
			}
		}
		return records
	}
	for _, in := range codecs {
		for _, out := range codecs {
			o := options(2)
			o.Compression = record.Compression{Forced: true, Codec: out}
			for magic := range int8(3) {
				var b []byte
				want := three()
				if magic < 2 {
					if in == record.Zstd {
						continue
					}
					want = plain(want, magic)
					b = messages(t, magic, in, three())
				} else {
					b = build(t, record.BuilderOptions{Codec: in}, three())
				}
				v, err := record.Validate(b, o)
				if err != nil {
					t.Errorf("%s in magic %d to %s: %v", in, magic, out, err)
					continue
				}
				if v.Converted != (magic < 2 || in != out) || len(v.Batches) != 1 || v.Batches[0].Codec() != out || record.CheckCRC(v.Records) != nil {
					t.Errorf("%s in magic %d to %s: %+v", in, magic, out, v)
				}
				if diff := cmp.Diff(want, collect(t, v.Records)); diff != "" {
					t.Errorf("%s in magic %d to %s: sent -, stored +\n%s", in, magic, out, diff)
				}
			}
		}
	}
	// Without compression.type the codec stays.
	v, err := record.Validate(messages(t, 0, record.LZ4, three()), options(0))
	if err != nil || v.Batches[0].Codec() != record.LZ4 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestValidateKeepsProducer: recompression leaves the producer's fields alone.
func TestValidateKeepsProducer(t *testing.T) {
	b := record.NewBuilder(record.BuilderOptions{Codec: record.Snappy})
	b.SetProducer(9, 4, 77, true)
	for _, rec := range three() {
		b.Append(rec.Key, rec.Value, rec.Headers, rec.Timestamp)
	}
	in, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	o := options(9)
	o.Compression = record.Compression{Forced: true, Codec: record.Zstd, Level: 9}
	v, err := record.Validate(in, o)
	if err != nil {
		t.Fatal(err)
	}
	if h := v.Batches[0]; h.ProducerID != 9 || h.ProducerEpoch != 4 || h.BaseSequence != 77 || h.LastSequence() != 79 || !h.IsTransactional() {
		t.Errorf("%+v", h)
	}
}

// TestValidateTimes covers the two timestamp types on either side, and the bounds.
func TestValidateTimes(t *testing.T) {
	stamped := record.NewBuilder(record.BuilderOptions{})
	stamped.SetAppendTime(now - 1)
	stamped.Append(nil, []byte("v"), nil, now-7)
	byClient, err := stamped.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	appendTime := options(9)
	appendTime.TimestampType = record.LogAppendTime

	t.Run("append time", func(t *testing.T) {
		for _, b := range [][]byte{build(t, record.BuilderOptions{Codec: record.Gzip}, three()), messages(t, 1, record.None, three()), messages(t, 0, record.Gzip, three())} {
			o := appendTime
			if b[16] < 2 {
				o.Version = 2
			}
			v, err := record.Validate(bytes.Clone(b), o)
			if err != nil || v.LogAppendTime != now || v.MaxTimestamp != now || v.Batches[0].TimestampType() != record.LogAppendTime || record.CheckCRC(v.Records) != nil {
				t.Errorf("%+v, %v", v, err)
			}
			if h, err := record.ParseHeader(v.Records); err != nil || h != v.Batches[0] {
				t.Errorf("header %+v, said %+v, %v", h, v.Batches[0], err)
			}
			for _, rec := range collect(t, v.Records) {
				if rec.Timestamp != now {
					t.Errorf("time %d", rec.Timestamp)
				}
			}
		}
	})
	t.Run("a client's append time is made create time", func(t *testing.T) {
		v, err := record.Validate(bytes.Clone(byClient), options(9))
		if err != nil || v.Batches[0].TimestampType() != record.CreateTime || record.CheckCRC(v.Records) != nil {
			t.Errorf("%+v, %v", v, err)
		}
	})
	t.Run("or refused where the broker sets it", func(t *testing.T) {
		_, err := record.Validate(bytes.Clone(byClient), appendTime)
		want := "Invalid timestamp type in message DefaultRecord(offset=0, timestamp=1700000099999, key=0 bytes, value=1 bytes). Producer should not set timestamp type to LogAppendTime."
		var r *record.Rejection
		if !errors.As(err, &r) || r.Code != kerr.InvalidTimestamp || len(r.Records) != 1 || r.Records[0].Message != want ||
			r.Message() != "One or more records have been rejected due to invalid timestamp" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("bounds", func(t *testing.T) {
		for _, c := range []struct {
			before, after, time int64
			refused             bool
		}{
			{100, record.NoTimestampLimit, now - 100, false}, {100, record.NoTimestampLimit, now - 101, true}, {100, record.NoTimestampLimit, now + 1<<50, false},
			{record.NoTimestampLimit, 100, now + 100, false}, {record.NoTimestampLimit, 100, now + 101, true}, {record.NoTimestampLimit, 100, 0, false},
			{0, 0, now, false}, {0, 0, now + 1, true}, {0, 0, now - 1, true}, {0, 0, record.NoTimestamp, false},
			{100, 100, -1 << 63, true}, {100, 100, 1<<63 - 1, true},
		} {
			for _, codec := range []record.Codec{record.None, record.Zstd} {
				o := options(9)
				o.TimestampBeforeMax, o.TimestampAfterMax = c.before, c.after
				in := build(t, record.BuilderOptions{Codec: codec}, []record.Record{{Timestamp: now}, {Timestamp: c.time}})
				_, err := record.Validate(in, o)
				if c.refused != errors.Is(err, kerr.InvalidTimestamp) || !c.refused && err != nil {
					t.Errorf("%s %+v: %v", codec, c, err)
				}
				var r *record.Rejection
				if errors.As(err, &r) && (len(r.Records) != 1 || r.Records[0].Index != 1 || !strings.Contains(r.Records[0].Message, "is out of range. The timestamp should be within [")) {
					t.Errorf("%s %+v: %+v", codec, c, r.Records)
				}
				o.TimestampType = record.LogAppendTime
				if _, err := record.Validate(in, o); err != nil {
					t.Errorf("bounds on the broker's own time: %v", err)
				}
			}
		}
	})
}

// TestValidateRefuses lists what a client may not send, each with its error.
func TestValidateRefuses(t *testing.T) {
	batch := build(t, record.BuilderOptions{}, three())
	gzipped := build(t, record.BuilderOptions{Codec: record.Gzip}, three())
	old := messages(t, 1, record.None, three())
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	nested := messages(t, 1, record.Gzip, []record.Record{{Key: []byte("k"), Value: []byte("v")}})
	torn := bytes.Clone(gzipped)
	torn = resum(append(torn[:61], make([]byte, len(torn)-61)...))
	long := build(t, record.BuilderOptions{Codec: record.Zstd}, []record.Record{{Value: make([]byte, 3<<20)}})
	compacted, forced, segment := options(9), options(9), options(9)
	compacted.Compacted = true
	forced.Compression = record.Compression{Forced: true}
	segment.SegmentBytes = len(batch) - 1
	for _, c := range []struct {
		name string
		in   []byte
		o    record.ValidateOptions
		want error
	}{
		{"null", nil, options(9), kerr.InvalidRecord},
		{"a few bytes", batch[:16], options(9), kerr.InvalidRecord},
		{"garbage", bytes.Repeat([]byte("garbage!"), 20), options(9), kerr.CorruptMessage},
		{"magic 3", with(batch, 16, 3), options(9), kerr.CorruptMessage},
		{"length below the header's", with(batch, 8, 0, 0, 0, 20), options(9), kerr.CorruptMessage},
		{"base offset", with(batch, 0, 0, 0, 0, 0, 0, 0, 0, 1), options(9), kerr.InvalidRecord},
		{"no records", with(batch, 57, 0, 0, 0, 0), options(9), kerr.InvalidRecord},
		{"fewer records", with(with(batch, 57, 0, 0, 0, 2), 23, 0, 0, 0, 1), options(9), kerr.InvalidRecord},
		{"more records", with(with(batch, 57, 0, 0, 0, 4), 23, 0, 0, 0, 3), options(9), kerr.InvalidRecord},
		{"negative range", with(batch, 23, 0xff, 0xff, 0xff, 0xff), options(9), kerr.InvalidRecord},
		{"a record's length", with(batch, 61, 0x7e), options(9), kerr.InvalidRecord},
		{"a record's negative length", with(batch, 61, 0x01), options(9), kerr.InvalidRecord},
		{"control", with(batch, 22, 0x20), options(9), kerr.InvalidRecord},
		{"unknown codec", with(batch, 22, 7), options(9), kerr.UnknownServerError},
		{"segment", batch, segment, kerr.RecordListTooLarge},
		{"undecodable, where it has to be opened", torn, compacted, kerr.UnknownServerError},
		{"undecodable, to be recompressed", torn, forced, kerr.UnknownServerError},
		{"too large once it is not compressed", long, forced, kerr.MessageTooLarge},
		{"no key on a compacted topic", gzipped, compacted, kerr.InvalidRecord},
		{"two batches in version 2", join(batch, batch), options(2), kerr.InvalidRecord},
		{"a message behind a batch", join(batch, old), options(2), kerr.InvalidRecord},
		{"two magics", join(old, messages(t, 0, record.None, three())), options(2), kerr.InvalidRecord},
		{"a message beside a compressed one", join(old, nested), options(2), kerr.InvalidRecord},
		{"compressed within compressed", messagesWithin(t, nested), options(2), kerr.InvalidRecord},
		{"zstd below magic 2", withCodec(nested, 4), options(2), kerr.InvalidRecord},
		{"codec 6 below magic 2", withCodec(nested, 6), options(2), kerr.UnknownServerError},
	} {
		v, err := record.Validate(bytes.Clone(c.in), c.o)
		var r *record.Rejection
		if !errors.As(err, &r) || !errors.Is(err, c.want) || len(v.Batches) != 0 {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// withCodec is a copy of a message with another codec and a fitting checksum.
func withCodec(m []byte, codec byte) []byte {
	m = bytes.Clone(m)
	m[17] = codec
	binary.BigEndian.PutUint32(m[12:], crc32.ChecksumIEEE(m[16:]))
	return m
}

// messagesWithin compresses a message set that is compressed already.
func messagesWithin(t *testing.T, inner []byte) []byte {
	t.Helper()
	outer := messages(t, 1, record.Snappy, []record.Record{{Value: []byte("to be replaced")}})
	// Raw snappy of one literal.
	literal := binary.AppendUvarint(nil, uint64(len(inner)))
	literal = append(literal, 61<<2, byte(len(inner)-1), byte((len(inner)-1)>>8))
	literal = append(literal, inner...)
	m := append(bytes.Clone(outer[:34]), literal...)
	binary.BigEndian.PutUint32(m[8:], uint32(len(m)-12))
	binary.BigEndian.PutUint32(m[30:], uint32(len(literal)))
	return withCodec(m, byte(record.Snappy))
}

// TestValidateOldRequests: what only versions below 3 may send.
func TestValidateOldRequests(t *testing.T) {
	set := messages(t, 0, record.None, three())
	v, err := record.Validate(nil, options(0))
	if err != nil || len(v.Batches) != 0 || len(v.Records) != 0 {
		t.Errorf("nothing: %+v, %v", v, err)
	}
	v, err = record.Validate(set[:len(set)-1], options(1))
	if err != nil || v.Batches[0].Count != 2 {
		t.Errorf("a set whose last message is cut off: %+v, %v", v, err)
	}
	v, err = record.Validate(set[:20], options(1))
	if err != nil || len(v.Batches) != 0 {
		t.Errorf("one message that is cut off: %+v, %v", v, err)
	}
	damaged := bytes.Clone(set)
	damaged[len(set)-1] ^= 1
	if _, err := record.Validate(damaged, options(1)); !errors.Is(err, kerr.CorruptMessage) {
		t.Errorf("a wrong checksum: %v", err)
	}
}

// TestRejectionMessage is in Apache Kafka's words, with three records at most.
func TestRejectionMessage(t *testing.T) {
	r := record.Rejection{Code: kerr.InvalidRecord}
	if r.Message() != "" {
		t.Error(r.Message())
	}
	for i := range int32(5) {
		r.Records = append(r.Records, record.RecordError{Index: i, Message: "m"})
	}
	want := "One or more records have been rejected due to 5 record errors in total, and only showing the first three errors at most: " +
		"[RecordError(batchIndex=0, message='m'), RecordError(batchIndex=1, message='m'), RecordError(batchIndex=2, message='m')]"
	if r.Message() != want {
		t.Error(r.Message())
	}
}
