package console

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A decoder turns a key, a value or a header's value, none of them null, into text.
type decoder func([]byte) ([]byte, error)

// printer prints a record as Apache Kafka's DefaultMessageFormatter does: time, partition, offset, epoch, headers, key and
// value, as far as they are asked for.
type printer struct {
	timestamp, partition, offset, epoch, headers, key, value bool

	between       string // two parts
	end           string // of a record
	betweenHeader string
	null          string
	decodeKey     decoder
	decodeValue   decoder
	decodeHeader  decoder
	none          bool // print nothing at all
}

func raw(b []byte) ([]byte, error) { return b, nil }

func newPrinter() *printer {
	return &printer{value: true, between: "\t", end: "\n", betweenHeader: ",", null: "null", decodeKey: raw, decodeValue: raw, decodeHeader: raw}
}

// set takes a property in the name of Apache Kafka's formatter. known is false for others.
func (p *printer) set(name, value string) (known bool, err error) {
	flags := map[string]*bool{
		"print.timestamp": &p.timestamp, "print.partition": &p.partition, "print.offset": &p.offset, "print.epoch": &p.epoch,
		"print.headers": &p.headers, "print.key": &p.key, "print.value": &p.value,
	}
	texts := map[string]*string{
		"key.separator": &p.between, "line.separator": &p.end, "headers.separator": &p.betweenHeader, "null.literal": &p.null,
	}
	decoders := map[string]*decoder{"key.deserializer": &p.decodeKey, "value.deserializer": &p.decodeValue, "headers.deserializer": &p.decodeHeader}
	if f := flags[name]; f != nil {
		*f = strings.EqualFold(strings.TrimSpace(value), "true")
		return true, nil
	}
	if t := texts[name]; t != nil {
		*t = value
		return true, nil
	}
	if d := decoders[name]; d != nil {
		*d, err = deserializer(value)
		return true, err
	}
	return false, nil
}

// deserializer finds what a class of Kafka's serialization package does.
func deserializer(class string) (decoder, error) {
	number := func(size int, text func([]byte) int64) decoder {
		return func(b []byte) ([]byte, error) {
			if len(b) != size {
				return nil, fmt.Errorf("Size of data received by %s is not %d", class[strings.LastIndexByte(class, '.')+1:], size)
			}
			return strconv.AppendInt(nil, text(b), 10), nil
		}
	}
	switch strings.TrimPrefix(class, "org.apache.kafka.common.serialization.") {
	case "StringDeserializer", "ByteArrayDeserializer", "BytesDeserializer":
		return raw, nil
	case "LongDeserializer":
		return number(8, func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }), nil
	case "IntegerDeserializer":
		return number(4, func(b []byte) int64 { return int64(int32(binary.BigEndian.Uint32(b))) }), nil
	case "ShortDeserializer":
		return number(2, func(b []byte) int64 { return int64(int16(binary.BigEndian.Uint16(b))) }), nil
	}
	return nil, fmt.Errorf("there is no deserializer %s here: want String, ByteArray, Long, Integer or Short, in org.apache.kafka.common.serialization", class)
}

// write prints one record.
func (p *printer) write(w io.Writer, r *kgo.Record) error {
	if p.none {
		return nil
	}
	var b []byte
	part := func(on bool, text string) {
		if on {
			b = append(append(b, text...), p.between...)
		}
	}
	part(p.timestamp, timestamp(r))
	part(p.partition, "Partition:"+strconv.Itoa(int(r.Partition)))
	part(p.offset, "Offset:"+strconv.FormatInt(r.Offset, 10))
	part(p.epoch, "Epoch:"+strconv.Itoa(int(r.LeaderEpoch)))
	if p.headers {
		text, err := p.headersText(r)
		if err != nil {
			return err
		}
		part(true, text)
	}
	for _, x := range []struct {
		on     bool
		bytes  []byte
		decode decoder
	}{{p.key, r.Key, p.decodeKey}, {p.value, r.Value, p.decodeValue}} {
		if !x.on {
			continue
		}
		text, err := p.text(x.bytes, x.decode)
		if err != nil {
			return err
		}
		part(true, string(text))
	}
	if p.timestamp || p.partition || p.offset || p.epoch || p.headers || p.key || p.value {
		b = b[:len(b)-len(p.between)]
	}
	_, err := w.Write(append(b, p.end...))
	return err
}

func (p *printer) text(b []byte, decode decoder) ([]byte, error) {
	if b == nil {
		return []byte(p.null), nil
	}
	return decode(b)
}

func (p *printer) headersText(r *kgo.Record) (string, error) {
	if len(r.Headers) == 0 {
		return "NO_HEADERS", nil
	}
	var parts []string
	for _, h := range r.Headers {
		v, err := p.text(h.Value, p.decodeHeader)
		if err != nil {
			return "", err
		}
		parts = append(parts, h.Key+":"+string(v))
	}
	return strings.Join(parts, p.betweenHeader), nil
}

func timestamp(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		if ms := r.Timestamp.UnixMilli(); ms >= 0 {
			return "CreateTime:" + strconv.FormatInt(ms, 10)
		}
	case 1:
		return "LogAppendTime:" + strconv.FormatInt(r.Timestamp.UnixMilli(), 10)
	}
	return "NO_TIMESTAMP"
}
