package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lineMax bounds a line, so that input without line ends does not fill the memory.
const lineMax = 64 << 20

// layout says how a line of input becomes a record: headers, key and value, each but the last followed by a separator.
type layout struct {
	headers         bool
	headersEnd      string // after all headers
	headerSeparator string // between two
	headerKeyEnd    string // between a header's key and its value
	key             bool
	keyEnd          string
	null            string // a key or value that is exactly this becomes null; "" for none
	lenient         bool   // a line without the separators is a value
}

func defaultLayout() layout {
	return layout{headersEnd: "\t", headerSeparator: ",", headerKeyEnd: ":", keyEnd: "\t"}
}

// set takes a property in the name of Apache Kafka's line reader. known is false for others.
func (l *layout) set(name, value string) (known bool, err error) {
	flag := func(to *bool) (bool, error) {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return true, fmt.Errorf("%s=%s: want true or false", name, value)
		}
		*to = b
		return true, nil
	}
	text := func(to *string) (bool, error) {
		if value == "" {
			return true, fmt.Errorf("%s must not be empty", name)
		}
		*to = value
		return true, nil
	}
	switch name {
	case "parse.key":
		return flag(&l.key)
	case "parse.headers":
		return flag(&l.headers)
	case "ignore.error":
		return flag(&l.lenient)
	case "key.separator":
		return text(&l.keyEnd)
	case "headers.delimiter":
		return text(&l.headersEnd)
	case "headers.separator":
		return text(&l.headerSeparator)
	case "headers.key.separator":
		return text(&l.headerKeyEnd)
	case "null.marker":
		return text(&l.null)
	}
	return false, nil
}

// check refuses separators that could not be told apart, as Apache Kafka does.
func (l *layout) check() error {
	switch {
	case !l.headers:
		return nil
	case l.headersEnd == l.headerSeparator:
		return errors.New("headers.delimiter and headers.separator may not be equal")
	case l.headersEnd == l.headerKeyEnd:
		return errors.New("headers.delimiter and headers.key.separator may not be equal")
	case l.headerSeparator == l.headerKeyEnd:
		return errors.New("headers.separator and headers.key.separator may not be equal")
	}
	return nil
}

// cut splits b at the first separator; without one it fails, or all of b is the rest.
func (l *layout) cut(b []byte, separator, what string, number int, line []byte) (head, rest []byte, found bool, err error) {
	head, rest, found = bytes.Cut(b, []byte(separator))
	switch {
	case found:
		return head, rest, true, nil
	case l.lenient:
		return nil, b, false, nil
	}
	return nil, nil, false, fmt.Errorf("No %s found on line number %d: '%s'", what, number, line)
}

// record makes a record of line number n, counted from 1. The record keeps the line.
func (l *layout) record(line []byte, n int) (*kgo.Record, error) {
	r := &kgo.Record{}
	rest := line
	if l.headers {
		head, after, found, err := l.cut(rest, l.headersEnd, "headers delimiter", n, line)
		if err != nil {
			return nil, err
		}
		if rest = after; found {
			if r.Headers, err = l.parseHeaders(head, n); err != nil {
				return nil, err
			}
		}
	}
	if l.key {
		key, after, found, err := l.cut(rest, l.keyEnd, "key separator", n, line)
		if err != nil {
			return nil, err
		}
		if rest = after; found {
			r.Key = l.nullable(key)
		}
	}
	r.Value = l.nullable(rest)
	return r, nil
}

func (l *layout) nullable(b []byte) []byte {
	if l.null != "" && string(b) == l.null {
		return nil
	}
	return b
}

func (l *layout) parseHeaders(text []byte, n int) ([]kgo.RecordHeader, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var out []kgo.RecordHeader
	for _, h := range bytes.Split(text, []byte(l.headerSeparator)) {
		key, value, found := bytes.Cut(h, []byte(l.headerKeyEnd))
		if !found && !l.lenient {
			return nil, fmt.Errorf("No header key separator found in pair '%s' on line number %d", h, n)
		}
		if !found {
			value = nil
		}
		out = append(out, kgo.RecordHeader{Key: string(key), Value: l.nullable(value)})
	}
	return out, nil
}

// lines calls f with each line of r, without its end, and its number. f keeps the line.
func lines(r io.Reader, f func(line []byte, n int) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), lineMax)
	for n := 1; s.Scan(); n++ {
		if err := f(bytes.Clone(s.Bytes()), n); err != nil {
			return err
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line of the input is longer than %d MiB", lineMax>>20)
	}
	return s.Err()
}
