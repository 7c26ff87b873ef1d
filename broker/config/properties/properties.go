// Package properties reads Java's .properties text and the environment dialect of the apache/kafka container image. Pure.
//
// The text is a sequence of logical lines. A line whose first visible character is # or ! is a comment. A line that ends
// in an odd number of backslashes goes on in the next one, whose leading blanks are dropped. A key ends at the first
// unescaped '=', ':' or blank; blanks around it and one '=' or ':' are dropped; the rest, blanks at its end included, is the
// value. \t \n \r \f \uXXXX are those characters, a backslash before any other stands for that character itself. A key
// that occurs twice has the later value.
//
//	listeners = PLAINTEXT://:9092,\
//	            INTERNAL://:9093          listeners -> "PLAINTEXT://:9092,INTERNAL://:9093"
//	path:C:\\kafka                        path      -> "C:\kafka"
//
// Apache Kafka reads files as ISO 8859-1; this package takes UTF-8 where the bytes are valid UTF-8, since that is what
// editors write, and ISO 8859-1 where they are not.
package properties

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Entry is one key and value. Line counts from 1: where the key stands.
type Entry struct {
	Key, Value string
	Line       int
}

// Parse reads the text in order; a key that occurs twice is there twice. The only error is a \u without four hexadecimal
// digits.
func Parse(text []byte) ([]Entry, error) {
	s := string(text)
	if !utf8.ValidString(s) {
		runes := make([]rune, len(text))
		for i, b := range text {
			runes[i] = rune(b)
		}
		s = string(runes)
	}
	s = strings.TrimPrefix(s, "\ufeff")
	var entries []Entry
	for line := 1; s != ""; {
		first := line
		logical, rest, taken := cut(s)
		s, line = rest, line+taken
		if logical == "" || logical[0] == '#' || logical[0] == '!' {
			continue
		}
		rawKey, rawValue := split(logical)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		entries = append(entries, Entry{key, value, first})
	}
	return entries, nil
}

const blanks = " \t\f"

// cut takes one logical line off s, without leading blanks and line ends, and counts the natural lines in it. A comment
// does not continue.
func cut(s string) (logical, rest string, taken int) {
	var b strings.Builder
	for s != "" {
		natural, after := s, ""
		if i := strings.IndexAny(s, "\r\n"); i >= 0 {
			end := i + 1
			if s[i] == '\r' && end < len(s) && s[end] == '\n' {
				end++
			}
			natural, after = s[:i], s[end:]
		}
		s = after
		taken++
		natural = strings.TrimLeft(natural, blanks)
		if b.Len() == 0 && (natural == "" || natural[0] == '#' || natural[0] == '!') {
			return natural, s, taken
		}
		slashes := len(natural) - len(strings.TrimRight(natural, `\`))
		if slashes%2 == 0 {
			b.WriteString(natural)
			break
		}
		b.WriteString(natural[:len(natural)-1])
	}
	return b.String(), s, taken
}

// split parts a logical line into raw key and raw value.
func split(l string) (key, value string) {
	i := 0
	for ; i < len(l); i++ {
		if l[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=:"+blanks, l[i]) >= 0 {
			break
		}
	}
	i = min(i, len(l))
	key, value = l[:i], strings.TrimLeft(l[i:], blanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blanks)
	}
	return key, value
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	var units []uint16 // of consecutive \u escapes: surrogate pairs come in two
	flush := func() {
		b.WriteString(string(utf16.Decode(units)))
		units = units[:0]
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			flush()
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			break // a backslash at the very end of the text
		}
		if s[i] == 'u' {
			if i+5 > len(s) {
				return "", fmt.Errorf(`malformed \uXXXX in %q`, s)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`malformed \uXXXX in %q`, s)
			}
			units = append(units, uint16(n))
			i += 4
			continue
		}
		flush()
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		default:
			b.WriteByte(s[i])
		}
	}
	flush()
	return b.String(), nil
}
