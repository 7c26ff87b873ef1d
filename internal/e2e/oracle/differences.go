package oracle

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// exception is a line of testdata/differences.txt: a difference that is meant, or that is Apache Kafka's flaw.
//
//	API VERSIONS PATH CASE | REASON
//
// VERSIONS is a number, a range (0-3) or *. PATH is a field without indexes, "outcome" for a request that only one answered, or "bytes".
// PATH and CASE are globs (path.Match); a case's words are joined by dashes. A line that fits nothing fails the test.
type exception struct {
	api, field, test string
	first, last      int16
	long             bool // only the long form meets it: its reason begins with "(long)"
	line             string
	used             int
}

func readExceptions(file string) ([]*exception, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []*exception
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, reason, ok := strings.Cut(line, "|")
		columns := strings.Fields(what)
		reason = strings.TrimSpace(reason)
		if !ok || len(columns) != 4 || reason == "" {
			return nil, fmt.Errorf("%s:%d: want API VERSIONS PATH CASE | REASON", file, n)
		}
		e := &exception{api: columns[0], field: columns[2], test: columns[3], last: 1 << 14, long: strings.HasPrefix(reason, "(long)"), line: line}
		if columns[1] != "*" {
			first, last, isRange := strings.Cut(columns[1], "-")
			if !isRange {
				last = first
			}
			a, err1 := strconv.ParseInt(first, 10, 16)
			b, err2 := strconv.ParseInt(last, 10, 16)
			if err1 != nil || err2 != nil {
				return nil, fmt.Errorf("%s:%d: %q is not a range of versions", file, n, columns[1])
			}
			e.first, e.last = int16(a), int16(b)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

func (e *exception) covers(api string, version int16, field, test string) bool {
	return (e.api == api || e.api == "*") && version >= e.first && version <= e.last && match(e.field, field) && match(e.test, test)
}

func match(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}
