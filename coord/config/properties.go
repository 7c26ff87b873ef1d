package config

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

// entry is one key of a properties file.
type entry struct {
	key, value string
	line       int
}

const lineMax = 1 << 20

// parseProperties reads the syntax of java.util.Properties: "key=value", "key: value" or "key value"; lines beginning with # or !
// are comments; a backslash at the end continues a line, elsewhere it quotes.
func parseProperties(r io.Reader) ([]entry, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, lineMax)
	var list []entry
	no := 0
	for sc.Scan() {
		no++
		first := no
		line := strings.TrimLeft(strings.TrimSuffix(sc.Text(), "\r"), " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continues(line) {
			line = line[:len(line)-1]
			if !sc.Scan() {
				break
			}
			no++
			line += strings.TrimLeft(strings.TrimSuffix(sc.Text(), "\r"), " \t\f")
			if len(line) > lineMax {
				return nil, fmt.Errorf("line %d is too long", first)
			}
		}
		key, value := splitProperty(line)
		k, err := unescape(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		v, err := unescape(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		list = append(list, entry{k, strings.TrimSpace(v), first})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", no+1, err)
	}
	return list, nil
}

// continues reports whether the line ends with an odd number of backslashes.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

func splitProperty(line string) (key, value string) {
	i := 0
	for i < len(line) && !strings.ContainsRune("=: \t\f", rune(line[i])) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(line))
	rest := strings.TrimLeft(line[i:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return line[:i], rest
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			var units []uint16
			for {
				if len(s)-i < 5 {
					return "", fmt.Errorf(`incomplete \u in %q`, s)
				}
				u, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
				if err != nil {
					return "", fmt.Errorf(`\u%s is not a character`, s[i+1:i+5])
				}
				units = append(units, uint16(u))
				i += 4
				if !utf16.IsSurrogate(rune(u)) || len(units) == 2 || !strings.HasPrefix(s[i+1:], `\u`) {
					break
				}
				i += 2
			}
			b.WriteString(string(utf16.Decode(units)))
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
